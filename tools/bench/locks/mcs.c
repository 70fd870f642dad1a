/* Concurrency Kit's MCS lock (Debian: libck-dev): first come, first served; each waiter spins on
 * memory of its own. */
#include <ck_spinlock.h>

#include "tools/bench/locks/bench.h"

static ck_spinlock_mcs_t lock = CK_SPINLOCK_MCS_INITIALIZER;
static _Thread_local ck_spinlock_mcs_context_t mine;

static inline void acquire(void)
{
    ck_spinlock_mcs_lock(&lock, &mine);
}

static inline void release(void)
{
    ck_spinlock_mcs_unlock(&lock, &mine);
}

PAIRS(acquire, release)

const struct peer peer = {.name = "mcs", .acquire = acquire, .release = release, .pairs = pairs};
