/* Durations added up, and how they are spread: eight slots for each power of two (bpf/shared.h).
 *
 * Invariant: sum and maximum are exact; a percentile is at most an eighth off. */
#ifndef GIL_CLI_HISTOGRAM_H
#define GIL_CLI_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#include "bpf/shared.h"

struct histogram {
    uint64_t count, sum_ns, max_ns;
    uint64_t slots[GIL_SLOTS];
};

void histogram_add(struct histogram *h, uint64_t ns);

/* The duration that per_mille thousandths of them do not exceed, in nanoseconds; 0 if there are
 * none. */
uint64_t histogram_percentile(const struct histogram *h, unsigned int per_mille);

/* Writes percentiles and a bar for each power of two, under 80 columns; nothing if it is empty.
 * title: what the durations are of. */
void histogram_print(FILE *out, const char *title, const struct histogram *h);

#endif
