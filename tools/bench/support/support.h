/* What the programs of the benchmarks have in common: time, threads, processors, quantiles. A call
 * that fails ends the program with one line.
 *
 * Invariant: threads are started and joined by the main thread. */
#ifndef TOOLS_BENCH_SUPPORT_SUPPORT_H
#define TOOLS_BENCH_SUPPORT_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Prints that with the text of errno. */
__attribute__((noreturn)) void fail(const char *what);

int64_t now_ns(void);
void sleep_ns(int64_t ns);

/* Computes until that time. */
void busy_until(int64_t ns);

/* The calling thread runs on the nth of the processors that the program was started with. */
void pin(int nth);

void start_thread(void *(*fn)(void *arg), void *arg);

/* All that were started. */
void join_threads(void);

/* Of the values, which are sorted; it fails if there are none. */
double quantile(double *values, size_t count, double q);

/* How many more there are a second, by a function that may be called at any time: after a moment, in
 * which what was started gets going, it is measured for so long. */
double rate_of(uint64_t (*done)(void), int64_t ns);

/* The context switches of the whole process so far. */
uint64_t context_switches(void);

#ifdef __cplusplus
}
#endif

#endif
