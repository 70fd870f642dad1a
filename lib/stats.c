/* Reading the counters that every node carries. See include/gil/stats.h. */
#include "lib/lock_impl.h"

struct collect {
    const struct lock *lock;
    struct gil_thread_stats *to;
    size_t room, found;
};

/* Copies counters that their thread goes on counting. */
static void copy(struct gil_thread_stats *to, const struct gil_thread_stats *from)
{
    const uint64_t *f = &from->acquires;
    uint64_t *t = &to->acquires;

    to->tid = relaxed_load(&from->tid);
    to->threads = relaxed_load(&from->threads);
    while (f <= &from->wait_max_ns)
        *t++ = relaxed_load(f++);
}

static void collect_one(struct node *n, void *arg)
{
    struct collect *c = arg;

    if (__atomic_load_n(&n->lock, __ATOMIC_ACQUIRE) != c->lock || !relaxed_load(&n->stats.threads))
        return;
    if (c->found++ < c->room)
        copy(c->to++, &n->stats);
}

size_t gil_lock_stats(const gil_lock *lock, gil_thread_stats *stats, size_t count)
{
    const struct lock *l = (const struct lock *)lock;
    struct collect c = {.lock = l, .to = stats, .room = count, .found = 0};

    node_each(collect_one, &c);
    if (relaxed_load(&l->ended.threads) && c.found++ < count)
        copy(c.to, &l->ended);
    return c.found;
}
