/* Who is next, and who asks the owner to drop the lock at once.
 *
 * fair: the waiter that has had the lock for the least time. Served time is compared with the
 * *floor*, the least served time among the owner and the waiters, which only ever grows. Whoever
 * begins to wait is brought within [floor - two intervals, floor + one interval]: a thread that
 * slept for long comes back with a bounded lead, one that held the lock through a long C call with
 * a bounded debt. A thread that waits for the first time starts at the far end, so that a thread
 * per request cannot starve the others. Threads that keep coming back with a lead could keep one
 * that computes waiting for as long as they please; therefore a waiter older than an interval for
 * each waiter goes first.
 *
 * fifo: the oldest waiter; nobody asks before the end of the slice. */
#include "lib/lock_impl.h"

/* Unlinks a node whose thread has given up. False: the thread has come back in the meantime. */
static bool reap(struct lock *l, struct node *n)
{
    uint32_t state = NODE_ABANDONED;

    if (__atomic_compare_exchange_n(&n->state, &state, NODE_IDLE, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        runqueue_remove(&l->queue, n);
        n->queued = false;
        return true;
    }
    if (state != NODE_ORPHAN)
        return false;
    runqueue_remove(&l->queue, n);
    n->queued = false;
    relaxed_store(&n->state, NODE_IDLE);
    node_recycle(n);
    return true;
}

static struct node *choose(struct lock *l, int64_t now)
{
    struct runqueue *q = &l->queue;

    if (!q->count || l->policy == GIL_FIFO)
        return q->oldest;
    if (now - q->oldest->arrived > (int64_t)(q->count + 1) * lock_interval(l))
        return q->oldest;
    return q->top;
}

struct node *policy_next(struct lock *l, int64_t now)
{
    struct node *n;

    runqueue_settle(&l->queue);
    while ((n = choose(l, now))) {
        if (!is_abandoned(__atomic_load_n(&n->state, __ATOMIC_SEQ_CST)) || !reap(l, n))
            break;
        runqueue_settle(&l->queue);
    }
    return n;
}

void policy_join(struct lock *l, struct node *n)
{
    int64_t interval = lock_interval(l);
    int64_t floor = relaxed_load(&l->floor);
    int64_t served = relaxed_load(&n->served);

    if (relaxed_load(&n->charged))
        served += __atomic_exchange_n(&n->charged, 0, __ATOMIC_RELAXED);
    if (n->newcomer || served > floor + interval)
        served = floor + interval;
    else if (served < floor - 2 * interval)
        served = floor - 2 * interval;
    n->newcomer = false;
    relaxed_store(&n->served, served);
}

int64_t policy_ask_at(const struct lock *l, const struct node *n, int64_t now)
{
    int64_t interval = lock_interval(l);
    int64_t floor = relaxed_load(&l->floor);
    int64_t granularity = interval / 10 < GRANULARITY_NS ? interval / 10 : GRANULARITY_NS;
    int64_t slice = relaxed_load(&l->slice_start);
    const struct node *owner = relaxed_load(&l->owner);
    int64_t least = relaxed_load(&l->least);
    int64_t used, at;

    if (relaxed_load(&l->policy) == GIL_FIFO || !owner || owner == n)
        return NEVER;
    if (least && relaxed_load(&n->served) > least)
        return NEVER; /* another would run */
    if (!slice || slice > now)
        slice = now; /* the owner was alone, or has changed just now */
    used = relaxed_load(&owner->served);
    if (used < floor)
        used = floor;
    at = slice + relaxed_load(&n->served) + granularity - used;
    if (at <= now)
        return now;
    return at < slice + interval ? at : NEVER;
}
