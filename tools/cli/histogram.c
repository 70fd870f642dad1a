/* See histogram.h. */
#include "tools/cli/histogram.h"
#include "tools/cli/duration.h"

#include <inttypes.h>

#define BAR_COLUMNS 40

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->count++;
    h->sum_ns += ns;
    h->max_ns = ns > h->max_ns ? ns : h->max_ns;
    h->slots[gil_slot(ns)]++;
}

/* The middle of a slot, which is closest to whatever is in it. */
static uint64_t middle(unsigned int slot)
{
    uint64_t from = gil_slot_from(slot);

    return slot + 1 < GIL_SLOTS ? (from + gil_slot_from(slot + 1)) / 2 : from;
}

uint64_t histogram_percentile(const struct histogram *h, unsigned int per_mille)
{
    uint64_t rank = h->count / 1000 * per_mille + (h->count % 1000 * per_mille + 999) / 1000;
    uint64_t seen = 0;

    for (unsigned int slot = 0; slot < GIL_SLOTS; slot++) {
        seen += h->slots[slot];
        if (seen > 0 && seen >= rank)
            return middle(slot) < h->max_ns ? middle(slot) : h->max_ns;
    }
    return h->max_ns;
}

static uint64_t octave_count(const struct histogram *h, unsigned int octave)
{
    uint64_t count = 0;

    for (unsigned int part = 0; part < 1u << GIL_SLOT_BITS; part++)
        count += h->slots[(octave << GIL_SLOT_BITS) + part];
    return count;
}

static void print_octave(FILE *out, const struct histogram *h, unsigned int octave, uint64_t most)
{
    char from[DURATION_TEXT], to[DURATION_TEXT];
    uint64_t count = octave_count(h, octave);
    unsigned int next = (octave + 1) << GIL_SLOT_BITS;
    int columns = (int)((double)count / (double)most * BAR_COLUMNS + 0.5);

    duration_format(from, gil_slot_from(octave << GIL_SLOT_BITS), 9);
    if (next < GIL_SLOTS)
        duration_format(to, gil_slot_from(next), 9);
    else
        snprintf(to, sizeof to, "%9s", "");
    fprintf(out, "%s ..%s %10" PRIu64 "%s", from, to, count, columns ? " " : "");
    while (columns-- > 0)
        putc('#', out);
    putc('\n', out);
}

void histogram_print(FILE *out, const char *title, const struct histogram *h)
{
    char p50[DURATION_TEXT], p90[DURATION_TEXT], p99[DURATION_TEXT], max[DURATION_TEXT];
    unsigned int first = 0, last = GIL_OCTAVES - 1;
    uint64_t most = 0;

    if (h->count == 0)
        return;
    while (first < last && octave_count(h, first) == 0)
        first++;
    while (last > first && octave_count(h, last) == 0)
        last--;
    for (unsigned int octave = first; octave <= last; octave++)
        if (octave_count(h, octave) > most)
            most = octave_count(h, octave);

    fprintf(out, "%s: p50 %s, p90 %s, p99 %s, max %s\n", title,
            duration_format(p50, histogram_percentile(h, 500), 0),
            duration_format(p90, histogram_percentile(h, 900), 0),
            duration_format(p99, histogram_percentile(h, 990), 0),
            duration_format(max, h->max_ns, 0));
    for (unsigned int octave = first; octave <= last; octave++)
        print_octave(out, h, octave, most);
}
