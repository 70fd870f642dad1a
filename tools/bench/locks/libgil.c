/* libgil's lock, with the default settings, from the shared library. */
#include <gil/lock.h>

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

static void checkpoints(uint64_t count)
{
    while (count--)
        gil_lock_checkpoint(&lock);
}

static void set_interval(int64_t ns)
{
    gil_lock_set_interval(&lock, ns);
}

PAIRS(acquire, release)

const struct peer peer = {.name = "libgil",
                          .acquire = acquire,
                          .release = release,
                          .pairs = pairs,
                          .asked = asked,
                          .yield = yield,
                          .checkpoints = checkpoints,
                          .set_interval = set_interval};
