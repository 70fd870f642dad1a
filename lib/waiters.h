/* What every object of sync.h is made of: a first-in-first-out queue of parkers, and a guard.
 *
 * Invariants
 * 1. The guard is held for a few instructions at a time, never while sleeping. It guards the queue
 *    and, unless its file says otherwise, whatever else the object has.
 * 2. Who is taken off the queue by another thread has got what it waited for, and will be woken. A
 *    waiter that wants to give up takes itself off, under the guard; where it finds itself taken
 *    off already it waits to be woken, however long.
 * 3. Others are woken after the guard was released, and nothing of the object is touched
 *    afterwards: it may have been given back by then. So a chain of parkers is collected first.
 * 4. Where there are very many, to take them off and to wake them costs 10 µs each: the interpreter
 *    lock is not held meanwhile.
 * 5. In a forked child the guard is free and the queue empty: the generation in the guard's word
 *    tells that it was last used in another process. */
#ifndef LIB_WAITERS_H
#define LIB_WAITERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gil/state.h>

#include "lib/park.h"

struct waiters {
    uint32_t guard; /* futex word: generation and two flags */
    uint32_t count; /* also read without the guard */
    struct parker *first, *last;
};

/* Takes and releases the guard. */
void waiters_enter(struct waiters *w);
void waiters_leave(struct waiters *w);

/* The guard is held: puts the calling thread, or one that was taken off another queue, at the
 * end. */
void waiters_append(struct waiters *w, struct parker *p);

/* The guard is held: takes the first one off, or NULL; or the first n, as a chain. */
struct parker *waiters_take(struct waiters *w);
struct parker *waiters_take_many(struct waiters *w, size_t n);

/* The caller is about to deal with so many waiters, and does not hold the guard: gives the
 * interpreter lock up if it has a current thread state, and these are many. Returns the state with
 * which it comes back, or NULL. */
gil_thread_state *stand_aside(uint32_t waiters);
void come_back(gil_thread_state *ts);

static inline uint32_t waiters_count(const struct waiters *w)
{
    return __atomic_load_n(&w->count, __ATOMIC_RELAXED);
}

/* Wakes a chain (NULL: nobody). */
void waiters_wake(struct parker *chain);

/* The caller is queued, and the guard is not held: gives the interpreter lock up, sleeps, and takes
 * it again. Returns 0, or -1 with errno ETIMEDOUT or EINTR: the caller is not queued any more.
 * errno is as it was otherwise. */
int waiters_sleep(struct waiters *w, struct parker *p, int64_t deadline_ns, bool interruptible);

/* The guard is held: waits at the end of the queue, for timeout_ns, and releases the guard in any
 * case. As waiters_sleep(). */
int waiters_wait(struct waiters *w, int64_t timeout_ns, bool interruptible);

/* Fails with errno. */
int fails(int error);

#endif
