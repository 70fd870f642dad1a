/* Tracing processes with BPF: what `gil top`, `stat`, `record` and `trace` are built on.
 *
 *   open     loads the BPF programs, and starts the command, which waits before its first
 *            instruction
 *   attach   finds the locks of each process and attaches; lets the command go on
 *   poll     calls back with each event, follows children, until all processes have ended
 *   threads, functions, losses     read what was added up in the kernel; at any time
 *   detach   takes the probes out; what was added up can still be read
 *   close    frees everything; the command that was started goes on
 *
 * Invariants
 * 1. Everything attached belongs to file descriptors of this process: however it ends, the kernel
 *    takes the probes out of the text of the traced processes.
 * 2. What is lost or cannot be resolved is counted by class, never left out in silence.
 * 3. Functions return 0 or a negative errno, and tracer_why() then says in one line what was wrong
 *    and what to do. tracer_status() gives the exit status for it. close may follow any failure.
 *
 * A tracer belongs to one thread. Nothing here prints. */
#ifndef GIL_CLI_TRACER_H
#define GIL_CLI_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/shared.h"

/* How much of a stock CPython is looked at; a process on libgil is always seen in full. */
enum tracer_tier {
    TRACER_CONTENTION, /* the default: waits and hand-offs, and who is to blame */
    TRACER_SAMPLE,     /* 99 times a second: who runs with the lock, and where; no probe */
    TRACER_FULL,       /* each hold, too: see `make bench` for what it costs */
};

struct tracer_options {
    const pid_t *pids; /* the processes to trace, and how many */
    size_t pid_count;
    char *const *command; /* or a program to be started, with its arguments, NULL at the end */
    enum tracer_tier tier;
    unsigned int kinds;       /* 1 << GIL_EVENT_… for each kind to be sent; 0: none */
    uint64_t duration_min_ns; /* shorter events are not sent (swaps always are) */
    pid_t tid;                /* events of this thread only; 0: of all */
    size_t buffer_bytes;      /* of the ring buffer; 0: 4 MiB */

    /* Called by tracer_poll() for each event, in the order in which the kernel sent them, and for
     * each function before the first event that names it. Either may be NULL. */
    void (*on_event)(const struct gil_event *event, void *arg);
    void (*on_function)(uint32_t function, void *arg);
    void *arg;
};

enum tracer_language { TRACER_C, TRACER_PYTHON, TRACER_LUA };

struct tracer_function {
    enum tracer_language language;
    pid_t pid;        /* in whose process it was first seen */
    const char *name; /* qualified: "Server.handle" */
    const char *file; /* as the interpreter names it; C: of the object file */
    uint32_t line;    /* the first; 0: not known */
};

/* What was added up for a thread at a place. */
struct tracer_place {
    struct gil_place place;
    pid_t pid, tid;
    const struct gil_place_sums *sums;
};

struct tracer;

/* Opens a tracer. *t is set in any case, unless memory is short (NULL, and -ENOMEM). */
int tracer_open(struct tracer **t, const struct tracer_options *options);
int tracer_attach(struct tracer *t);

/* Waits for at most timeout_ms, calling back meanwhile. 1: all processes have ended and their
 * events were handed on. 0: not yet. EINTR is no error: it returns early. */
int tracer_poll(struct tracer *t, int timeout_ms);

struct tracer_process {
    pid_t pid, ns_pid;
    const char *name;
    bool recognised; /* it has a lock that the tracer knows */
};

/* Calls fn for each process that was traced so far. */
void tracer_processes(struct tracer *t, void (*fn)(const struct tracer_process *, void *),
                      void *arg);

/* Calls fn for each thread or place that anything was added up for, as of now. */
void tracer_threads(struct tracer *t, void (*fn)(const struct gil_thread *, void *), void *arg);
void tracer_places(struct tracer *t, void (*fn)(const struct tracer_place *, void *), void *arg);

/* A function by its number; NULL for 0 and for one whose name was lost. Valid until close. */
const struct tracer_function *tracer_function(const struct tracer *t, uint32_t function);

/* How many of a class were lost so far, and what to call them, as the end of "lost: 17 …". */
uint64_t tracer_loss(struct tracer *t, enum gil_loss loss);
const char *tracer_loss_name(enum gil_loss loss);

/* What tracing has cost the traced threads so far: hits of probes, and about how much time those
 * took (TRACER_HIT_NS each, what `make bench` measures). */
#define TRACER_HIT_NS 700
struct gil_sum tracer_cost(struct tracer *t);

/* The wait status of the command that was started, once it has ended; -1 before. */
int tracer_child_status(const struct tracer *t);

int tracer_detach(struct tracer *t);
void tracer_close(struct tracer *t);

const char *tracer_why(const struct tracer *t);
int tracer_status(int error);

#endif
