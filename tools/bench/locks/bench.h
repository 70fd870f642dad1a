/* A lock that is measured, and what its program shares with the workloads.
 *
 * Each lock has a file here that defines `peer`, and is a program of its own, the workloads
 * linked in:
 *
 *     $(BUILD)/bench/locks/PEER WORKLOAD SECONDS
 *
 * prints one JSON line. The lock is a global of the peer's file.
 *
 * Invariant: no figure of a lock is printed by a run that saw two threads inside it (workloads/check.c). */
#ifndef TOOLS_BENCH_LOCKS_BENCH_H
#define TOOLS_BENCH_LOCKS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/bench/support/support.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peer {
    const char *name;
    void (*init)(void); /* NULL: nothing to do */
    void (*acquire)(void);
    void (*release)(void);
    /* Release and acquire, so many times, compiled into the loop. NULL: no lock for general use, it
     * only goes to and fro between two threads. */
    void (*pairs)(uint64_t count);
    /* Has the owner been asked to drop the lock? NULL: nobody ever is. */
    bool (*asked)(void);
    /* Gives the lock to the thread that waits, and takes it again after that. NULL: cannot. */
    void (*yield)(void);
    void (*checkpoints)(uint64_t count); /* NULL: has none */
    /* How long an owner may keep the lock. NULL: without limit. */
    void (*set_interval)(int64_t ns);
    /* Prints ", " and the lock's own counters, as members of a JSON object. NULL: has none. */
    void (*print_counters)(void);
};

extern const struct peer peer;

/* Defines pairs() out of the peer's own functions, so that they are called as a user's would be. */
#define PAIRS(acquire, release)                                                                    \
    static void pairs(uint64_t count)                                                              \
    {                                                                                              \
        while (count--) {                                                                          \
            release();                                                                             \
            acquire();                                                                             \
        }                                                                                          \
    }

/* ---- check.c: does it exclude? ---- */

/* To be called on each side of whatever is done with the lock held. A lock that lets two threads in
 * at a time ends the program. */
uint64_t enter(void);
void leave(uint64_t entered);

/* How many times the lock was held, by that count. Nobody holds it now. */
uint64_t times_held(void);

/* Shows that the lock excludes, with threads that give up the processor while they have it. */
void prove(void);

/* ---- main.c ---- */
/* Ends the JSON line that a workload has begun. */
void print_end(void);

/* ---- The workloads: each prints its JSON line. ---- */
void pair(int64_t ns);
void checkpoint(int64_t ns);
void handover_spin(int64_t ns);
void handover_apart(int64_t ns);
void handover_together(int64_t ns);
void io(int64_t ns);

#ifdef __cplusplus
}
#endif

#endif
