/* What threads wait with: locks, conditions, semaphores, events, barriers, timers, queues.
 *
 * A call that has to wait
 * - gives the interpreter lock up meanwhile if a thread state is current in the caller, and has
 *   taken it again when it returns; otherwise it just waits (so does a caller that holds the lock
 *   through gil_acquire_lock() without a state);
 * - waits timeout_ns nanoseconds at most (CLOCK_MONOTONIC), without limit if that is negative, and
 *   not at all if it is 0. Then it returns -1 with errno ETIMEDOUT;
 * - returns -1 with errno EINTR when gil_interrupt() was called for its thread, now or at any time
 *   since the thread last returned so. One that has got what it waited for returns 0, and one that
 *   does not have to wait does not look: the interrupt is then there for the next wait. Signals do
 *   not end a wait.
 *
 * A call that ends the waits of very many threads (32 or more), with a thread state current, gives the
 * interpreter lock up meanwhile, too.
 *
 * Who waits in a lock, a semaphore or a queue is served in the order of arrival: what is given back
 * goes to the first one straight away, and nobody who comes later gets it before. That is the order
 * in which they get the thing, not in which they run: they take the interpreter lock in the order
 * of that lock's own policy. Where nothing is said about an order, there is none.
 *
 * Objects are memory of the caller's. All-zero memory is a valid lock, rlock, event, and a
 * semaphore of value 0; the others have an init function. None is copied or moved, and there is
 * nothing to destroy: the memory may be used for something else as soon as nobody waits or will use
 * the object, even if a call that ended the last wait has not returned yet. Any thread may use
 * them, with or without a thread state; starting threads is not needed for it. Nothing is undone
 * when a thread ends: what it holds stays held.
 *
 * In a forked child the waiting threads are gone, and are forgotten. What the forking thread holds
 * it still holds; what another thread held stays held: start over with all-zero memory or the init
 * function. So, too, with a queue or a barrier that another thread was in a call with.
 *
 * Functions keep errno unless they say that they return an error there. None may be called from a
 * signal handler, and none is a cancellation point. */
#ifndef GIL_SYNC_H
#define GIL_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gil/export.h>

GIL_BEGIN_DECLS

/* ---- Lock ---- */

/* A lock that has no owner: any thread may release it. Classic names: PyThread_type_lock,
 * threading.Lock. */
typedef struct gil_thread_lock {
    uint64_t opaque[4];
} gil_thread_lock;

/* Takes the lock. Returns 0, or -1 with errno ETIMEDOUT or EINTR. Classic names: Lock.acquire;
 * PyThread_acquire_lock_timed with intr_flag 1. */
GIL_API int gil_thread_lock_acquire(gil_thread_lock *lock, int64_t timeout_ns);

/* The same, but an interrupt is left for the next wait. Returns 0, or -1 with errno ETIMEDOUT.
 * Classic names: PyThread_acquire_lock; PyThread_acquire_lock_timed with intr_flag 0. */
GIL_API int gil_thread_lock_acquire_uninterrupted(gil_thread_lock *lock, int64_t timeout_ns);

/* Gives the lock to the first waiter, or frees it. Returns 0, or -1 with errno EPERM: nobody holds
 * it. Classic names: Lock.release, PyThread_release_lock. */
GIL_API int gil_thread_lock_release(gil_thread_lock *lock);

/* Does anybody hold the lock? Classic name: Lock.locked. */
GIL_API bool gil_thread_lock_locked(const gil_thread_lock *lock);

/* ---- RLock ---- */

/* A lock that its owner may take again, and gives up by as many releases. Classic name:
 * threading.RLock. */
typedef struct gil_rlock {
    uint64_t opaque[6];
} gil_rlock;

/* Takes the lock; returns at once if the caller has it. Returns 0, or -1 with errno ETIMEDOUT or
 * EINTR. Classic name: RLock.acquire. */
GIL_API int gil_rlock_acquire(gil_rlock *lock, int64_t timeout_ns);

/* Undoes one acquire; the last one gives the lock to the first waiter, or frees it. Returns 0, or
 * -1 with errno EPERM: the caller does not own it. Classic name: RLock.release. */
GIL_API int gil_rlock_release(gil_rlock *lock);

/* How many releases the caller owes; 0: it does not own the lock. Classic names:
 * RLock._recursion_count, RLock._is_owned. */
GIL_API uint64_t gil_rlock_depth(const gil_rlock *lock);

/* ---- Condition ---- */

/* Threads that wait, with a lock given up meanwhile, until another one that holds it notifies them.
 * Classic name: threading.Condition. */
typedef struct gil_condition {
    uint64_t opaque[5];
} gil_condition;

/* Makes a condition of an RLock, or of a lock. That one must stay as long as the condition. Several
 * conditions may have the same. */
GIL_API void gil_condition_init(gil_condition *condition, gil_rlock *lock);
GIL_API void gil_condition_init_lock(gil_condition *condition, gil_thread_lock *lock);

/* Gives the lock up, as often as it was taken, waits to be notified, and takes the lock again as
 * often, however it ends; for the lock it waits without limit, and an interrupt that comes then is
 * left for the next wait. Returns 0: it was notified; or -1 with errno ETIMEDOUT, EINTR, or EPERM:
 * the caller does not own the RLock, or nobody holds the lock. Classic name: Condition.wait. */
GIL_API int gil_condition_wait(gil_condition *condition, int64_t timeout_ns);

/* Waits until predicate(arg) is true, which is called with the lock held: at first, after each time
 * the caller is notified, and at the end of timeout_ns, which is for all of it. Returns 0: it was
 * true; or -1 as gil_condition_wait() does. Classic name: Condition.wait_for. */
GIL_API int gil_condition_wait_for(gil_condition *condition, bool (*predicate)(void *arg),
                                   void *arg, int64_t timeout_ns);

/* Notifies the n threads that have waited longest, or all. They queue for the lock in that order.
 * Returns 0, or -1 with errno EPERM as above. Classic names: Condition.notify,
 * Condition.notify_all. */
GIL_API int gil_condition_notify(gil_condition *condition, size_t n);
GIL_API int gil_condition_notify_all(gil_condition *condition);

/* ---- Semaphore, BoundedSemaphore ---- */

/* A number of units, which are taken one at a time. Classic names: threading.Semaphore,
 * threading.BoundedSemaphore. */
typedef struct gil_semaphore {
    uint64_t opaque[5];
} gil_semaphore;

/* Makes a semaphore with so many units; of the bounded one, never more than these are there. */
GIL_API void gil_semaphore_init(gil_semaphore *semaphore, uint32_t value);
GIL_API void gil_bounded_semaphore_init(gil_semaphore *semaphore, uint32_t value);

/* Takes a unit. Returns 0, or -1 with errno ETIMEDOUT or EINTR. Classic name: Semaphore.acquire. */
GIL_API int gil_semaphore_acquire(gil_semaphore *semaphore, int64_t timeout_ns);

/* Gives n units: to the first waiters, and what is left over to whoever comes. Any thread may do
 * it. Returns 0, or -1, with nothing given, and errno EINVAL: n is 0; or EOVERFLOW: more would be
 * there than at first (bounded), or than UINT32_MAX. Classic name: Semaphore.release. */
GIL_API int gil_semaphore_release(gil_semaphore *semaphore, uint32_t n);

/* How many units are there. */
GIL_API uint32_t gil_semaphore_value(const gil_semaphore *semaphore);

/* ---- Event ---- */

/* A flag that threads wait for. Classic name: threading.Event. */
typedef struct gil_thread_event {
    uint64_t opaque[4];
} gil_thread_event;

/* Sets the flag: all that wait go on, even if it is cleared at once. Classic name: Event.set. */
GIL_API void gil_thread_event_set(gil_thread_event *event);

/* Clears it. Classic name: Event.clear. */
GIL_API void gil_thread_event_clear(gil_thread_event *event);

/* Is it set? Classic name: Event.is_set. */
GIL_API bool gil_thread_event_is_set(const gil_thread_event *event);

/* Waits until it is set. Returns 0, or -1 with errno ETIMEDOUT or EINTR. Classic name:
 * Event.wait. */
GIL_API int gil_thread_event_wait(gil_thread_event *event, int64_t timeout_ns);

/* ---- Barrier ---- */

/* A number of threads, its *parties*, that go on when all have arrived. Then it starts over.
 * Classic name: threading.Barrier. */
typedef struct gil_barrier {
    uint64_t opaque[7];
} gil_barrier;

/* Called by the last one to arrive, before the others go on. Returns 0, or -1 with an errno of its
 * own to break the barrier. The others cannot time out or be interrupted meanwhile. */
typedef int gil_barrier_fn(void *arg);

/* Makes a barrier. action may be NULL. Returns 0, or -1 with errno EINVAL: parties is 0 or greater
 * than INT32_MAX. */
GIL_API int gil_barrier_init(gil_barrier *barrier, uint32_t parties, gil_barrier_fn *action,
                             void *arg);

/* Waits for the others. Returns a number from 0 to parties - 1, which is another one for each of
 * them; or -1 with errno ECANCELED: the barrier is broken, or was broken or reset meanwhile. So it
 * is by a caller that does not wait to the end: errno ETIMEDOUT or EINTR; and by the action: its
 * errno. Classic name: Barrier.wait. */
GIL_API int gil_barrier_wait(gil_barrier *barrier, int64_t timeout_ns);

/* Breaks the barrier: whoever waits, or comes before it is reset, gets ECANCELED. Classic name:
 * Barrier.abort. */
GIL_API void gil_barrier_abort(gil_barrier *barrier);

/* Starts over: whoever waits gets ECANCELED, and the barrier is whole. Classic name:
 * Barrier.reset. */
GIL_API void gil_barrier_reset(gil_barrier *barrier);

/* How many threads it is for, how many wait, and is it broken? Classic names: Barrier.parties,
 * n_waiting, broken. */
GIL_API uint32_t gil_barrier_parties(const gil_barrier *barrier);
GIL_API uint32_t gil_barrier_waiting(gil_barrier *barrier);
GIL_API bool gil_barrier_broken(const gil_barrier *barrier);

/* ---- Queue ---- */

/* A queue of pointers with room for a fixed number. Classic name: queue.Queue. */
typedef struct gil_queue {
    uint64_t opaque[7];
} gil_queue;

/* Makes an empty queue. slots has room for `capacity` pointers, and belongs to the queue as long as
 * that is used. Returns 0, or -1 with errno EINVAL: capacity is 0. */
GIL_API int gil_queue_init(gil_queue *queue, void **slots, size_t capacity);

/* Adds an item at the end, or hands it to the first that waits for one; waits while the queue is
 * full. Returns 0, or -1, with the item not put, and errno ETIMEDOUT or EINTR. Classic name:
 * Queue.put. */
GIL_API int gil_queue_put(gil_queue *queue, void *item, int64_t timeout_ns);

/* Takes the first item; waits while there is none. Returns 0, or -1 with errno ETIMEDOUT or EINTR,
 * and *item as it was. Classic name: Queue.get. */
GIL_API int gil_queue_get(gil_queue *queue, void **item, int64_t timeout_ns);

/* How many items are in the queue. Classic name: Queue.qsize. */
GIL_API size_t gil_queue_size(const gil_queue *queue);

/* ---- Timer ---- */

#ifndef GIL_NO_THREADS

/* A function that is called later, by a thread of its own. Opaque. Classic name:
 * threading.Timer. */
typedef struct gil_timer gil_timer;

/* Starts a thread, as gil_thread_start() does, that waits delay_ns nanoseconds (negative: none) and
 * then calls fn(arg) with its thread state current, unless the timer was cancelled. A thread state
 * must be current in the caller. Returns the timer, which one gil_timer_join() that returns 0 or
 * one gil_timer_detach() gives back; or NULL with errno EAGAIN or ENOMEM. Classic name:
 * Timer.start. */
GIL_API gil_timer *gil_timer_start(int64_t delay_ns, void (*fn)(void *arg), void *arg);

/* Cancels the timer. Anybody may call it, as often as they like. Returns 0: fn has not been called,
 * and will not be; or -1 with errno EALREADY: it has been, or is about to be. Classic name:
 * Timer.cancel. */
GIL_API int gil_timer_cancel(gil_timer *timer);

/* Waits until fn has returned or the cancelled timer's thread has ended. Returns 0: the timer is no
 * more; or -1 as gil_thread_join() does. Classic name: Timer.join. */
GIL_API int gil_timer_join(gil_timer *timer, int64_t timeout_ns);

/* Gives the timer back; it goes on. */
GIL_API void gil_timer_detach(gil_timer *timer);

#endif

GIL_END_DECLS

#endif
