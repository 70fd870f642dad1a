/* Concurrency Kit's ticket lock (Debian: libck-dev): strictly first come, first served; waiters
 * spin. */
#include <ck_spinlock.h>

#include "tools/bench/locks/bench.h"

static ck_spinlock_ticket_t lock = CK_SPINLOCK_TICKET_INITIALIZER;

static inline void acquire(void)
{
    ck_spinlock_ticket_lock(&lock);
}

static inline void release(void)
{
    ck_spinlock_ticket_unlock(&lock);
}

PAIRS(acquire, release)

const struct peer peer = {.name = "ticket", .acquire = acquire, .release = release, .pairs = pairs};
