/* A waiter's side of the lock: pushing, asking, spinning, sleeping, giving up.
 *
 * Invariant: a waiter sleeps only with NODE_SLEEPING set in its state word, and on that very value;
 * whoever changes the word and finds the flag wakes it. One that is responsible (head, watch,
 * heir), or that has asked for a drop itself, never sleeps without a deadline. */
#define _GNU_SOURCE
#include <sched.h>

#include "kernel-helpers/clock.h"
#include "kernel-helpers/cpus.h"
#include "kernel-helpers/pause.h"
#include "lib/hold.h"

static uint32_t spinners_max;

__attribute__((constructor)) static void wait_start(void)
{
    spinners_max = (uint32_t)cpus_usable() - 1;
}

/* Does it make sense to spin: has the owner probably got another CPU? */
static bool owner_elsewhere(const struct lock *l)
{
    const struct node *owner = relaxed_load(&l->owner);

    return spinners_max > 0 && (!owner || relaxed_load(&owner->cpu) != sched_getcpu());
}

/* Spins until n's state is no longer `state`, until the lock is free (if `compete`), or until the
 * time `until`, but no longer than SPIN_NS. Returns false at once where spinning cannot help. */
static bool spin(struct lock *l, struct node *n, uint32_t state, int64_t until, bool compete)
{
    bool changed = false;

    if (!owner_elsewhere(l))
        return false;
    if (__atomic_fetch_add(&l->spinners, 1, __ATOMIC_RELAXED) < spinners_max) {
        int64_t latest = clock_now_ns() + SPIN_NS;
        if (until > latest)
            until = latest;
        for (uint32_t i = 1; !changed; i++) {
            pause_cpu();
            changed = relaxed_load(&n->state) != state ||
                      (compete && !(relaxed_load(&l->word) & WORD_LOCKED));
            if (i % 8 == 0 && clock_now_ns() >= until)
                break;
        }
    }
    __atomic_fetch_sub(&l->spinners, 1, __ATOMIC_RELAXED);
    return changed;
}

static int32_t owner_tid(const struct lock *l)
{
    const struct node *owner = relaxed_load(&l->owner);

    return owner ? owner->tid : 0;
}

/* Asks the owner to drop the lock. */
static void ask_for_drop(struct lock *l, struct node *n)
{
    gil_drop_request_fn *fn = relaxed_load(&l->on_drop);

    count_up(n, requests);
    relaxed_store(&l->asker, n);
    STEP(T18, l, n);
    __atomic_store_n(&l->drop, 1, __ATOMIC_SEQ_CST);
    if (fn)
        fn((gil_lock *)l, relaxed_load(&l->on_drop_arg));
    PROBE(drop_request, l, n->tid, owner_tid(l));
}

/* Gives up waiting. False: the lock was granted first. Afterwards somebody else is responsible, if
 * anybody waits (lock.c, invariant 4). */
static bool abandon(struct lock *l, struct node *n)
{
    uint32_t state = __atomic_load_n(&n->state, __ATOMIC_ACQUIRE);
    uintptr_t word;

    do {
        if (!is_waiting(state))
            return false;
        STEP(T21, l, n);
    } while (!__atomic_compare_exchange_n(&n->state, &state, NODE_ABANDONED, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE));
    if ((state & NODE_ROLE) == NODE_WAITING)
        return true;
    STEP(T22, l, n);
    word = __atomic_load_n(&l->word, __ATOMIC_SEQ_CST);
    if (word & WORD_LOCKED)
        ask_for_drop(l, n); /* the owner drains and names another */
    else if (word != 0 && lock_try_take(l, n))
        lock_release_slow(l, node_of(l), RELEASE_PLAIN);
    return true;
}

/* Joins the waiters. False: the lock is free again, and n is not linked. */
static bool push(struct lock *l, struct node *n)
{
    uintptr_t word = relaxed_load(&l->word);
    uint32_t waiting = NODE_WAITING;

    relaxed_store(&n->state, NODE_WAITING);
    do {
        if (!(word & WORD_LOCKED)) {
            relaxed_store(&n->state, NODE_IDLE);
            return false;
        }
        n->next = word_node(word);
        STEP(T11, l, n);
    } while (!__atomic_compare_exchange_n(&l->word, &word, (uintptr_t)n | WORD_LOCKED, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    /* Invariant 3 of lock.c: push, then look. */
    STEP(T12, l, n);
    if (!word_node(word) && !__atomic_load_n(&l->head, __ATOMIC_SEQ_CST))
        __atomic_compare_exchange_n(&n->state, &waiting, NODE_HEAD, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED);
    return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How much too early a request may come, which is next to nothing of a slice. A head that woke up
 * early, since timers are late, need not go to sleep once more. */
static int64_t leeway(const struct lock *l)
{
    int64_t part = (relaxed_load(&l->slice_end) - relaxed_load(&l->slice_start)) / 64;

    return part < EARLY_NS ? part : EARLY_NS;
}

/* When a waiter should ask, looked at again because its time had come for the owner that it had
 * seen. */
static int64_t ask_now_or_later(const struct lock *l, const struct node *n, uint32_t role,
                                unsigned flags, int64_t now)
{
    int64_t at = flags & WAIT_NO_ASK ? NEVER : policy_ask_at(l, n, now);
    int64_t turns = (int64_t)relaxed_load(&l->sharers) + 1;
    int64_t end;

    if (flags & WAIT_ASK)
        return now;
    if (role == NODE_WAITING || at <= now)
        return at;
    /* Responsible: at the end of the slice, unless too many slices have begun since it came. */
    end = policy_slice_end(l, n);
    if (end <= now + leeway(l) || now - n->arrived >= turns * lock_interval(l))
        return now;
    return earlier(end, at);
}

/* How long after a request n looks whether to repeat it. A sprinter looks again soon: the request may
 * have brought in somebody else. Where very many wait, looking must not be all that the processors
 * do; so whoever is not responsible is more patient each time. */
static int64_t next_patience(const struct lock *l, const struct node *n, uint32_t role,
                             int64_t patience)
{
    if (role == NODE_WAITING && patience)
        return 2 * patience;
    return policy_sprints(l, n) ? policy_granularity(l) : lock_interval(l);
}

static void sleep_until(struct lock *l, struct node *n, uint32_t state, int64_t deadline)
{
    uint32_t sleeping = state | NODE_SLEEPING;

    STEP(T20, l, n);
    if (!__atomic_compare_exchange_n(&n->state, &state, sleeping, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED))
        return;
    count_up(n, futex_waits);
    futex_wait(&n->state, sleeping, deadline == NEVER ? FUTEX_FOREVER : deadline);
    __atomic_fetch_and(&n->state, ~(uint32_t)NODE_SLEEPING, __ATOMIC_ACQUIRE);
}

/* Before it sleeps, a responsible waiter watches for deferrals if, and only if, there are any; an
 * heir does not sleep as heir. False: its state has changed, and it has to look at the word again
 * before it sleeps (lock.c, invariant 4). */
static bool settle_role(struct lock *l, struct node *n, uint32_t state)
{
    bool watch = relaxed_load(&l->watch);
    uint32_t to = state;

    if (watch && state != NODE_WAITING)
        to = NODE_WATCH;
    else if (!watch && (state == NODE_WATCH || state == NODE_HEIR))
        to = NODE_HEAD;
    if (to == state)
        return true;
    STEP(T19, l, n);
    __atomic_compare_exchange_n(&n->state, &state, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    return false;
}

/* What a waiter saw of a deferral. */
struct sight {
    uintptr_t word;
    uint64_t count; /* how many times that thread had deferred */
};

/* Takes the lock for a responsible waiter if it is free. A deferral is left to its thread, which is
 * mostly back in a moment, unless it has lasted since the last look; *look_again says to come back
 * soon. */
static bool take_if_free(struct lock *l, struct node *n, struct sight *last, bool *look_again)
{
    /* seq_cst: it follows a change of role (lock.c, invariant 4). */
    struct sight now = {.word = __atomic_load_n(&l->word, __ATOMIC_SEQ_CST)};

    *look_again = false;
    if (now.word & WORD_LOCKED)
        return false;
    if (now.word & WORD_DEFERRED) {
        /* The thread may have ended since, and its node be another's: then the word differs. */
        const gil_thread_stats *stats = relaxed_load(&word_node(now.word)->stats);

        now.count = relaxed_load(&stats->deferred);
        if (now.word != last->word || now.count != last->count) {
            *last = now;
            *look_again = true;
            return false;
        }
    }
    return lock_try_take(l, n);
}

/* A thread that gave up the lock to block woke the owner mostly on its own processor. When it can
 * go on, the kernel may leave it behind a computing owner until the next tick, even beside an idle
 * processor. The head, on that other processor, therefore asks once for each absence that lasts
 * longer than it typically does: the computing moves over, and costs little if nobody was held up.
 * True: ask. */
static bool makes_room(struct lock *l, int64_t now)
{
    const struct node *owner = relaxed_load(&l->owner), *absent = relaxed_load(&l->absent);
    int64_t left;

    if (!absent || relaxed_load(&absent->state) != NODE_IDLE || !owner ||
        relaxed_load(&owner->sprinter) || !owner_elsewhere(l))
        return false;
    left = relaxed_load(&absent->left);
    if (!left || left == relaxed_load(&l->made_room) ||
        now - left < relaxed_load(&absent->absence) + LATE_NS)
        return false;
    relaxed_store(&l->made_room, left);
    return true;
}

/* n is back: updates how long it is typically away. One held up counts as a little late. */
static void came_back(struct node *n, int64_t now)
{
    int64_t away = now - n->left, most = 2 * n->absence + LATE_NS / 5;

    if (!n->left)
        return;
    relaxed_store(&n->absence, n->absence + ((away < most ? away : most) - n->absence) / 8);
    relaxed_store(&n->left, 0);
}

/* Waits while linked. ask_at: when to ask the owner to drop the lock, NEVER while somebody else is
 * responsible. *granted: the lock was granted. */
static bool wait_linked(struct lock *l, struct node *n, int64_t deadline, int64_t ask_at,
                        unsigned flags, bool (*give_up)(void), bool *granted)
{
    struct sight deferral = {0};
    int64_t patience = 0;
    bool responsible = false;

    for (;;) {
        uint32_t state = __atomic_load_n(&n->state, __ATOMIC_ACQUIRE);
        uint32_t role = state & NODE_ROLE;
        int64_t now, wake_at;
        bool look_again = false, ask = false;

        if (role == NODE_GRANTED) {
            STEP(T25, l, n);
            relaxed_store(&n->state, NODE_HELD);
            relaxed_store(&n->cpu, sched_getcpu());
            count_acquire(n);
            *granted = true;
            return true;
        }
        if (role != NODE_WAITING && take_if_free(l, n, &deferral, &look_again))
            return true;
        now = clock_now_ns();
        if ((deadline != FUTEX_FOREVER && now >= deadline) || (give_up && give_up())) {
            if (abandon(l, n))
                return false;
            continue;
        }
        if (role == NODE_HEIR && !look_again) {
            if (spin(l, n, state, NEVER, true))
                continue;
            /* Too late. Where releases are deferred it goes on to watch, otherwise it asks. */
            if (!relaxed_load(&l->watch))
                ask = true;
        }
        if (role != NODE_WAITING && (ask_at == NEVER || !responsible))
            ask_at = earlier(ask_at, policy_slice_end(l, n));
        responsible = role != NODE_WAITING;
        if (now + leeway(l) >= ask_at)
            ask_at = ask_now_or_later(l, n, role, flags, now);
        if (role == NODE_WATCH && !look_again &&
            (makes_room(l, now) || policy_passed_over(l, n, now)))
            ask = true;
        if (ask || now >= ask_at) {
            if (now < policy_slice_end(l, n))
                __atomic_fetch_add(&n->charged, INTERRUPTION_NS, __ATOMIC_RELAXED);
            ask_for_drop(l, n);
            patience = next_patience(l, n, role, patience);
            ask_at = now + patience;
            if (spin(l, n, state, NEVER, false))
                continue;
        }
        if (!settle_role(l, n, state)) {
            deferral.word = 0; /* a second look at once would tell nothing */
            continue;
        }
        wake_at = ask_at;
        if (look_again) {
            wake_at = now + LOOK_AGAIN_NS;
        } else if (role == NODE_WATCH && now + WATCH_NS < wake_at) {
            wake_at = now + WATCH_NS;
        } else if (role != NODE_WAITING && owner_elsewhere(l)) {
            if (ask_at - now > SPIN_NS)
                wake_at = ask_at - now > EARLY_NS ? ask_at - EARLY_NS : ask_at - SPIN_NS;
            else if (spin(l, n, state, ask_at, false) || clock_now_ns() >= ask_at)
                continue;
        }
        if (deadline != FUTEX_FOREVER && deadline < wake_at)
            wake_at = deadline;
        sleep_until(l, n, state, wake_at);
    }
}

/* A deferral of the caller's own: T4, or somebody has taken it over. */
static bool take_back(struct lock *l, struct node *n)
{
    uintptr_t word = WORD_DEFERRED | (uintptr_t)n;

    STEP(T4, l, n);
    if (__atomic_compare_exchange_n(&l->word, &word, WORD_LOCKED, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED)) {
        relaxed_store(&n->state, NODE_HELD);
        count_up(n, deferred_back);
        if (PROBE_ATTACHED(released))
            hold_begins_watched(n);
        return true;
    }
    relaxed_store(&n->state, NODE_IDLE);
    count_up(n, deferred_taken);
    return false;
}

/* The lock was taken from n for a sprinter, which may have released it for a moment. */
static bool lets_sprint(const struct lock *l, const struct node *n)
{
    const struct node *owner = relaxed_load(&l->owner);

    return n->dropped && owner && owner != n && relaxed_load(&owner->sprinter);
}

/* Looks at the word for a moment before queueing: an owner that only passes through is soon gone,
 * and a sprinter in the middle of a short call is soon back. */
static bool glance(struct lock *l, struct node *n)
{
    bool elsewhere = owner_elsewhere(l);
    bool polite = elsewhere && lets_sprint(l, n);

    for (int i = 0; i < GLANCES && elsewhere; i++) {
        if (!polite && lock_try_take(l, n))
            return true;
        if (polite && relaxed_load(&l->word) & WORD_LOCKED)
            return false;
        pause_cpu();
    }
    return lock_try_take(l, n);
}

/* Queues, unless n is still linked from a wait that timed out: then it waits on in place. *ask_at:
 * when to ask. True: the lock has become free meanwhile, and is the caller's. */
static bool queue_up(struct lock *l, struct node *n, unsigned flags, int64_t now, int64_t *ask_at)
{
    uint32_t state = NODE_ABANDONED;

    *ask_at = NEVER;
    STEP(T23, l, n);
    if (__atomic_compare_exchange_n(&n->state, &state, NODE_HEAD, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_ACQUIRE))
        return false;
    n->arrived = now;
    n->heir_since = 0;
    policy_join(l, n);
    if (!(flags & WAIT_NO_ASK))
        *ask_at = policy_ask_at(l, n, now + (flags & WAIT_GRACE ? policy_granularity(l) : 0));
    if (*ask_at == NEVER && flags & WAIT_ASK)
        *ask_at = now + lock_interval(l);
    while (!push(l, n))
        if (lock_try_take(l, n))
            return true;
    return false;
}

/* A wait that began at `since` is over. */
static void waited(struct node *n, bool got, int64_t since, bool granted)
{
    int64_t now = clock_now_ns();

    stats_wait(n, now - since);
    if (!got)
        return;
    count_up(n, contended);
    hold_begins(n, now, now - since, granted);
}

bool lock_acquire_slow(struct lock *l, struct node *n, int64_t deadline, unsigned flags,
                       bool (*give_up)(void))
{
    int64_t ask_at, now;
    bool got, granted = false;

    if (PROBE_ATTACHED(released) && lock_take_free(l, n)) {
        hold_begins_watched(n);
        return true;
    }
    if (relaxed_load(&n->state) == NODE_DEFERRING && take_back(l, n))
        return true;
    if (deadline == 0)
        return lock_try_take(l, n);
    if (glance(l, n))
        return true;
    now = clock_now_ns();
    came_back(n, now);
    PROBE(contended, l, n->tstate, owner_tid(l));
    if (queue_up(l, n, flags, now, &ask_at))
        return true;
    got = wait_linked(l, n, deadline, ask_at, flags, give_up, &granted);
    waited(node_of(l), got, now, granted);
    return got;
}

static void wake_waiter(struct node *n, void *lock)
{
    if (relaxed_load(&n->lock) == lock && is_waiting(relaxed_load(&n->state)))
        futex_wake(&n->state);
}

void lock_wake_all(struct lock *l)
{
    node_each(wake_waiter, l);
}
