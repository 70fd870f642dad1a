/* A way to block that is measured, and what its program shares with the workloads.
 *
 *     $(BUILD)/bench/io WAY WORKLOAD SECONDS
 *
 * prints one JSON line: its figures, or {"missing": why it has none here}.
 *
 * Invariant: the workloads know no way. What differs between two rows is what struct way says. */
#ifndef TOOLS_BENCH_IO_BENCH_H
#define TOOLS_BENCH_IO_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tools/bench/support/support.h"

/* The interpreter lock of a way. */
struct interpreter {
    void (*start)(void); /* once, by the main thread, which does not hold the lock afterwards */
    void (*enter)(void); /* a thread takes the lock for the first time */
    void (*leave)(void);
    void (*let_go)(void);
    void (*take_back)(void);
    void (*checkpoint)(void); /* between two instructions */
};

/* With the lock held, as recv(2) and so on. */
struct way {
    const char *name;
    const char *backend; /* of libgil's calls, as in GIL_IO; NULL: they are not used */
    const struct interpreter *interpreter;
    ssize_t (*recv)(int fd, void *buf, size_t size, int flags);
    ssize_t (*send)(int fd, const void *buf, size_t size, int flags);
    ssize_t (*pread)(int fd, void *buf, size_t size, off_t offset);
};

extern const struct way *way; /* the one that is measured */

/* NULL: there is none of that name. */
const struct way *way_of(const char *name);

/* ---- peers.c: the ends of sockets that are in another process ---- */

/* Shared with that process. */
struct peers {
    bool go; /* the threads are ready */
    bool stop;
    double wake_us; /* the median of its round trips */
};

/* Starts a process that has so many connections to this one, runs fn(peers, its ends, count) and
 * exits. Returns the ends of this process; they are at their end when that process has exited. To be
 * called before any thread is started. */
int *peers_start(size_t count, void (*fn)(struct peers *p, const int *fds, size_t count),
                 struct peers **p);

/* Waits until the process has exited; it fails unless that went well. */
void peers_wait(void);

/* ---- syscalls.c ---- */

/* Counts the system calls of this process from now on, and those of the threads that it starts. */
void syscalls_start(void);

/* So many so far. False: they cannot be counted here. */
bool syscalls_so_far(uint64_t *count);

/* ---- The workloads: each prints its JSON line. ---- */
void recv_alone(int64_t ns);
void recv_contended(int64_t ns);
void echo_16(int64_t ns);
void echo_64(int64_t ns);
void reads(int64_t ns);
void direct_one(int64_t ns);
void direct_waves(int64_t ns);
void direct_flow(int64_t ns);
void direct_batch_waves(int64_t ns);
void direct_batch_flow(int64_t ns);
void crowd_10(int64_t ns);
void crowd_10000(int64_t ns);

#endif
