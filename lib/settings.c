/* The small functions of the lock's interface: settings, questions, the end. See
 * include/gil/lock.h. */
#include <errno.h>
#include <string.h>

#include "lib/lock_impl.h"

#define INTERVAL_MIN_NS INT64_C(1000)
#define INTERVAL_MAX_NS                                                                            \
    INT64_C(1000000000000000) /* eleven days: sums with the clock stay in range */

int gil_lock_set_policy(gil_lock *lock, gil_policy policy)
{
    if (policy != GIL_FAIR && policy != GIL_FIFO) {
        errno = EINVAL;
        return -1;
    }
    relaxed_store(&lock_of(lock)->policy, (uint32_t)policy);
    return 0;
}

void gil_lock_set_interval(gil_lock *lock, int64_t interval_ns)
{
    if (interval_ns < INTERVAL_MIN_NS)
        interval_ns = INTERVAL_MIN_NS;
    if (interval_ns > INTERVAL_MAX_NS)
        interval_ns = INTERVAL_MAX_NS;
    relaxed_store(&lock_of(lock)->interval_ns, interval_ns);
}

int64_t gil_lock_get_interval(const gil_lock *lock)
{
    return lock_interval((const struct lock *)lock);
}

void gil_lock_on_drop_request(gil_lock *lock, gil_drop_request_fn *fn, void *arg)
{
    relaxed_store(&lock_of(lock)->on_drop_arg, arg);
    relaxed_store(&lock_of(lock)->on_drop, fn);
}

bool gil_lock_held(const gil_lock *lock)
{
    return relaxed_load(&node_of((struct lock *)lock)->state) == NODE_HELD;
}

bool gil_lock_drop_requested(const gil_lock *lock)
{
    return relaxed_load(&((const struct lock *)lock)->drop);
}

/* The node's thread may be ending meanwhile, and the node belong to another by then: nothing is
 * written but by a CAS from what was seen of this lock. */
static void forget_lock(struct node *n, void *lock)
{
    uint32_t state = __atomic_load_n(&n->state, __ATOMIC_ACQUIRE);
    struct lock *l = lock;

    if (__atomic_load_n(&n->lock, __ATOMIC_ACQUIRE) != l)
        return;
    if (is_waiting(state))
        misuse("gil_lock_destroy", l, "a thread waits for the lock");
    /* A node that is still linked is unlinked with the queue, which is dropped as a whole. */
    while (is_abandoned(state) || state == NODE_DEFERRING) {
        if (!__atomic_compare_exchange_n(&n->state, &state, NODE_IDLE, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE))
            continue;
        if (state == NODE_ORPHAN)
            node_recycle(n);
        break;
    }
    __atomic_compare_exchange_n(&n->lock, &l, NULL, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

void gil_lock_destroy(gil_lock *lock)
{
    struct lock *l = lock_of(lock);

    if (relaxed_load(&l->word) & (WORD_LOCKED | WORD_DEFERRED))
        misuse("gil_lock_destroy", l, "the lock is still in use");
    node_each(forget_lock, l);
    node_await_exits();
    stats_forget_lock(l);
    memset(lock, 0, sizeof *lock);
}
