/* Condition. See include/gil/sync.h.
 *
 * A thread that is notified is not woken: it is moved to the queue of the lock, which the notifying
 * thread holds, and wakes up as its owner. To the waiter this is the same as being woken
 * (waiters.h, invariant 2): from the moment it is taken off the condition's queue it waits without
 * limit. */
#include <errno.h>

#include <gil/thread.h>

#include "lib/sync_impl.h"

struct condition {
    struct waiters waiters;
    struct tlock *lock;
    struct rlock *rlock; /* whose lock that is, or NULL */
};

_Static_assert(sizeof(struct condition) <= sizeof(gil_condition), "gil_condition is large enough");

static void condition_init(gil_condition *condition, struct tlock *lock, struct rlock *rlock)
{
    struct condition *c = (struct condition *)condition;

    *c = (struct condition){.lock = lock, .rlock = rlock};
}

void gil_condition_init(gil_condition *condition, gil_rlock *lock)
{
    struct rlock *rlock = (struct rlock *)lock;

    condition_init(condition, &rlock->lock, rlock);
}

void gil_condition_init_lock(gil_condition *condition, gil_thread_lock *lock)
{
    condition_init(condition, (struct tlock *)lock, NULL);
}

static bool may_use(const struct condition *c)
{
    return c->rlock ? rlock_owned(c->rlock) : tlock_held(c->lock);
}

/* Gives the lock up altogether; returns how often it was taken. */
static uint64_t give_lock_up(struct condition *c)
{
    uint64_t depth = 1;

    if (c->rlock) {
        depth = c->rlock->depth;
        c->rlock->depth = 0;
        __atomic_store_n(&c->rlock->owner, 0, __ATOMIC_RELAXED);
    }
    tlock_release(c->lock);
    return depth;
}

static int wait_until(struct condition *c, int64_t deadline, bool interruptible)
{
    struct parker *p = parker_self();
    uint64_t depth;
    int error = 0;

    if (!may_use(c))
        return fails(EPERM);
    parker_prepare(p);
    waiters_enter(&c->waiters);
    waiters_append(&c->waiters, p);
    waiters_leave(&c->waiters);
    depth = give_lock_up(c);
    if (waiters_sleep(&c->waiters, p, deadline, interruptible) < 0) {
        error = errno;
        tlock_acquire(c->lock, -1, false);
    }
    if (c->rlock) {
        __atomic_store_n(&c->rlock->owner, gil_thread_ident(), __ATOMIC_RELAXED);
        c->rlock->depth = depth;
    }
    return error ? fails(error) : 0;
}

/* One that does not wait is not interrupted. */
int gil_condition_wait(gil_condition *condition, int64_t timeout_ns)
{
    return wait_until((struct condition *)condition, futex_deadline(timeout_ns), timeout_ns != 0);
}

int gil_condition_wait_for(gil_condition *condition, bool (*predicate)(void *arg), void *arg,
                           int64_t timeout_ns)
{
    struct condition *c = (struct condition *)condition;
    int64_t deadline = futex_deadline(timeout_ns);
    int saved = errno;

    if (!may_use(c))
        return fails(EPERM);
    while (!predicate(arg)) {
        if (timeout_ns == 0)
            return fails(ETIMEDOUT);
        if (wait_until(c, deadline, true) == 0)
            continue;
        if (errno != ETIMEDOUT || !predicate(arg))
            return -1;
        errno = saved;
        break;
    }
    return 0;
}

int gil_condition_notify(gil_condition *condition, size_t n)
{
    struct condition *c = (struct condition *)condition;
    gil_thread_state *aside;
    struct parker *chain;

    if (!may_use(c))
        return fails(EPERM);
    if (n > waiters_count(&c->waiters))
        n = waiters_count(&c->waiters);
    aside = stand_aside((uint32_t)n);
    waiters_enter(&c->waiters);
    chain = waiters_take_many(&c->waiters, n);
    waiters_leave(&c->waiters);
    if (chain)
        tlock_queue(c->lock, chain);
    come_back(aside);
    return 0;
}

int gil_condition_notify_all(gil_condition *condition)
{
    return gil_condition_notify(condition, SIZE_MAX);
}
