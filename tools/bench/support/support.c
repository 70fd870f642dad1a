/* See support.h. */
#define _GNU_SOURCE
#include "tools/bench/support/support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "kernel-helpers/pause.h"

enum { WARM_UP_NS = 100000000 };

static pthread_t *threads;
static size_t started, room;
static cpu_set_t usable; /* before anything was pinned */

void fail(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void sleep_ns(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    nanosleep(&ts, NULL);
}

void busy_until(int64_t ns)
{
    while (now_ns() < ns)
        pause_cpu();
}

__attribute__((constructor)) static void look_at_processors(void)
{
    if (sched_getaffinity(0, sizeof usable, &usable) != 0)
        fail("sched_getaffinity");
}

void pin(int nth)
{
    cpu_set_t one;

    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &usable) || nth-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0)
            fail("sched_setaffinity");
        return;
    }
    errno = EINVAL;
    fail("too few processors");
}

void start_thread(void *(*fn)(void *arg), void *arg)
{
    if (started == room) {
        room = room ? 2 * room : 64;
        threads = realloc(threads, room * sizeof *threads);
        if (!threads)
            fail("realloc");
    }
    errno = pthread_create(&threads[started], NULL, fn, arg);
    if (errno)
        fail("pthread_create");
    started++;
}

void join_threads(void)
{
    while (started)
        pthread_join(threads[--started], NULL);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double quantile(double *values, size_t count, double q)
{
    size_t at = (size_t)(q * (double)count);

    if (!count) {
        errno = ENODATA;
        fail("nothing was measured");
    }
    qsort(values, count, sizeof *values, by_value);
    return values[at < count ? at : count - 1];
}

double rate_of(uint64_t (*done)(void), int64_t ns)
{
    uint64_t count;
    int64_t start;

    sleep_ns(WARM_UP_NS);
    start = now_ns();
    count = done();
    sleep_ns(ns);
    count = done() - count;
    return (double)count * 1e9 / (double)(now_ns() - start);
}

uint64_t context_switches(void)
{
    struct rusage used;

    if (getrusage(RUSAGE_SELF, &used) != 0)
        fail("getrusage");
    return (uint64_t)used.ru_nvcsw + (uint64_t)used.ru_nivcsw;
}
