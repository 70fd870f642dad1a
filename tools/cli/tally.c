/* See tally.h. */
#include "tools/cli/tally.h"

#include <stdlib.h>
#include <string.h>

struct tally_row *tally_add(struct tally *t, pid_t pid, pid_t tid)
{
    struct tally_row *row;

    if (t->count == t->room) {
        size_t room = t->room ? 2 * t->room : 16;
        struct tally_row *rows = realloc(t->rows, room * sizeof *rows);

        if (!rows) {
            t->failed = true;
            return NULL;
        }
        t->rows = rows;
        t->room = room;
    }
    row = &t->rows[t->count++];
    memset(row, 0, sizeof *row);
    row->pid = pid;
    row->tid = tid;
    row->max_known[TALLY_WAIT] = row->max_known[TALLY_HANDOFF] = row->max_known[TALLY_HOLD] = true;
    return row;
}

/* ---- Counters as what they are: one run of numbers, the maxima last. ---- */

enum {
    SUMS = (offsetof(gil_thread_stats, wait_max_ns) - offsetof(gil_thread_stats, acquires)) /
           sizeof(uint64_t),
    MAXIMA = 3,
};

static void add_histogram(struct histogram *to, uint64_t count, uint64_t sum_ns, uint64_t max_ns,
                          const uint64_t *slots)
{
    to->count += count;
    to->sum_ns += sum_ns;
    to->max_ns = max_ns > to->max_ns ? max_ns : to->max_ns;
    for (int i = 0; slots && i < GIL_SLOTS; i++)
        to->slots[i] += slots[i];
}

static uint64_t total(const uint64_t *slots)
{
    uint64_t sum = 0;

    for (int i = 0; slots && i < GIL_SLOTS; i++)
        sum += slots[i];
    return sum;
}

static void add_counters(gil_thread_stats *to, const gil_thread_stats *from)
{
    uint64_t *t = &to->acquires;
    const uint64_t *f = &from->acquires;

    to->threads += from->threads;
    for (int i = 0; i < SUMS; i++)
        t[i] += f[i];
    for (int i = SUMS; i < SUMS + MAXIMA; i++)
        t[i] = f[i] > t[i] ? f[i] : t[i];
}

void tally_count(struct tally_row *row, const gil_thread_stats *stats,
                 const gil_stats_histograms *histograms)
{
    const uint64_t *waits = histograms ? histograms->counts[GIL_HISTOGRAM_WAIT] : NULL;
    const uint64_t *handoffs = histograms ? histograms->counts[GIL_HISTOGRAM_HANDOFF] : NULL;

    add_counters(&row->stats, stats);
    add_histogram(&row->wait, total(waits), stats->wait_ns, stats->wait_max_ns, waits);
    add_histogram(&row->handoff, stats->handoffs, stats->handoff_ns, stats->handoff_max_ns,
                  handoffs);
}

static void add_row(struct tally_row *to, const struct tally_row *from)
{
    add_counters(&to->stats, &from->stats);
    add_histogram(&to->wait, from->wait.count, from->wait.sum_ns, from->wait.max_ns,
                  from->wait.slots);
    add_histogram(&to->handoff, from->handoff.count, from->handoff.sum_ns, from->handoff.max_ns,
                  from->handoff.slots);
    for (int i = 0; i < MAXIMA; i++)
        to->max_known[i] = to->max_known[i] && from->max_known[i];
}

/* ---- Rows ---- */

static int by_thread(const void *a, const void *b)
{
    const struct tally_row *x = a, *y = b;

    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    if (x->tid != y->tid) /* those of tid 0 last */
        return (unsigned)x->tid - 1 < (unsigned)y->tid - 1 ? -1 : 1;
    return 0;
}

void tally_finish(struct tally *t)
{
    size_t kept = 0;

    if (t->count)
        qsort(t->rows, t->count, sizeof *t->rows, by_thread);
    for (size_t i = 0; i < t->count; i++) {
        if (kept && by_thread(&t->rows[kept - 1], &t->rows[i]) == 0) {
            add_row(&t->rows[kept - 1], &t->rows[i]);
            t->rows[kept - 1].stats.threads = t->rows[i].tid ? 1 : t->rows[kept - 1].stats.threads;
        } else if (kept++ != i) {
            t->rows[kept - 1] = t->rows[i];
        }
    }
    t->count = kept;
}

static struct tally_row *find(const struct tally *t, pid_t pid, pid_t tid)
{
    struct tally_row key = {.pid = pid, .tid = tid};

    return t->count ? bsearch(&key, t->rows, t->count, sizeof *t->rows, by_thread) : NULL;
}

/* Counters of a thread that has just ended may have moved on by a moment. */
static void take_away(uint64_t *from, uint64_t value)
{
    *from = *from > value ? *from - value : 0;
}

/* The longest is known if it is longer than before; otherwise, from the slots, to an eighth. */
static void maximum_since(struct histogram *h, uint64_t before, uint64_t *max_ns, bool *known)
{
    int top = GIL_SLOTS - 1;

    if (*max_ns > before)
        return;
    while (top > 0 && !h->slots[top])
        top--;
    *known = h->slots[top] > 0 || h->count == 0;
    if (h->slots[top] && top + 1 < GIL_SLOTS && gil_slot_from(top + 1) < *max_ns)
        *max_ns = gil_slot_from(top + 1);
    if (*max_ns > h->sum_ns)
        *max_ns = h->sum_ns;
    h->max_ns = *max_ns;
}

static void histogram_since(struct histogram *h, const struct histogram *before)
{
    take_away(&h->count, before->count);
    take_away(&h->sum_ns, before->sum_ns);
    for (int i = 0; i < GIL_SLOTS; i++)
        take_away(&h->slots[i], before->slots[i]);
}

static void row_since(struct tally_row *row, const struct tally_row *before)
{
    uint64_t *counter = &row->stats.acquires;
    const uint64_t *old = &before->stats.acquires;

    for (int i = 0; i < SUMS; i++)
        take_away(&counter[i], old[i]);
    histogram_since(&row->wait, &before->wait);
    histogram_since(&row->handoff, &before->handoff);
}

static void maxima_since(struct tally_row *row, const struct tally_row *before)
{
    maximum_since(&row->wait, before->stats.wait_max_ns, &row->stats.wait_max_ns,
                  &row->max_known[TALLY_WAIT]);
    maximum_since(&row->handoff, before->stats.handoff_max_ns, &row->stats.handoff_max_ns,
                  &row->max_known[TALLY_HANDOFF]);
    row->max_known[TALLY_HOLD] = row->stats.hold_max_ns > before->stats.hold_max_ns;
}

void tally_since(struct tally *t, const struct tally *before)
{
    for (size_t i = 0; i < before->count; i++) {
        const struct tally_row *old = &before->rows[i];
        struct tally_row *row = find(t, old->pid, old->tid);

        if (!row && !(row = find(t, old->pid, 0)))
            continue; /* of a process that has closed its page */
        row_since(row, old);
        if (row->tid == old->tid)
            maxima_since(row, old);
        if (old->tid == 0)
            row->stats.threads -= old->stats.threads;
    }
}

void tally_copy(struct tally *t, const struct tally *from)
{
    struct tally_row *row;

    t->count = 0;
    t->failed = from->failed;
    for (size_t i = 0; i < from->count && (row = tally_add(t, 0, 0)); i++)
        *row = from->rows[i];
}

void tally_sum(const struct tally *t, struct tally_row *sum)
{
    memset(sum, 0, sizeof *sum);
    for (int i = 0; i < MAXIMA; i++)
        sum->max_known[i] = true;
    for (size_t i = 0; i < t->count; i++)
        add_row(sum, &t->rows[i]);
}

void tally_free(struct tally *t)
{
    free(t->rows);
    memset(t, 0, sizeof *t);
}
