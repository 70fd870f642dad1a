/* Abseil's mutex (Debian: libabsl-dev). */
#include <absl/base/const_init.h>
#include <absl/synchronization/mutex.h>

#include "tools/bench/locks/bench.h"

static absl::Mutex mutex(absl::kConstInit);

static inline void acquire()
{
    mutex.Lock();
}

static inline void release()
{
    mutex.Unlock();
}

PAIRS(acquire, release)

const struct peer peer = {.name = "abseil",
                          .init = nullptr,
                          .acquire = acquire,
                          .release = release,
                          .pairs = pairs,
                          .asked = nullptr,
                          .yield = nullptr,
                          .checkpoints = nullptr,
                          .set_interval = nullptr,
                          .print_counters = nullptr};
