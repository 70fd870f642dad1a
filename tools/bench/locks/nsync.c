/* nsync's mutex (Debian: libnsync-dev). */
#include <nsync.h>

#include "tools/bench/locks/bench.h"

static nsync_mu mutex = NSYNC_MU_INIT;

static inline void acquire(void)
{
    nsync_mu_lock(&mutex);
}

static inline void release(void)
{
    nsync_mu_unlock(&mutex);
}

PAIRS(acquire, release)

const struct peer peer = {.name = "nsync", .acquire = acquire, .release = release, .pairs = pairs};
