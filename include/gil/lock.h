/* A fair hand-off lock: one owner at a time, and whoever has had it least runs next.
 *
 * The lock is meant to be held for long and given up often, the way an interpreter holds its
 * lock. A thread that waits asks the owner to drop it (the *drop request*); an owner that was asked
 * and releases gives the lock to one named waiter and wakes exactly that one. A release that
 * nobody asked for leaves the lock free for a moment, so that a thread that comes right back
 * does not pay for a context switch. Uncontended, acquire and release are one atomic operation
 * each, without a system call and without reading the clock.
 *
 * All-zero memory is a valid free lock with the default settings. Times are nanoseconds. Every
 * function keeps errno unless it says that it returns an error there. Misuse (releasing a lock
 * that the caller does not own, acquiring one that it owns already) prints one line that names
 * both threads and aborts. So does the end of a thread that owns a lock, by return, pthread_exit or
 * cancellation, unless a destructor of thread-specific data (pthread_key_create) releases it yet.
 *
 * None of these functions may be called from a signal handler. */
#ifndef GIL_LOCK_H
#define GIL_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <gil/export.h>

GIL_BEGIN_DECLS

/* The lock. Opaque, at least 64-byte aligned; never copied or moved once a thread has used it. */
typedef struct gil_lock {
    uint64_t opaque[64];
} __attribute__((aligned(64))) gil_lock;

#define GIL_LOCK_INIT                                                                              \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* Who is next: GIL_FAIR, the waiter that has had the lock for the least time (default);
 * GIL_FIFO, the waiter that has waited longest. When more than 48 threads have begun to wait while
 * one owner had the lock, a release sorts only a part of them, so as not to take long: until that is
 * done, and if nobody else waits, one that came later may be next, one of them for each 96. */
typedef enum gil_policy { GIL_FAIR = 0, GIL_FIFO = 1 } gil_policy;

/* How long an owner may keep the lock when others want it, unless set otherwise: 5 ms. */
#define GIL_INTERVAL_DEFAULT_NS INT64_C(5000000)

/* Called by a waiter, in the waiter's thread, each time it asks the owner to drop the lock. It runs
 * while the waiter does not hold the lock, possibly in several waiters at once; it must return
 * soon and call nothing of libgil. For hosts that cannot poll gil_lock_drop_requested(). */
typedef void gil_drop_request_fn(gil_lock *lock, void *arg);

/* Sets the policy. Anyone may call it at any time, with or without the lock: whoever gets the lock
 * next is chosen by it, also among threads that wait already; one of these may still ask for the
 * lock once when the old policy would have let it. Returns 0, or -1 with errno EINVAL when there is
 * no such policy. */
GIL_API int gil_lock_set_policy(gil_lock *lock, gil_policy policy);

/* Sets the switch interval, in nanoseconds (at least 1 µs; smaller values count as 1 µs). Anyone
 * may call it at any time, with or without the lock; it counts from the next slice on. Classic
 * name: sys.setswitchinterval. */
GIL_API void gil_lock_set_interval(gil_lock *lock, int64_t interval_ns);

/* The switch interval in nanoseconds. Classic name: sys.getswitchinterval. */
GIL_API int64_t gil_lock_get_interval(const gil_lock *lock);

/* Installs the callback described at gil_drop_request_fn; NULL removes it. Call it before a second
 * thread uses the lock. */
GIL_API void gil_lock_on_drop_request(gil_lock *lock, gil_drop_request_fn *fn, void *arg);

/* Takes the lock, however long that takes. The caller must not own it.
 * Classic name: PyEval_AcquireLock. */
GIL_API void gil_lock_acquire(gil_lock *lock);

/* Takes the lock if nobody has it. Returns 0, or -1 with errno EBUSY. */
GIL_API int gil_lock_try_acquire(gil_lock *lock);

/* Takes the lock, waiting timeout_ns nanoseconds at most (-1: without limit; 0: as
 * gil_lock_try_acquire, but with ETIMEDOUT). Returns 0, or -1 with errno ETIMEDOUT. */
GIL_API int gil_lock_acquire_for(gil_lock *lock, int64_t timeout_ns);

/* Gives the lock up. The caller must own it. If it was asked to drop the lock, the next waiter has
 * it already when this returns. Classic name: PyEval_ReleaseLock. */
GIL_API void gil_lock_release(gil_lock *lock);

/* Gives the lock up for a moment: the caller is about to try something that may return at once, and
 * will take the lock back if it does. Nobody is woken, but any thread that comes along may take
 * the lock. The caller must own it, and must call gil_lock_acquire (to take it back) or
 * gil_lock_release_complete (before it blocks after all) soon. Returns true when a deferral is
 * pending, false when the lock was released as by gil_lock_release and nothing is left to complete
 * (nobody waited, or somebody did who must not be kept waiting). */
GIL_API bool gil_lock_release_deferred(gil_lock *lock);

/* Completes a deferred release: the waiter whose turn it is gets woken. Harmless when somebody has
 * taken the lock in the meantime, or when nothing was deferred. The caller must not own the lock.
 */
GIL_API void gil_lock_release_complete(gil_lock *lock);

/* Gives the lock to the next waiter, if there is one, and takes it again after that one: a waiter
 * always gets to run. The caller must own the lock, and owns it on return. */
GIL_API void gil_lock_yield(gil_lock *lock);

/* Hands the lock over if somebody asked for it, and takes it again. Cheap when nobody did: one
 * relaxed load. The caller must own the lock, and owns it on return. */
GIL_API void gil_lock_checkpoint(gil_lock *lock);

/* Does the calling thread own the lock? Classic name: PyGILState_Check. */
GIL_API bool gil_lock_held(const gil_lock *lock);

/* Has anyone asked the owner to drop the lock? One relaxed load; meant for the owner. */
GIL_API bool gil_lock_drop_requested(const gil_lock *lock);

/* Ends the use of a lock: no thread may hold it, wait for it or use it afterwards, other than by
 * starting over with GIL_LOCK_INIT. Fatal while it is held or waited for. */
GIL_API void gil_lock_destroy(gil_lock *lock);

GIL_END_DECLS

#endif
