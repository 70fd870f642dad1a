/* Reading the counters of a lock from inside the process. See include/gil/stats.h. */
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
    to->threads = relaxed_load(&from->threads);
    while (f <= &from->hold_max_ns)
        *t++ = relaxed_load(f++);
}

static void collect_one(struct node *n, void *arg)
{
    struct collect *c = arg;

    if (__atomic_load_n(&n->lock, __ATOMIC_ACQUIRE) != c->lock || n->shares_counters ||
        !relaxed_load(&relaxed_load(&n->stats)->threads))
        return;
    if (c->found++ < c->room)
        copy(c->to++, relaxed_load(&n->stats));
}

size_t gil_lock_stats(const gil_lock *lock, gil_thread_stats *stats, size_t count)
{
    const struct lock *l = (const struct lock *)lock;
    struct collect c = {.lock = l, .to = stats, .room = count, .found = 0};
    const gil_stats_entry *ended = stats_of_ended(l, NULL);

    node_each(collect_one, &c);
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
        s->counts[i] += relaxed_load(&histograms->counts[s->which][i]);
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
