/* What the objects of sync.h share beyond their waiters: the insides of Lock and RLock, for
 * conditions, and waits that an interrupt does not end. */
#ifndef LIB_SYNC_IMPL_H
#define LIB_SYNC_IMPL_H

#include <gil/sync.h>

#include "lib/waiters.h"

/* held: is it free, held, or held and perhaps waited for? The guard is for taking the last one
 * away; the others change into each other and into the last one by CAS. */
enum { LOCK_FREE, LOCK_HELD, LOCK_AWAITED };

struct tlock {
    struct waiters waiters;
    uint32_t held;
};

struct rlock {
    struct tlock lock;
    unsigned long owner; /* ident; 0: nobody */
    uint64_t depth;      /* the owner's */
};

_Static_assert(sizeof(struct tlock) <= sizeof(gil_thread_lock), "gil_thread_lock is large enough");
_Static_assert(sizeof(struct rlock) <= sizeof(gil_rlock), "gil_rlock is large enough");

static inline bool tlock_held(const struct tlock *l)
{
    return __atomic_load_n(&l->held, __ATOMIC_RELAXED) != LOCK_FREE;
}

int tlock_acquire(struct tlock *l, int64_t timeout_ns, bool interruptible);
int tlock_release(struct tlock *l);

/* Lets threads that wait for something else wait for the lock, in the order of the chain. */
void tlock_queue(struct tlock *l, struct parker *chain);

/* Is the calling thread the owner? */
bool rlock_owned(const struct rlock *l);

int event_wait(gil_thread_event *event, int64_t timeout_ns, bool interruptible);

#endif
