/* Counters of a lock, per thread: always on, and no clock is read for them on an uncontended path.
 *
 * A thread's counters live as long as the thread; those of threads that have ended are added up in
 * one entry, whose tid is 0. Reading while other threads run gives values that may be a moment old,
 * each counter by itself consistent. */
#ifndef GIL_STATS_H
#define GIL_STATS_H

#include <stddef.h>
#include <stdint.h>

#include <gil/export.h>
#include <gil/lock.h>

GIL_BEGIN_DECLS

typedef struct gil_thread_stats {
    int32_t tid;              /* kernel thread id; 0: all threads that have ended */
    uint32_t threads;         /* how many threads this entry adds up */
    uint64_t acquires;        /* times the lock was taken, take-backs of a deferral not counted */
    uint64_t contended;       /* of these: times somebody else had it, so that the thread waited */
    uint64_t forced;          /* releases with a drop request pending */
    uint64_t handovers;       /* releases that granted the lock to a named waiter */
    uint64_t deferred;        /* releases that were deferred */
    uint64_t deferred_back;   /* of these: taken back by the thread */
    uint64_t deferred_taken;  /* of these: taken over by somebody else */
    uint64_t deferred_ended;  /* of these: completed because the call had to block */
    uint64_t requests;        /* times the thread asked the owner to drop the lock */
    uint64_t futex_waits;     /* futex calls made by the lock in this thread: sleeping */
    uint64_t futex_wakes;     /* and waking others */
    uint64_t wait_ns;         /* nanoseconds spent waiting for the lock */
    uint64_t wait_max_ns;     /* the longest single wait */
} gil_thread_stats;

/* Fills at most `count` entries with the counters of the threads that have used the lock, the
 * entry for ended threads last, and returns how many there are (which may be more than count).
 * Anyone may call it, with or without the lock. */
GIL_API size_t gil_lock_stats(const gil_lock *lock, gil_thread_stats *stats, size_t count);

GIL_END_DECLS

#endif
