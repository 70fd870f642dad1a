/* Runs one workload on the one lock that is linked in: see ../bench.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel-helpers/pause.h"
#include "tools/bench/locks/bench.h"

enum { THREADS_MAX = 256 };

static pthread_t threads[THREADS_MAX];
static size_t started;
static cpu_set_t usable; /* before anything was pinned */

void fail(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", peer.name, what, strerror(errno));
    exit(1);
}

int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void busy_until(int64_t ns)
{
    while (now_ns() < ns)
        pause_cpu();
}

void sleep_ns(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    nanosleep(&ts, NULL);
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
    if (started == THREADS_MAX)
        errno = EAGAIN;
    else
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

void print_end(void)
{
    if (peer.print_counters)
        peer.print_counters();
    puts("}");
}

static const struct {
    const char *name;
    void (*run)(int64_t ns);
} workloads[] = {
    {"pair", pair},
    {"checkpoint", checkpoint},
    {"spin", handover_spin},
    {"apart", handover_apart},
    {"together", handover_together},
    {"io", io},
};

int main(int argc, char **argv)
{
    double seconds = argc == 3 ? atof(argv[2]) : 0;

    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (seconds <= 0 || strcmp(argv[1], workloads[i].name) != 0)
            continue;
        if (sched_getaffinity(0, sizeof usable, &usable) != 0)
            fail("sched_getaffinity");
        if (peer.init)
            peer.init();
        workloads[i].run((int64_t)(seconds * 1e9));
        return 0;
    }
    fprintf(stderr, "usage: %s pair|checkpoint|spin|apart|together|io SECONDS\n", argv[0]);
    return 2;
}
