/* Reading the counters of a lock from inside the process. See include/gil/stats.h.
 *
 * A thread that ends adds what it has counted to the lock's entry, and takes it away from its own
 * afterwards. So entries of threads are read first, with acquire loads, and nothing is missed. */
#include <errno.h>
#include <string.h>

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
    to->threads = __atomic_load_n(&from->threads, __ATOMIC_ACQUIRE);
    while (f <= &from->hold_max_ns)
        *t++ = __atomic_load_n(f++, __ATOMIC_ACQUIRE);
}

static void collect_one(struct node *n, void *arg)
{
    struct gil_thread_stats stats;
    struct collect *c = arg;

    if (__atomic_load_n(&n->lock, __ATOMIC_ACQUIRE) != c->lock || n->shares_counters)
        return;
    copy(&stats, relaxed_load(&n->stats));
    if (stats.threads && c->found++ < c->room)
        *c->to++ = stats;
}

size_t gil_lock_stats(const gil_lock *lock, gil_thread_stats *stats, size_t count)
{
    const struct lock *l = (const struct lock *)lock;
    struct collect c = {.lock = l, .to = stats, .room = count, .found = 0};
    const gil_stats_entry *ended;

    node_each(collect_one, &c);
    ended = stats_of_ended(l, NULL);
    if (ended && relaxed_load(&ended->stats.threads) && c.found++ < count)
        copy(c.to, &ended->stats);
    return c.found;
}

struct sum {
    const struct lock *lock;
    gil_histogram which;
    uint64_t *counts;
};

static void add_counts(const struct sum *s, const gil_stats_histograms *histograms)
{
    for (unsigned i = 0; i < GIL_SLOTS; i++)
        s->counts[i] += __atomic_load_n(&histograms->counts[s->which][i], __ATOMIC_ACQUIRE);
}

static void add_one(struct node *n, void *arg)
{
    const struct sum *s = arg;

    if (__atomic_load_n(&n->lock, __ATOMIC_ACQUIRE) == s->lock && n->index < GIL_STATS_HISTOGRAMS &&
        relaxed_load(&relaxed_load(&n->stats)->wait_ns))
        add_counts(s, n->histograms);
}

int gil_lock_histogram(const gil_lock *lock, gil_histogram which, uint64_t counts[GIL_SLOTS])
{
    struct sum s = {.lock = (const struct lock *)lock, .which = which, .counts = counts};
    gil_stats_histograms *ended;

    if (which != GIL_HISTOGRAM_WAIT && which != GIL_HISTOGRAM_HANDOFF) {
        errno = EINVAL;
        return -1;
    }
    memset(counts, 0, GIL_SLOTS * sizeof *counts);
    node_each(add_one, &s);
    if (stats_of_ended(s.lock, &ended))
        add_counts(&s, ended);
    return 0;
}
