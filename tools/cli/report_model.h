/* What a record says, added up: what `gil report` prints in one form or another.
 *
 * Everything is by *cell*, a thread at a place (function and line): how long it held the lock there,
 * waited for it there, and made others wait there. Tables of threads and of functions are sums of
 * cells.
 *
 * Invariants
 * 1. Threads, places and cells are at most so many (limits below); what does not fit is in the totals
 *    and counted in `beyond`, so that a file cannot exhaust memory.
 * 2. A pointer to an entry is good until report_free(). Entries are in the order in which they were
 *    first seen. */
#ifndef GIL_CLI_REPORT_MODEL_H
#define GIL_CLI_REPORT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/cli/histogram.h"
#include "tools/cli/record_file.h"

#define REPORT_PROCESSES_MAX 4096
#define REPORT_THREADS_MAX   16384
#define REPORT_PLACES_MAX    65536
#define REPORT_CELLS_MAX     262144
#define REPORT_OPS           64 /* I/O calls are numbered below this; others count as -1 */

/* A set of entries, each of which begins with its key. */
struct report_set {
    void *root; /* of tsearch(3) */
    void **entries;
    size_t count;
};

struct report_process {
    uint64_t key;
    pid_t pid, ns_pid; /* ns_pid is 0 if it is not known */
    char *name;
    size_t threads;
};

/* A thread is `seen` once something happened to it; others only have a name. */
struct report_thread {
    uint64_t key;
    size_t index; /* in the set */
    struct report_process *process;
    pid_t tid, ns_tid;
    char *name;
    bool seen;
    struct histogram hold, wait, handoff;
    uint64_t delay_ns; /* of its hand-offs: it could run, but no processor ran it */
};

struct report_function {
    enum tracer_language language;
    char *name, *file;
    uint32_t line; /* its first; 0: not known */
};

struct report_place {
    uint64_t key;
    size_t index;            /* in the set */
    uint32_t function, line; /* 0: not known */
};

struct report_sum {
    uint64_t count, sum_ns, max_ns;
    uint64_t partial; /* not in count: began before the recording; in sum and max as far as seen */
};

struct report_cell {
    uint64_t key;
    struct report_thread *thread;
    struct report_place *place;
    struct report_sum hold, wait; /* samples count as holds */
    struct report_sum blame;      /* waits of others that it is to blame for */
};

struct report_io {
    uint64_t kept; /* times that a call did not block, and kept the lock */
    struct report_sum blocked;
};

struct report {
    struct record_start start;
    uint64_t end_ns; /* CLOCK_MONOTONIC: of the recording, or else of its last event */
    bool cut_off;    /* the file does not say that the recording came to an end */
    bool sampled;    /* holds are samples */
    uint64_t events[GIL_EVENT_KINDS];
    struct report_set processes, threads, places, cells;
    struct report_function *functions[RECORD_FUNCTIONS_MAX]; /* by number; NULL: not known */
    struct histogram hold, wait, handoff; /* of all threads; partial ones are not in it */
    struct report_io io[REPORT_OPS + 1];  /* by operation + 1 */
    struct {
        char *name;
        uint64_t count;
    } losses[RECORD_LOSSES_MAX];
    uint64_t delay_ns;    /* as in a thread, of all */
    uint64_t unblamed_ns; /* waits that nobody is known to be to blame for */
    uint64_t beyond;      /* events that did not fit into the tables */
    int (*each)(struct report *, const struct gil_event *, void *); /* see report_read() */
    void *each_arg;
};

/* Reads all of a record, and calls each (unless it is NULL) with every event after it was added;
 * it returns 0 or -ENOMEM. Returns the report also when the record was damaged (the reader says so:
 * *status), with what comes before; NULL when memory is short. */
struct report *report_read(struct record_reader *reader,
                           int (*each)(struct report *, const struct gil_event *, void *),
                           void *arg, int *status);
void report_free(struct report *report);

/* The entry of a set that has this key, which is made (of size bytes, all zero but the key) if there
 * is none; *is_new says which. NULL with errno ENOMEM, or ENOSPC if there are max already. */
void *report_set_entry(struct report_set *set, uint64_t key, size_t size, size_t max, bool *is_new);
void report_set_free(struct report_set *set);

/* How long the recording took, in nanoseconds, and its events. */
uint64_t report_span_ns(const struct report *report);
uint64_t report_event_count(const struct report *report);

/* Was nothing lost, and did the recording come to its end? */
bool report_is_complete(const struct report *report);

/* Adds what `from` has to `to`. */
void report_sum_add(struct report_sum *to, const struct report_sum *from);

#endif
