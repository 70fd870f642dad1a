/* A lock that lets everybody in, for the test that the check notices. */
#include "tools/bench/locks/bench.h"

static inline void acquire(void)
{
    __asm__ volatile("" ::: "memory");
}

static inline void release(void)
{
    __asm__ volatile("" ::: "memory");
}

PAIRS(acquire, release)

const struct peer peer = {.name = "broken", .acquire = acquire, .release = release, .pairs = pairs};
