/* Lock and RLock. See include/gil/sync.h.
 *
 * Without a waiter, taking and releasing a lock is one CAS each. Otherwise the thread that releases
 * it leaves it held, for the first waiter. */
#include <errno.h>

#include <gil/thread.h>

#include "lib/sync_impl.h"

/* ---- Lock ---- */

static bool held_cas(struct tlock *l, uint32_t *from, uint32_t to, int order)
{
    return __atomic_compare_exchange_n(&l->held, from, to, false, order, __ATOMIC_RELAXED);
}

static bool try_take(struct tlock *l)
{
    uint32_t held = LOCK_FREE;

    return held_cas(l, &held, LOCK_HELD, __ATOMIC_ACQUIRE);
}

/* The guard is held: takes the lock, or sees to it that its release looks for waiters. */
static bool take_or_await(struct tlock *l)
{
    uint32_t held = __atomic_load_n(&l->held, __ATOMIC_RELAXED);

    while (held != LOCK_AWAITED) {
        if (held == LOCK_FREE && held_cas(l, &held, LOCK_HELD, __ATOMIC_ACQUIRE))
            return true;
        if (held == LOCK_HELD && held_cas(l, &held, LOCK_AWAITED, __ATOMIC_RELAXED))
            return false;
    }
    return false;
}

int tlock_acquire(struct tlock *l, int64_t timeout_ns, bool interruptible)
{
    if (try_take(l))
        return 0;
    if (timeout_ns == 0)
        return fails(ETIMEDOUT);
    waiters_enter(&l->waiters);
    if (take_or_await(l)) {
        waiters_leave(&l->waiters);
        return 0;
    }
    return waiters_wait(&l->waiters, timeout_ns, interruptible);
}

/* The lock is held, and perhaps waited for. False: it is not waited for. It is not freed here:
 * whoever took it then might be done with its memory before the guard is released. */
static bool hand_over(struct tlock *l)
{
    struct parker *heir = NULL;

    waiters_enter(&l->waiters);
    if (__atomic_load_n(&l->held, __ATOMIC_RELAXED) == LOCK_AWAITED) {
        heir = waiters_take(&l->waiters);
        if (!l->waiters.first)
            __atomic_store_n(&l->held, LOCK_HELD, __ATOMIC_RELAXED);
    }
    waiters_leave(&l->waiters);
    waiters_wake(heir);
    return heir != NULL;
}

int tlock_release(struct tlock *l)
{
    uint32_t held = LOCK_HELD;

    while (!held_cas(l, &held, LOCK_FREE, __ATOMIC_RELEASE)) {
        if (held == LOCK_FREE)
            return fails(EPERM);
        if (hand_over(l))
            break;
        held = LOCK_HELD;
    }
    return 0;
}

void tlock_queue(struct tlock *l, struct parker *chain)
{
    struct parker *heir = NULL, *next;

    waiters_enter(&l->waiters);
    for (; chain; chain = next) {
        next = chain->next;
        /* Of a lock without an owner, somebody else may have released it. */
        if (!heir && take_or_await(l)) {
            heir = chain;
            heir->next = NULL;
            continue;
        }
        waiters_append(&l->waiters, chain);
    }
    if (heir && l->waiters.first)
        take_or_await(l);
    waiters_leave(&l->waiters);
    waiters_wake(heir);
}

int gil_thread_lock_acquire(gil_thread_lock *lock, int64_t timeout_ns)
{
    return tlock_acquire((struct tlock *)lock, timeout_ns, true);
}

int gil_thread_lock_acquire_uninterrupted(gil_thread_lock *lock, int64_t timeout_ns)
{
    return tlock_acquire((struct tlock *)lock, timeout_ns, false);
}

int gil_thread_lock_release(gil_thread_lock *lock)
{
    return tlock_release((struct tlock *)lock);
}

bool gil_thread_lock_locked(const gil_thread_lock *lock)
{
    return tlock_held((const struct tlock *)lock);
}

/* ---- RLock ---- */

/* Relaxed: only its own ident tells a thread anything, and that is there if and only if it wrote
 * it. */
bool rlock_owned(const struct rlock *l)
{
    return __atomic_load_n(&l->owner, __ATOMIC_RELAXED) == gil_thread_ident();
}

int gil_rlock_acquire(gil_rlock *lock, int64_t timeout_ns)
{
    struct rlock *l = (struct rlock *)lock;

    if (!rlock_owned(l)) {
        if (tlock_acquire(&l->lock, timeout_ns, true) < 0)
            return -1;
        __atomic_store_n(&l->owner, gil_thread_ident(), __ATOMIC_RELAXED);
    }
    l->depth++;
    return 0;
}

int gil_rlock_release(gil_rlock *lock)
{
    struct rlock *l = (struct rlock *)lock;

    if (!rlock_owned(l))
        return fails(EPERM);
    if (--l->depth > 0)
        return 0;
    __atomic_store_n(&l->owner, 0, __ATOMIC_RELAXED);
    return tlock_release(&l->lock);
}

uint64_t gil_rlock_depth(const gil_rlock *lock)
{
    const struct rlock *l = (const struct rlock *)lock;

    return rlock_owned(l) ? l->depth : 0;
}
