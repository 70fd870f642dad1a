/* The lock: acquiring and releasing. A waiter's side is in wait.c, who is next in policy.c, the
 * interface in lock_api.c.
 *
 * The word            who may look at the run queue
 *   0                 free, and nobody waits: the queue is empty, head is NULL
 *   LOCKED | top      the owner. Waiters push their node onto the arrival stack with a CAS; the
 *                     owner takes all of them off with an exchange, and nobody else does.
 *   HASQ              free, the queue is not empty; nobody. The head has been made heir and
 *                     woken; whoever comes along competes with it.
 *   DEFERRED | node   free for the moment, the queue is not empty; nobody. The deferrer (node)
 *                     may take the lock back, anybody else may take it over.
 *
 * Invariants
 * 1. Run queue, floor, slice and head are written by the thread whose CAS set LOCKED, or to whom
 *    that thread granted the lock (by a CAS of the waiter's state to GRANTED).
 * 2. In HASQ and DEFERRED the stack is empty: all linked nodes are in the run queue. That includes
 *    its backlog (runqueue.h): to the protocol it makes no difference in which part a node is, since
 *    only the owner can tell. Of those in the backlog none is named, granted the lock or made heir;
 *    one that comes to own the lock by itself leaves its node there as an orphan (took_with_queue).
 * 3. Somebody is responsible: whenever a thread waits, some waiter sleeps with a deadline. It is
 *    the one named in `head`, or, while head is NULL, the one that pushed onto an empty stack. A
 *    waiter pushes first and reads head afterwards; an owner that stores NULL into head looks at
 *    the stack again afterwards: one of the two sees the other.
 * 4. A waiter that gives up (CAS to ABANDONED) looks at the word afterwards; whoever frees the
 *    word for a waiter (HASQ, DEFERRED) looks at that waiter's state afterwards: one of the two
 *    sees the other, takes the lock, and names another. The same pair keeps a waiter from sleeping
 *    while the lock is free for it: an heir becomes head or watch again before it sleeps, and a
 *    watching one becomes head, and looks at the word afterwards; whoever frees the word makes h
 *    heir (HASQ), or looks whether it still watches (DEFERRED), afterwards.
 * 5. A waiter is granted the lock at most once a wait: GRANTED is set by a CAS from a waiting
 *    role. Where that fails because the waiter has given up, another is chosen.
 * 6. After its last write to the word a releasing thread touches only nodes, whose memory is
 *    never unmapped (node.c), and never the lock.
 * 7. Whoever takes NODE_SLEEPING out of a waiter's state wakes the waiter.
 *
 * Transitions, by the tag that stands beside them in the code
 *   T1  acquire from 0                  T2  acquire from HASQ
 *   T3  take over from DEFERRED         T4  take back from DEFERRED
 *   T5  release to 0                    T6  grant: a request is pending, or the heir is overdue
 *   T7  release to HASQ: heir           T8  defer
 *   T9  complete: DEFERRED to HASQ      T10 drain
 *   T11 push                            T12 the first to push is responsible
 *   T13 name the head                   T14 promote the head that was named
 *   T15 look again after freeing        T16 a head that is awake is told to watch
 *   T17 clear the request               T18 ask
 *   T19 change one's own role           T20 sleep
 *   T21 give up                         T22 and look again
 *   T23 wait on in place                T24 unlink one that gave up
 *   T25 notice the grant                T26 the thread ends
 *
 * Memory orders: the CAS that sets LOCKED is an acquire, and every write that clears it or grants
 * the lock is a release, so that one owner sees all that the one before it did. The pairs of 3
 * and 4 are seq_cst. A node is passed on likewise: a push, and whatever sets IDLE or ORPHAN or puts
 * it into the pool, is a release, and who acts on that acquires it. A CAS that fails only tells to
 * try again, and is relaxed there, unless what it found is acted upon. Fields that an owner
 * publishes for waiters (owner, slice_start, least, average, floor, watch, absent, a node's served)
 * are hints to them, and relaxed. tests/model/orders.pml has each pair. */
#define _GNU_SOURCE
#include "lib/lock_impl.h"

#include <sched.h>

#include "kernel-helpers/clock.h"
#include "lib/hold.h"

static bool word_cas(struct lock *l, uintptr_t from, uintptr_t to)
{
    return __atomic_compare_exchange_n(&l->word, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

/* The calling thread owns the lock now. */
static void took(struct lock *l, struct node *n)
{
    relaxed_store(&n->state, NODE_HELD);
    relaxed_store(&l->owner, n);
    count_acquire(n);
    if (PROBE_ATTACHED(released))
        hold_begins_watched(n);
}

/* ---- The owner's side of the queue. ---- */

/* T10. Takes the arrivals off the stack. The slice of an owner that was alone starts with the
 * first; of very many, with the first that is known, which favours the owner. */
static void drain(struct lock *l)
{
    struct node *newest;

    if (relaxed_load(&l->word) == WORD_LOCKED)
        return;
    STEP(T10, l, NULL);
    newest = word_node(__atomic_exchange_n(&l->word, WORD_LOCKED, __ATOMIC_SEQ_CST));
    if (!l->slice_start)
        relaxed_store(&l->slice_start, runqueue_arrival(newest));
    runqueue_append(&l->queue, newest);
}

/* T10 for an arrival that is the only waiter: it need not go through the queue to be granted the
 * lock. NULL: there are others, or none. */
static struct node *take_only_arrival(struct lock *l)
{
    uintptr_t word = __atomic_load_n(&l->word, __ATOMIC_ACQUIRE); /* of the push: h->next */
    struct node *h = word_node(word);

    if (!h || h->next || !runqueue_empty(&l->queue) || !is_waiting(relaxed_load(&h->state)))
        return NULL;
    STEP(T10, l, NULL);
    if (!word_cas(l, word, WORD_LOCKED))
        return NULL;
    if (!l->slice_start)
        relaxed_store(&l->slice_start, h->arrived);
    return h;
}

/* Gives a waiter another role. Returns the state it had; if that was no waiting one, nothing
 * changed. If that says SLEEPING, the caller has to wake the waiter, and nobody else will. */
static uint32_t set_role(struct node *n, uint32_t role)
{
    uint32_t state = __atomic_load_n(&n->state, __ATOMIC_ACQUIRE); /* of ORPHAN, to recycle it */

    do {
        if (!is_waiting(state))
            return state;
    } while (!__atomic_compare_exchange_n(&n->state, &state, role, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_ACQUIRE));
    return state;
}

/* Makes a waiter responsible that is not yet. False: it has given up. *asleep: it has to be woken
 * to take notice. */
static bool promote(struct node *h, bool *asleep)
{
    uint32_t state = relaxed_load(&h->state);

    *asleep = false;
    do {
        if (!is_waiting(state))
            return false;
        if ((state & NODE_ROLE) != NODE_WAITING)
            return true;
    } while (!__atomic_compare_exchange_n(&h->state, &state, NODE_HEAD, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    *asleep = state & NODE_SLEEPING;
    return true;
}

/* Names the responsible waiter (invariant 3), who asks at the end of the slice: that of `owner`,
 * which begins. Returns it if it has to be woken to take notice. */
static struct node *name_head(struct lock *l, const struct node *owner, int64_t now)
{
    struct node *h;
    bool asleep;

    relaxed_store(&l->slice_end, now + policy_slice(l, owner));
    for (;;) {
        h = policy_next(l, now);
        STEP(T13, l, h);
        __atomic_store_n(&l->head, h, __ATOMIC_SEQ_CST);
        STEP(T14, l, h);
        if (h) {
            if (promote(h, &asleep))
                return asleep ? h : NULL;
        } else if (__atomic_load_n(&l->word, __ATOMIC_SEQ_CST) == WORD_LOCKED) {
            return NULL;
        }
        drain(l);
    }
}

static struct node *least_served(const struct lock *l)
{
    struct node *computing = l->queue.of[CLASS_COMPUTING].top;
    struct node *sprinter = l->queue.of[CLASS_SPRINTER].top;

    if (!computing || (sprinter && sprinter->served < computing->served))
        return sprinter;
    return computing;
}

/* The lock is being handed over: its time is charged to the new owner from now on. */
static void begin_slice(struct lock *l, const struct node *owner, int64_t now)
{
    struct node *least = least_served(l);

    if (!l->deferred_in_slice && l->watch)
        relaxed_store(&l->watch, l->watch - 1);
    if (l->deferred_in_slice) /* its cache line then stays shared from owner to owner */
        l->deferred_in_slice = false;
    relaxed_store(&l->slice_start, now);
    relaxed_store(&l->least, least ? least->served : 0);
    relaxed_store(&l->sharers, l->queue.count + 1);
    relaxed_store(&l->computing, l->queue.of[CLASS_COMPUTING].oldest != NULL);
    relaxed_store(&l->average, (l->queue.served + owner->served) / (l->queue.count + 1));
}

static void advance_floor(struct lock *l, const struct node *least)
{
    if (least && least->served > l->floor)
        relaxed_store(&l->floor, least->served);
}

/* Charges the caller for its time since slice_start. One that was asked may be no sprinter any more,
 * and take the lock again without having waited. */
static void charge_self(struct lock *l, struct node *n, bool asked, int64_t now)
{
    int64_t start = l->slice_start;
    int64_t used = start && now > start ? now - start : 0;

    relaxed_store(&n->served, n->served + used);
    relaxed_store(&l->slice_start, now);
    n->since_call = asked ? n->since_call + used : 0;
    if (asked)
        relaxed_store(&n->sprinter, policy_sprints(l, n));
}

static void wake(struct node *by, struct node *n)
{
    count_up(by, futex_wakes);
    futex_wake(&n->state);
}

/* ---- Acquiring. ---- */

/* The caller has set LOCKED with a queue there: it leaves the queue itself, and a slice starts. */
static void took_with_queue(struct lock *l, struct node *n, uintptr_t from)
{
    int64_t now = clock_now_ns();
    struct node *sleeper;

    if ((from & WORD_DEFERRED) && l->slice_start && now > l->slice_start)
        __atomic_fetch_add(&word_node(from)->charged, now - l->slice_start, __ATOMIC_RELAXED);
    if (n->queued || is_linked(relaxed_load(&n->state))) {
        if (relaxed_load(&l->asker) == n) /* seq_cst: then name_head looks who has given up */
            __atomic_store_n(&l->drop, 0, __ATOMIC_SEQ_CST);
        if (n->queued)
            runqueue_remove(&l->queue, n);
        else
            n = node_leave(n); /* to find its place in the backlog might take long */
    }
    took(l, n);
    relaxed_store(&n->cpu, sched_getcpu());
    sleeper = name_head(l, n, now);
    begin_slice(l, n, now);
    if (sleeper)
        wake(n, sleeper);
}

bool lock_try_take(struct lock *l, struct node *n)
{
    uintptr_t word = relaxed_load(&l->word);
    bool idle = relaxed_load(&n->state) == NODE_IDLE;

    while (!(word & WORD_LOCKED)) {
        if (idle)
            relaxed_store(&n->state, NODE_HELD); /* first, see fork.c */
        STEP(T2, l, n);
        if (!__atomic_compare_exchange_n(&l->word, &word, WORD_LOCKED, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_RELAXED))
            continue;
        if (word == 0)
            took(l, n); /* T1 */
        else
            took_with_queue(l, n, word); /* T2, T3 */
        return true;
    }
    if (idle)
        relaxed_store(&n->state, NODE_IDLE);
    return false;
}

/* ---- Releasing. ---- */

/* T6. Gives the lock to h, which is not linked. False: h has given up; the caller still owns the
 * lock. */
static bool grant(struct lock *l, struct node *n, struct node *h, int64_t now)
{
    struct node *sleeper;
    uint32_t state;

    sleeper = name_head(l, h, now);
    relaxed_store(&l->owner, h);
    relaxed_store(&l->granted_by, n->tid);
    begin_slice(l, h, now);
    STEP(T6, l, h);
    while (!is_waiting(state = set_role(h, NODE_GRANTED))) {
        /* Not linked: whichever way this CAS goes, it is settled here. */
        if (state == NODE_ORPHAN) {
            relaxed_store(&h->state, NODE_IDLE);
            node_recycle(h);
        } else if (!__atomic_compare_exchange_n(&h->state, &state, NODE_IDLE, false,
                                                __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            continue;
        }
        relaxed_store(&l->owner, n);
        if (sleeper)
            wake(n, sleeper);
        return false;
    }
    relaxed_store(&n->state, NODE_IDLE);
    count_up(n, handovers);
    if (state & NODE_SLEEPING)
        wake(n, h);
    if (sleeper)
        wake(n, sleeper);
    return true;
}

/* The caller gives up the lock by itself while others wait. */
static void goes_away(struct lock *l, struct node *n, int64_t now)
{
    relaxed_store(&n->left, now);
    relaxed_store(&l->absent, n);
}

/* The lock has just been freed for h (HASQ): makes it heir and wakes it. False: it has given up,
 * and the caller owns the lock again (invariant 4). Not before it is freed: an heir that still saw
 * the lock taken would go back to sleep. By now h may be doing something else, even for another
 * lock; a waiter that is made heir for nothing looks around once more. */
static bool make_heir(struct lock *l, struct node *n, struct node *h)
{
    uint32_t state;

    STEP(T15, l, h);
    state = set_role(h, NODE_HEIR);
    if (is_waiting(state) && (state & NODE_SLEEPING))
        wake(n, h);
    return !is_abandoned(state) || !word_cas(l, WORD_HASQ, WORD_LOCKED);
}

/* T7. Frees the lock for h. False: somebody pushed, or h has given up; the caller owns the lock. */
static bool free_for_heir(struct lock *l, struct node *n, struct node *h, int64_t now)
{
    __atomic_store_n(&l->head, h, __ATOMIC_SEQ_CST);
    if (!h->heir_since)
        h->heir_since = now;
    STEP(T7, l, h);
    if (!word_cas(l, WORD_LOCKED, WORD_HASQ))
        return false;
    if (!make_heir(l, n, h)) {
        relaxed_store(&l->owner, n);
        return false;
    }
    relaxed_store(&n->state, NODE_IDLE);
    return true;
}

/* T8. Defers, leaving h to watch. False: somebody pushed, or h has given up; the caller owns the
 * lock. */
static bool defer(struct lock *l, struct node *n, struct node *h)
{
    uintptr_t deferred = WORD_DEFERRED | (uintptr_t)n;

    l->deferred_in_slice = true;
    n->since_call = 0;
    STEP(T8, l, n);
    if (!word_cas(l, WORD_LOCKED, deferred))
        return false;
    STEP(T15, l, h);
    /* Invariant 4, and the same for a head that has just stopped watching. */
    if ((__atomic_load_n(&h->state, __ATOMIC_SEQ_CST) & NODE_ROLE) != NODE_WATCH &&
        word_cas(l, deferred, WORD_LOCKED))
        return false;
    relaxed_store(&n->state, NODE_DEFERRING);
    count_up(n, deferred);
    return true;
}

/* Will h look for a deferral soon? One that is awake is told to; one that sleeps until the end of
 * the slice would have to be woken. */
static bool watches(struct lock *l, struct node *h)
{
    uint32_t state = relaxed_load(&h->state);

    if (state == NODE_HEAD || state == NODE_WAITING) {
        relaxed_store(&l->watch, WATCH_SLICES);
        STEP(T16, l, h);
        if (__atomic_compare_exchange_n(&h->state, &state, NODE_WATCH, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED))
            return true;
    }
    return (state & NODE_ROLE) == NODE_WATCH;
}

/* T5. Nobody waits. False: somebody pushed; the caller owns the lock. */
static bool free_for_anybody(struct lock *l, struct node *n)
{
    __atomic_store_n(&l->head, NULL, __ATOMIC_SEQ_CST);
    relaxed_store(&l->slice_start, 0);
    relaxed_store(&l->computing, false);
    STEP(T5, l, n);
    if (!word_cas(l, WORD_LOCKED, 0))
        return false;
    relaxed_store(&n->state, NODE_IDLE);
    return true;
}

/* T17. Takes the request to drop the lock, if there is one. */
static bool asked_to_drop(struct lock *l, struct node *n, struct hold *hold)
{
    bool asked;

    STEP(T17, l, n);
    asked = relaxed_load(&l->drop) && __atomic_exchange_n(&l->drop, 0, __ATOMIC_SEQ_CST);
    n->dropped = asked;
    if (asked) {
        count_up(n, forced);
        hold->flags = GIL_RELEASED_FORCED;
    }
    return asked;
}

/* Where thousands have given up, policy_next does not find the next waiter in one step: it returns
 * one that has given up, too. The lock is freed for that one as for any heir, and taken back on
 * seeing that it has given up (T7, T15), unless somebody else has come: so nobody has to wait for
 * more than a step. name_head cannot do that: an owner may go on to compute for as long as it
 * likes, and until a live waiter is named, or known not to exist, nobody would ask it to stop. */
static bool let_go(struct lock *l, struct node *n, enum lock_release_how how, struct hold *hold)
{
    struct node *newest = word_node(relaxed_load(&l->word));
    bool asked;

    if (newest) { /* written on another processor: fetched while the clock is read */
        __builtin_prefetch(&newest->served);
        __builtin_prefetch(&newest->since_call);
    }
    asked = asked_to_drop(l, n, hold);
    for (;;) {
        int64_t now = clock_now_ns();
        struct node *h;
        bool directly;

        hold->ended = now;
        if ((asked || how == RELEASE_GRANT) && (h = take_only_arrival(l))) {
            charge_self(l, n, asked, now);
            advance_floor(l, h);
            hold->waiters = 1;
            if (grant(l, n, h, now)) {
                hold->flags |= GIL_RELEASED_GRANTED;
                return false;
            }
            continue;
        }
        drain(l);
        h = policy_next(l, now);
        hold->waiters = l->queue.count;
        if (!h) {
            charge_self(l, n, asked, now);
            if (free_for_anybody(l, n))
                return false;
            continue;
        }
        advance_floor(l, least_served(l));
        if (how == RELEASE_DEFER && !asked) {
            if (watches(l, h)) {
                __atomic_store_n(&l->head, h, __ATOMIC_SEQ_CST);
                if (defer(l, n, h)) {
                    hold->flags |= GIL_RELEASED_DEFERRED;
                    return true;
                }
                continue;
            }
            l->deferred_in_slice = true;
            relaxed_store(&l->watch, WATCH_SLICES);
        }
        charge_self(l, n, asked, now);
        directly =
            asked || how == RELEASE_GRANT || (h->heir_since && now - h->heir_since > HEIR_NS);
        if (directly && !is_abandoned(relaxed_load(&h->state))) {
            runqueue_remove(&l->queue, h);
            if (grant(l, n, h, now)) {
                hold->flags |= GIL_RELEASED_GRANTED;
                return false;
            }
        } else {
            if (!directly)
                goes_away(l, n, now);
            if (free_for_heir(l, n, h, now))
                return false;
        }
    }
}

/* Out of the way of the fast path, which needs no room for what is told. */
__attribute__((noinline)) bool lock_release_slow(struct lock *l, struct node *n,
                                                 enum lock_release_how how)
{
    struct hold hold = hold_ending(l, n);
    bool deferred = let_go(l, n, how, &hold);

    hold_ended(l, n, &hold);
    return deferred;
}

bool gil_lock_release_deferred(gil_lock *lock)
{
    struct lock *l = lock_of(lock);
    struct node *n = node_of(l);
    struct node *h = relaxed_load(&l->head);

    if (unlikely(relaxed_load(&n->state) != NODE_HELD))
        misuse("gil_lock_release_deferred", l, "the caller does not own the lock");
    if (!relaxed_load(&l->drop) && relaxed_load(&l->word) == WORD_LOCKED) {
        if (lock_release_fast(l, n))
            return false;
        /* The common case of a loop: no clock, no queue, nothing to tell. */
        if (!PROBE_ATTACHED(released) && !n->hold.granted && h &&
            (relaxed_load(&h->state) & NODE_ROLE) == NODE_WATCH && defer(l, n, h))
            return true;
    }
    return lock_release_slow(l, n, RELEASE_DEFER);
}

void lock_complete(struct lock *l, struct node *n)
{
    int64_t start = relaxed_load(&l->slice_start);
    struct node *h = relaxed_load(&l->head);
    int64_t now = clock_now_ns();

    goes_away(l, n, now);
    relaxed_store(&n->state, NODE_IDLE);
    STEP(T9, l, n);
    if (!word_cas(l, WORD_DEFERRED | (uintptr_t)n, WORD_HASQ)) { /* T9 */
        count_up(n, deferred_taken);
        return;
    }
    count_up(n, deferred_ended);
    if (start)
        __atomic_fetch_add(&n->charged, now - start, __ATOMIC_RELAXED);
    if (!make_heir(l, n, h)) {
        took(l, n);
        lock_release_slow(l, n, RELEASE_PLAIN);
    }
}

void lock_hand_on(struct lock *l)
{
    struct node *n = node_of(l);
    uintptr_t word = relaxed_load(&l->word);

    if (relaxed_load(&n->state) == NODE_DEFERRING) {
        relaxed_store(&n->state, NODE_IDLE);
        if (word == (WORD_DEFERRED | (uintptr_t)n))
            count_up(n, deferred_ended);
        else
            count_up(n, deferred_taken);
    }
    if (!(word & (WORD_HASQ | WORD_DEFERRED)) || !lock_try_take(l, n))
        return;
    lock_release_slow(l, n, RELEASE_GRANT);
}
