/* The floor of any lock: one compare-and-exchange to take it, another to give it up. Waiters spin. */
#include "kernel-helpers/pause.h"
#include "tools/bench/locks/bench.h"

static uint32_t word;

static inline void acquire(void)
{
    uint32_t is_free = 0;

    while (!__atomic_compare_exchange_n(&word, &is_free, 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
        is_free = 0;
        pause_cpu();
    }
}

static inline void release(void)
{
    uint32_t taken = 1;

    __atomic_compare_exchange_n(&word, &taken, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

PAIRS(acquire, release)

const struct peer peer = {.name = "cas", .acquire = acquire, .release = release, .pairs = pairs};
