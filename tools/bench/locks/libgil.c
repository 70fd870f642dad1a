/* libgil's lock, with the default settings, from the shared library. */
#include <stdio.h>
#include <stdlib.h>

#include <gil/eval.h>
#include <gil/lock.h>
#include <gil/state.h>
#include <gil/stats.h>

#include "tools/bench/locks/bench.h"

static gil_lock lock = GIL_LOCK_INIT;

static inline void acquire(void)
{
    gil_lock_acquire(&lock);
}

static inline void release(void)
{
    gil_lock_release(&lock);
}

static bool asked(void)
{
    return gil_lock_drop_requested(&lock);
}

static void yield(void)
{
    gil_lock_yield(&lock);
}

/* What an interpreter calls between instructions. */
static void checkpoints(uint64_t count)
{
    if (!gil_threads_initialized()) {
        gil_init_threads();
        if (gil_initialize(0) != 0)
            exit(EXIT_FAILURE);
    }
    while (count--)
        if (gil_checkpoint() != 0)
            abort();
}

static void set_interval(int64_t ns)
{
    gil_lock_set_interval(&lock, ns);
}

/* Of all threads, those that have ended as well. */
static void print_counters(void)
{
    static gil_thread_stats all[1024];
    size_t count = gil_lock_stats(&lock, all, sizeof all / sizeof *all);
    gil_thread_stats sum = {0};

    for (size_t i = 0; i < count && i < sizeof all / sizeof *all; i++) {
        sum.acquires += all[i].acquires;
        sum.contended += all[i].contended;
        sum.requests += all[i].requests;
        sum.forced += all[i].forced;
        sum.handovers += all[i].handovers;
        sum.futex_waits += all[i].futex_waits;
        sum.futex_wakes += all[i].futex_wakes;
    }
    printf(", \"acquires\": %llu, \"contended\": %llu, \"requests\": %llu, \"forced\": %llu, "
           "\"handed_over\": %llu, \"futex_waits\": %llu, \"futex_wakes\": %llu",
           (unsigned long long)sum.acquires, (unsigned long long)sum.contended,
           (unsigned long long)sum.requests, (unsigned long long)sum.forced,
           (unsigned long long)sum.handovers, (unsigned long long)sum.futex_waits,
           (unsigned long long)sum.futex_wakes);
}

PAIRS(acquire, release)

const struct peer peer = {.name = "libgil",
                          .acquire = acquire,
                          .release = release,
                          .pairs = pairs,
                          .asked = asked,
                          .yield = yield,
                          .checkpoints = checkpoints,
                          .set_interval = set_interval,
                          .print_counters = print_counters};
