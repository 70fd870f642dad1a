/* The protocol of lib/lock.c and lib/wait.c, with what policy.c and node.c add to it: a model for
 * spin. Names are those of the C code; T1 to T26 are the tags of lock.c. Each `atomic` is one
 * access to shared memory there, with what its thread does alone before and after it. A pair of
 * accesses is in one atomic only where nobody else could tell: the comment says why.
 *
 * What is left out: clocks (a sleeper with a deadline may wake at any time, if its kind of
 * deadline is on), policies (the queue is served in the order of arrival or, with ANY, in any
 * order), statistics, fork, and memory orders (every step is sequentially consistent here;
 * orders.pml has the others). Spinning is looking again. Limits that choose between two right ways
 * (is an heir overdue?) are free choices. WATCH_SLICES is 1.
 *
 * A thread loops: it acquires the lock in some way, and releases it in some way; at any time when
 * it does not hold or wait for it, it may end. As all others may end, nobody comes along to save
 * one that waits: a lost wake-up, or a waiter for whom nobody is responsible, ends in a state from
 * which nothing follows, and spin reports it as an invalid end state.
 *
 * Slices (the script `check` has the list):
 *   N         how many threads         ANY      the policy may choose anybody
 *   PLAIN, DEFER, YIELD, HAND_ON       how they release: these are the ways to choose from
 *   TIMED=K   the first K may give up  EXIT     nodes of ended threads are used again
 *   LEAVE     one that takes the lock by itself may leave its node behind in the queue
 *   COMPUTE   an owner may also go on until it is asked to stop; only then are there deadlines at
 *             the end of a slice. Without it a slice lasts for ever, and nobody may depend on its
 *             end: an owner that releases by itself is enough to let everybody run.
 *   ERASE     the owner's interpreter may lose a request, once
 *   EARLY     the policy may let anybody ask at once
 *   SPURIOUS  a sleeper may wake for no reason, once
 *   LIVE      with the claim that the first thread, whenever it wants the lock, gets it in the
 *             end, if all threads go on (weak fairness)
 *   BYPASS=K  others get the lock at most K times while the first thread waits
 *             These two need the limits that are free choices elsewhere: an heir is passed
 *             over once, and with ANY the oldest waiter once (ageing, policy.c).
 * Mutants: M_..., see the file `mutants`.
 *
 * A comment that begins with a tag, behind a statement or a brace, stands before the step that has
 * it: tests/stress/order.py makes a statement of it, and follows the logs of real threads. */
#ifndef N
#define N 3
#endif

/* ---- The lock word, and what a node is doing. ---- */
#define LOCKED   1
#define HASQ     2
#define DEFERRED 4
#define WORD(node, flag) ((node) << 3 | (flag))
#define word_node(w)     ((w) >> 3)

#define IDLE      0
#define HELD      1
#define DEFERRING 2
#define WAITING   3
#define HEAD      4
#define WATCH     5
#define HEIR      6
#define GRANTED   7
#define ABANDONED 8
#define ORPHAN    9
#define ROLE      15
#define SLEEPING  16
#define is_waiting(s)   (((s) & ROLE) >= WAITING && ((s) & ROLE) <= HEIR)
#define is_abandoned(s) ((s) == ABANDONED || (s) == ORPHAN)

/* ---- Deadlines, by their kind. ---- */
#define NEVER 0
#define LATER 1 /* the end of a slice, or an interval after asking */
#define SOON  2 /* WATCH_NS, LOOK_AGAIN_NS */

/* Nodes are 1 to NODES; 0 is NULL. Those above N are for threads that leave theirs behind. */
#ifdef LEAVE
#define NODES (N + 1)
#else
#define NODES N
#endif
byte state[NODES + 1], next[NODES + 1];
bool asleep[NODES + 1]; /* in the kernel, on its state word */
bool heir_since[NODES + 1];

byte word, head, asker;
bool drop, watch, slice_start, deferred_in_slice;
byte queue[NODES], count; /* the run queue, oldest first */

/* Not in the code: who owns the lock, how many threads are inside, who has deferred last. */
byte owns, inside, deferrer, ended;
#ifdef ERASE
bool breaker, erased; /* the interpreter's own flag; it has lost a request */
#endif
#ifdef SPURIOUS
bool spurious;
#endif
#if defined(EXIT) || defined(LEAVE)
bool pool[NODES + 1];
#endif
#if defined(LIVE) || defined(BYPASS)
#define LIMITS
bool passed; /* the oldest waiter has been passed over */
#endif
#ifdef LIVE
bool want; /* the first thread */
ltl granted { [] (want -> <> !want) }
#define WANT(yes) if :: id == 1 -> want = yes :: else fi
#else
#define WANT(yes) skip
#endif
#ifdef BYPASS
byte bypassed;
#define GETS(x) \
    if \
    :: x == 1 -> bypassed = 0 \
    :: x != 1 && is_waiting(state[1]) -> bypassed++; assert(bypassed <= BYPASS) \
    :: else \
    fi
#else
#define GETS(x) skip
#endif

/* Invariant 1: only the owner of the lock touches the queue. Never two owners. */
#define OWN        assert(owns == n)
#define TAKE(w)    word = w; assert(owns == 0); owns = n
#define IF(c)      if :: c ->
#define FI         :: else fi

inline queue_remove(x)
{
    d_step {
        OWN;
        i = 0;
        do
        :: i < count && queue[i] == x -> break
        :: else -> assert(i < count); i++
        od;
#if defined(LIMITS) && defined(ANY)
        passed = i != 0;
#endif
        do
        :: i + 1 < count -> queue[i] = queue[i + 1]; i++
        :: else -> break
        od;
        count--;
        queue[count] = 0;
        heir_since[x] = false;
        i = 0
    }
}

/* The whole stack goes to the end of the queue, its oldest (deepest) first. In the C code it goes to
 * the end of the backlog, and from there bit by bit to where it can be next (runqueue.h). That is
 * the queue here: only an owner looks at either part, at T24 it unlinks from either, and policy_next
 * finds none only when both are empty. That one in the backlog cannot be next is a choice that the
 * policy makes (ANY). One that takes the lock by itself while its node is in the backlog leaves it
 * there (LEAVE). */
inline runqueue_append(newest)
{
    d_step {
        i = newest; j = count;
        do
        :: i != 0 -> assert(j < NODES); j++; i = next[i]
        :: else -> break
        od;
        i = newest; count = j;
        do
        :: i != 0 -> j--; queue[j] = i; i = next[i]; next[queue[j]] = 0
        :: else -> break
        od;
        j = 0
    }
}

/* T10. The owner reads the word first; it stays LOCKED, and nobody but the owner takes nodes off.
 * */
#ifdef M_DRAIN_STORE
#define drain() \
    atomic { OWN; k = word_node(word) }; \
    atomic { IF(k != 0) word = LOCKED; runqueue_append(k); slice_start = true; k = 0 FI }
#else
#define drain() \
    d_step { \
        OWN; k = word_node(word); \
        IF(k != 0) word = LOCKED; /* T10 */ runqueue_append(k); slice_start = true; k = 0 FI \
    }
#endif

inline node_recycle(x)
{
#if defined(EXIT) || defined(LEAVE)
    assert(!pool[x]);
    pool[x] = true
#else
    skip
#endif
}

#define IN_POOL (pool[1] || pool[2] || pool[N] || pool[NODES])
inline pool_pop(x)
{
    x = (pool[1] -> 1 : (pool[2] -> 2 : (pool[N] -> N : NODES)));
    pool[x] = false
}

/* policy_next: sets h, live when looked at; or, if may_stop, one that has given up, as when there are
 * too many of these (name_head goes on then); T24 is let_go(), whose CAS decides. Reading the state of
 * a node and, if it is abandoned, unlinking it, which only the owner sees, are one step; so is
 * what `then` does at once with h, where nobody else can tell in which order. */
#if defined(LIMITS) && !defined(M_NO_AGEING)
#define AGED passed
#else
#define AGED false
#endif

inline choose()
{
    h = queue[0];
#ifdef ANY
    if
    :: true
    :: count > 1 && !AGED -> h = queue[1]
    :: count > 2 && !AGED -> h = queue[2]
    fi
#endif
}

/* Each time it stops so, it has unlinked some: with LIMITS never, otherwise as often as it likes. */
#ifdef LIMITS
#define MAY_STOP false
#else
#define MAY_STOP true
#endif

#define policy_next(then, may_stop) \
    do \
    :: atomic { \
           OWN; choose(); \
           if \
           :: h == 0 || !is_abandoned(state[h]) -> then; break \
           :: h != 0 && is_abandoned(state[h]) && may_stop -> then; break \
           :: h != 0 && is_abandoned(state[h]) -> queue_remove(h) \
           fi \
       }; \
       atomic { /* T24 */ \
           if \
           :: state[h] == ABANDONED -> state[h] = IDLE \
           :: state[h] == ORPHAN -> state[h] = IDLE; node_recycle(h) \
           :: else -> REVIVED \
           fi \
       } \
    od
#ifdef M_NOT_REQUEUED
#define REVIVED skip
#else
#define REVIVED queue[count] = h; count++
#endif

/* futex_wake. Nobody may be there, or somebody else by now. */
#define wake(x) asleep[x] = false

/* Names the responsible waiter; `sleeper` is whom the caller has to wake, or 0. The stored head is
 * only read by a thread that has pushed, which the owner's choice does not depend on: so they are
 * one step. */
inline name_head()
{
    do
    :: policy_next(/* T13 */ head = h, false);
       atomic { /* T14 promote */
           if
           :: h != 0 ->
               st = state[h];
               IF((st & ROLE) == WAITING)
                   state[h] = HEAD;
                   IF(st & SLEEPING)
#ifndef M_PROMOTE_SILENT
                       sleeper = h
#else
                       skip
#endif
                   FI
               FI;
               IF(is_waiting(st)) st = 0; h = 0; break FI;
               st = 0
           :: else ->
#ifdef M_NO_SECOND_LOOK
               break
#else
               IF(word == LOCKED) break FI
#endif
           fi
       };
       drain()
    od
}

inline begin_slice()
{
    IF(!deferred_in_slice) watch = false FI;
    deferred_in_slice = false;
    slice_start = true
}

#define wake_sleeper() atomic { IF(sleeper != 0) wake(sleeper); sleeper = 0 FI }

/* T1 to T3: takes the lock if it is free in any way. The C code reads the word, and does a CAS,
 * until that succeeds or the lock is taken; only the last time round matters. The node's own
 * state, which nobody reads while it is neither waiting nor abandoned, is set at once. */
inline lock_try_take()
{
    IF(!(word & LOCKED))
        taken = true;
        with_queue = word != 0; /* T1; or T2, T3 */
        TAKE(LOCKED);
        GETS(n);
        d_step {
            i = 0;
            do
            :: i < count && queue[i] != n -> i++
            :: else -> break
            od;
            mine = i < count && queue[i] == n;
            i = 0
        };
        if
        :: mine -> queue_remove(n)
#ifdef LEAVE
        :: mine && IN_POOL -> pool_pop(fresh)
#endif
        :: else
        fi;
        mine = mine && asker == n;
        IF(fresh == 0) state[n] = HELD FI
    FI
}

/* node_leave: from now on the thread has another node, and the old one, which still is what it was,
 * is an orphan in the queue. Its last owner may be about to make it heir all the same (T15). */
#ifdef M_LEAVES_TO_POOL
#define LEFT state[n] = IDLE; node_recycle(n)
#else
#define LEFT state[n] = ORPHAN
#endif
inline node_leave()
{
#ifdef LEAVE
    atomic {
        IF(fresh != 0)
            OWN; LEFT;
            n = fresh; owns = n; state[n] = HELD; fresh = 0
        FI
    }
#else
    skip
#endif
}

inline took_with_queue()
{
    atomic { IF(mine) drop = false; mine = false FI };
    node_leave();
    name_head();
    atomic { begin_slice(); with_queue = false };
    wake_sleeper()
}

/* A store of asker and one of drop: a request between the two by somebody else replaces asker, as
 * it does if it comes later. */
#ifdef ERASE
#define ask_for_drop() asker = n; /* T18 */ drop = true; breaker = true
#else
#define ask_for_drop() asker = n; /* T18 */ drop = true
#endif

/* Makes h heir, after the word has been freed. taken: it has given up; the caller owns the lock. */
inline make_heir()
{
    atomic { /* T15 */
        st = state[h];
#ifndef M_HEIR_FIRST
        IF(is_waiting(st)) state[h] = HEIR FI
#endif
    };
    if
#ifndef M_HEIR_FIRST
    :: is_waiting(st) && st & SLEEPING -> atomic { wake(h) }
#endif
#ifndef M_NO_RECHECK
    :: is_abandoned(st) ->
        atomic { IF(word == HASQ) TAKE(LOCKED); taken = true FI }
#endif
    :: else
    fi;
    h = 0;
    st = 0
}

/* ---- A thread. ---- */

/* Where lock_release_slow goes on. */
#define TO_OUTSIDE 0
#define TO_YIELD   1
#define TO_HAND_ON 2

#define RELEASE_PLAIN 0
#define RELEASE_DEFER 1
#define RELEASE_GRANT 2

proctype thread(byte id)
{
    byte n = id, h, st, i, j, k, to, sleeper;
    byte how, after, ask_at, deadline, fresh;
    bool asked, taken, with_queue, mine, due, seen, look_again, no_ask, timed;

outside:
    /* ---- Acquiring: lock_acquire_fast, lock_acquire_slow. A node that is idle takes the lock or
     * pushes: if it first saw the lock taken and pushes onto the word, it has not seen anything
     * that it could not have seen then. */
    if
#ifdef TIMED
    :: atomic { id <= TIMED -> timed = true; goto acquire }
#endif
    :: atomic { true -> goto acquire }
    :: atomic { true -> goto thread_exit }
    fi;

acquire:
    WANT(true);
    if
    :: atomic { state[n] == DEFERRING -> /* T4 take_back */
        if
#ifdef M_TAKE_BACK_ANY
        :: word & DEFERRED -> assert(deferrer == n); TAKE(LOCKED); state[n] = HELD; goto held
#else
        :: word == WORD(n, DEFERRED) ->
            assert(deferrer == n); TAKE(LOCKED); state[n] = HELD; goto held
#endif
        :: else -> state[n] = IDLE
        fi }
    :: atomic { state[n] == ABANDONED -> lock_try_take(); IF(taken) goto took FI }
    :: atomic { else }
    fi;
    atomic {
        IF(state[n] == ABANDONED) /* T23: wait on in place */
            state[n] = HEAD; ask_at = NEVER; goto wait_linked
        FI;
        IF(!(word & LOCKED)) lock_try_take(); goto took FI;
        ask_at = NEVER;
#ifdef EARLY
        if
        :: !no_ask -> ask_at = LATER; due = true /* policy_ask_at says at once */
        :: true
        fi;
#endif
        st = word_node(word); /* T11 */
        state[n] = WAITING;
        next[n] = st;
        word = WORD(n, LOCKED);
        IF(st != 0) st = 0; goto wait_linked FI
    };
#ifndef M_NO_FIRST
    atomic { /* T12: that head is read first makes more waiters head, which is the safe side */
        IF(head == 0 && state[n] == WAITING) state[n] = HEAD FI
    };
#endif

    /* ---- Waiting. After a sleep the flag is taken out; the state is read, and then the word
     * (take_if_free). If the state changes between the two, T20 fails later. ---- */
wait_linked:
    atomic {
        look_again = false;
        st = state[n];
        IF(st == GRANTED) assert(owns == n); /* T25 */ state[n] = HELD; goto held FI;
        if
        :: st == WAITING || word & LOCKED -> seen = false
        :: st != WAITING && word & DEFERRED && !seen -> seen = true; look_again = true
        :: else -> lock_try_take(); goto took
        fi;
#ifndef M_HEIR_PARKS
        IF(st == HEIR && !look_again && !watch) due = true FI;
#endif
#ifdef M_HEIR_PARKS /* with M_HEIR_SLEEPS */
        IF(st != WAITING && st != HEIR && ask_at == NEVER) ask_at = LATER FI
#else
        IF(st != WAITING && ask_at == NEVER) ask_at = LATER FI
#endif
    };
#ifdef TIMED
    if
    :: atomic { timed -> goto abandon }
    :: atomic { true }
    fi;
#endif
    IF(due)
        atomic {
            ask_for_drop();
            due = false;
#ifdef M_NO_REPEAT
            ask_at = NEVER
#else
            ask_at = LATER
#endif
        }
    FI;
    atomic {
        /* settle_role; watch is a hint: that it is read a little earlier than the CAS is done does
         * what an owner does that sets it a little later. */
        to = st;
        if
        :: watch && st != WAITING -> to = WATCH
#ifdef M_HEIR_SLEEPS
        :: !watch && st == WATCH -> to = HEAD
#else
        :: !watch && (st == WATCH || st == HEIR) -> to = HEAD
#endif
        :: else
        fi;
#if defined(LIVE) && defined(COMPUTE)
        due = ask_at == LATER; /* time passes for one that does not get to sleep, too */
#endif
        IF(to != st) /* T19 */
            IF(state[n] == st) state[n] = to FI;
            st = 0; to = 0; seen = false;
            goto wait_linked
        FI;
        to = 0;
        deadline = (look_again || st == WATCH -> SOON : ask_at);
        look_again = false;
        /* sleep_until; the futex compares the state with the value that the CAS has set: if it has
         * changed, it returns, as one does that has slept and was woken. */
#ifdef M_SLEEP_BLINDLY
        state[n] = st | SLEEPING; asleep[n] = true; st = 0
#else
        if
        :: state[n] == st -> /* T20 */ state[n] = st | SLEEPING; asleep[n] = true; st = 0
        :: else -> st = 0; deadline = NEVER; goto wait_linked
        fi
#endif
    };
    if
    :: atomic { !asleep[n] }
#if !defined(LIVE) || !defined(COMPUTE)
    :: atomic { asleep[n] && deadline == SOON }
#endif
#ifdef COMPUTE
    :: atomic { asleep[n] && (deadline == LATER || (deadline == SOON && ask_at == LATER)) ->
                due = true }
#endif
#ifdef TIMED
    :: atomic { asleep[n] && timed }
#endif
#ifdef SPURIOUS
    :: atomic { asleep[n] && !spurious -> spurious = true }
#endif
    fi;
    atomic { asleep[n] = false; deadline = NEVER; state[n] = state[n] & ROLE };
    goto wait_linked;

#ifdef TIMED
abandon:
    atomic {
        timed = false; due = false; ask_at = NEVER; look_again = false; seen = false;
        st = state[n];
        IF(!is_waiting(st)) st = 0; goto wait_linked FI;
        /* T21 */ state[n] = ABANDONED;
        WANT(false);
#ifdef M_UNLINKS_ITSELF
        queue_remove(n);
#endif
        IF(st == WAITING) st = 0; goto outside FI;
        st = 0
    };
#ifndef M_LEAVES_SILENTLY
    atomic { /* T22 */
        if
        :: word & LOCKED
        :: word == 0 -> goto outside
        :: else -> lock_try_take(); goto abandon_taken
        fi
    };
    atomic { ask_for_drop() };
#endif
    goto outside;
abandon_taken:
    assert(taken);
    took_with_queue();
    atomic { taken = false; how = RELEASE_PLAIN; after = TO_OUTSIDE; goto lock_release_slow };
#endif

took:
    assert(taken);
    IF(with_queue) took_with_queue() FI;
held:
    /* ---- Owning. ---- */
    atomic {
        taken = false; mine = false; st = 0; due = false; ask_at = NEVER; timed = false;
        seen = false; look_again = false; no_ask = false;
        WANT(false);
        assert(inside == 0 && owns == n && state[n] == HELD && word & LOCKED);
        inside++
    };
#ifdef COMPUTE
    if
    :: true
    :: true ->
computing: /* until it is asked, or there is nobody to ask */
        if
#ifdef ERASE
        :: atomic { breaker && !erased -> breaker = false; erased = true; goto computing }
        :: atomic { breaker -> breaker = false }
#else
        :: drop
#endif
        :: ended == N - 1
        fi
    fi;
#endif

    /* ---- Releasing. ---- */
    inside--;
    if
#ifdef PLAIN
    :: atomic { true -> how = RELEASE_PLAIN; after = TO_OUTSIDE }
#endif
#ifdef DEFER
    :: atomic { true -> how = RELEASE_DEFER; after = TO_OUTSIDE }
#endif
#ifdef HAND_ON
    :: atomic { true -> how = RELEASE_PLAIN; after = TO_HAND_ON }
#endif
#ifdef YIELD
    :: atomic { true -> how = RELEASE_GRANT; after = TO_YIELD;
        IF(count == 0 && word == LOCKED && !drop) how = 0; after = 0; goto held FI;
        goto lock_release_slow }
#endif
    fi;
    atomic { /* lock_release_fast */
        IF(count == 0 && !drop && !slice_start && word == LOCKED)
            OWN; word = 0; owns = 0; state[n] = IDLE; /* T5 */
            goto released
        FI;
#ifdef DEFER
        /* gil_lock_release_deferred: the head watches, and nobody has pushed or asked. */
        IF(how == RELEASE_DEFER && !drop && word == LOCKED && head != 0)
            IF((state[head] & ROLE) == WATCH) h = head; goto defer FI
        FI
#endif
    };

lock_release_slow:
#ifdef M_CLEAR_LATE
    atomic { asked = drop };
#else
    atomic { asked = drop; drop = false }; /* T17 */
#endif
release_loop:
    drain();
    policy_next(skip, MAY_STOP);
    IF(h == 0)
        atomic { head = 0; slice_start = false };
        atomic { /* T5 */
            IF(word != LOCKED) goto release_loop FI;
            OWN; word = 0; owns = 0; state[n] = IDLE;
            goto released
        }
    FI;
#ifdef DEFER
    IF(how == RELEASE_DEFER && !asked)
        /* watches */
        atomic {
            st = state[h];
            IF(st == HEAD || st == WAITING) watch = true FI
        };
        atomic {
            IF(st == HEAD || st == WAITING) /* T16 */
                if
                :: state[h] == st -> state[h] = WATCH; st = WATCH
                :: else -> st = state[h]
                fi
            FI;
            IF((st & ROLE) == WATCH) st = 0; head = h; goto defer FI;
            st = 0;
            deferred_in_slice = true; watch = true
        }
    FI;
#endif
    atomic {
        slice_start = true; /* charge_self */
        if
#ifndef M_NO_HEIR_LIMIT
        :: (asked || how == RELEASE_GRANT || heir_since[h]) && !is_abandoned(state[h])
#else
        :: (asked || how == RELEASE_GRANT) && !is_abandoned(state[h])
#endif
#ifdef LIMITS
        :: else -> goto free_for_heir
#else
        :: (!asked && how != RELEASE_GRANT) || is_abandoned(state[h]) -> goto free_for_heir
#endif
        fi;
        to = h; h = 0;
        queue_remove(to)
    };

grant:
    name_head();
    atomic { /* T6 */
        begin_slice();
        st = state[to];
        GETS(to);
        if
#ifdef M_GRANT_ABANDONED
        :: true -> state[to] = GRANTED; owns = to; state[n] = IDLE
#else
        :: is_waiting(st) -> state[to] = GRANTED; owns = to; state[n] = IDLE
        :: st == ABANDONED -> state[to] = IDLE
        :: st == ORPHAN -> state[to] = IDLE; node_recycle(to)
#endif
        fi;
        if
        :: !is_waiting(st) -> to = 0; st = 0; goto grant_failed
        :: is_waiting(st) && !(st & SLEEPING) -> to = 0; st = 0; goto granted
        :: else -> st = 0
        fi
    };
    atomic { wake(to); to = 0 };
granted:
    wake_sleeper();
    goto released;
grant_failed:
    wake_sleeper();
    goto release_loop;

free_for_heir:
    atomic { head = h; heir_since[h] = true };
#ifdef M_HEIR_FIRST
    atomic {
        st = state[h];
        if
        :: is_waiting(st) -> state[h] = HEIR
        :: else -> h = 0; st = 0; goto release_loop
        fi
    };
    IF(st & SLEEPING) atomic { wake(h) } FI;
    st = 0;
#endif
    atomic { /* T7 */
        IF(word != LOCKED) h = 0; goto release_loop FI;
        OWN; word = HASQ; owns = 0
    };
    make_heir();
    atomic {
        IF(taken) taken = false; goto release_loop FI;
        state[n] = IDLE;
        goto released
    };

#ifdef DEFER
defer:
    atomic { /* T8 */
        deferred_in_slice = true;
        IF(word != LOCKED) goto defer_failed FI;
        OWN; word = WORD(n, DEFERRED); owns = 0; deferrer = n
    };
#ifndef M_DEFER_BLINDLY
    atomic { /* T15 */ IF((state[h] & ROLE) == WATCH) h = 0; goto deferred FI };
    atomic { IF(word == WORD(n, DEFERRED)) TAKE(LOCKED); goto defer_failed FI };
#endif
deferred:
    /* What a thread does then: it tries its call, and takes the lock back; it finds that the call
     * blocks; it gives its turn away; it ends. */
    atomic { h = 0; how = 0; asked = false; state[n] = DEFERRING };
    if
    :: goto acquire
    :: goto lock_complete
    :: ended++; /* a call that takes for ever: the others go on without it */
end_calling:
        false
#ifdef HAND_ON
    :: goto lock_hand_on
#endif
    fi;
defer_failed:
    /* In the loop of lock_release_slow, or, on the fast path, before it: T17 once more is the same
     * as a request that comes later. */
    atomic { h = 0; goto lock_release_slow };

lock_complete:
    atomic {
        state[n] = IDLE; h = head;
        IF(word != WORD(n, DEFERRED)) h = 0; goto outside FI; /* T9 */
        word = HASQ
    };
    make_heir();
    atomic {
        IF(!taken) goto outside FI;
        taken = false; state[n] = HELD; how = RELEASE_PLAIN;
        goto lock_release_slow
    };
#endif

#ifdef HAND_ON
lock_hand_on:
    atomic {
        how = 0; after = 0;
        IF(state[n] == DEFERRING) state[n] = IDLE FI;
        IF(!(word & (HASQ | DEFERRED))) goto outside FI;
        lock_try_take()
    };
    assert(taken);
    took_with_queue();
    atomic { taken = false; how = RELEASE_GRANT; goto lock_release_slow };
#endif

released:
    atomic {
        how = 0; h = 0; st = 0; asked = false;
#ifdef M_CLEAR_LATE
        drop = false;
#endif
        if
        :: after == TO_YIELD -> after = 0; no_ask = true; goto acquire
#ifdef HAND_ON
        :: after == TO_HAND_ON -> goto lock_hand_on
#endif
        :: else -> after = 0; goto outside
        fi
    };

thread_exit:
    atomic { /* T26 */
        if
#ifdef M_RECYCLED_LINKED
        :: state[n] == ABANDONED -> state[n] = IDLE; node_recycle(n)
#endif
        :: state[n] == ABANDONED -> state[n] = ORPHAN
        :: state[n] == IDLE -> node_recycle(n)
        :: else
        fi;
        n = 0; ended++
    };
#ifdef EXIT
end_unborn:
    /* Another thread may begin, with a node from the pool. */
    atomic {
        IN_POOL;
        pool_pop(n);
        ended--;
        goto outside
    };
#endif
}

init {
    atomic {
        byte t = 1;
#ifdef LEAVE
        pool[NODES] = true;
#endif
        do
        :: t <= N -> run thread(t); t++
        :: else -> break
        od
    }
}
