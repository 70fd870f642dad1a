/* Threads and what was counted for them: what `gil stat` and `gil top` show.
 *
 * Invariant: a tally has one row a thread, and one a process (tid 0) for threads that have ended or
 * have no counters of their own; sorted by process and thread. */
#ifndef GIL_CLI_TALLY_H
#define GIL_CLI_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include <gil/stats.h>

#include "tools/cli/histogram.h"

struct tally_row {
    pid_t pid, tid;       /* as this command sees them; tid 0: see above */
    pid_t ns_pid, ns_tid; /* as the process itself does */
    char name[32];        /* clean; "": not known */
    gil_thread_stats stats;
    bool max_known[3]; /* whether the maxima are those of the time that the row is about */
    struct histogram wait, handoff;
};

enum { TALLY_WAIT, TALLY_HANDOFF, TALLY_HOLD };

struct tally {
    struct tally_row *rows;
    size_t count, room;
    bool failed; /* memory was short: rows are missing */
};

/* A new row, all zero but for these; NULL when memory is short. */
struct tally_row *tally_add(struct tally *t, pid_t pid, pid_t tid);

/* Adds counters, and histograms (NULL: none), to a row. */
void tally_count(struct tally_row *row, const gil_thread_stats *stats,
                 const gil_stats_histograms *histograms);

/* Sorts, and makes one row of those of one thread. */
void tally_finish(struct tally *t);

/* Takes away what had been counted `before`: both are finished. What a thread that has ended since
 * had counted by then comes off its process's row. */
void tally_since(struct tally *t, const struct tally *before);

/* What is in `from`, in place of what is in t. */
void tally_copy(struct tally *t, const struct tally *from);

/* All rows in one. */
void tally_sum(const struct tally *t, struct tally_row *sum);

void tally_free(struct tally *t);

/* A line of column titles, and one a row; under 80 columns. */
void tally_print_titles(FILE *out);
void tally_print_row(FILE *out, const struct tally_row *row);

/* A JSON object, and the end of the line. What is not known is null. */
void tally_print_json(FILE *out, const struct tally_row *row);

#endif
