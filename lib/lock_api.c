/* The interface of gil/lock.h for acquiring and releasing: what each call checks, and the path where
 * nobody waits. The protocol is in lock.c and wait.c, the settings are in settings.c. */
#include "lib/lock_impl.h"

#include <errno.h>

/* With another node at hand, or with others about. */
static __attribute__((noinline)) void acquire(struct lock *l)
{
    struct node *n = node_of(l);

    if (lock_acquire_fast(l, n))
        return;
    if (relaxed_load(&n->state) == NODE_HELD)
        misuse("gil_lock_acquire", l, "the caller owns the lock already");
    lock_acquire_slow(l, n, FUTEX_FOREVER, 0, NULL);
}

/* It and gil_lock_release() need no stack frame where nobody waits: what calls is called last. */
void gil_lock_acquire(gil_lock *lock)
{
    struct lock *l = lock_of(lock);
    struct node *n = node_at_hand(l);

    if (unlikely(!n || !lock_acquire_fast(l, n))) /* T1 */
        acquire(l);
}

int gil_lock_try_acquire(gil_lock *lock)
{
    struct lock *l = lock_of(lock);

    if (lock_acquire_slow(l, node_of(l), 0, 0, NULL))
        return 0;
    errno = EBUSY;
    return -1;
}

int gil_lock_acquire_for(gil_lock *lock, int64_t timeout_ns)
{
    struct lock *l = lock_of(lock);
    struct node *n = node_of(l);

    if (relaxed_load(&n->state) == NODE_HELD)
        misuse("gil_lock_acquire_for", l, "the caller owns the lock already");
    if (lock_acquire_slow(l, n, futex_deadline(timeout_ns), 0, NULL))
        return 0;
    errno = ETIMEDOUT;
    return -1;
}

static __attribute__((noinline)) void release(struct lock *l)
{
    struct node *n = node_of(l);

    if (relaxed_load(&n->state) != NODE_HELD)
        misuse("gil_lock_release", l, "the caller does not own the lock");
    if (!lock_release_fast(l, n))
        lock_release_slow(l, n, RELEASE_PLAIN);
}

void gil_lock_release(gil_lock *lock)
{
    struct lock *l = lock_of(lock);
    struct node *n = node_at_hand(l);

    if (unlikely(!n || relaxed_load(&n->state) != NODE_HELD || !lock_release_fast(l, n))) /* T5 */
        release(l);
}

void gil_lock_release_complete(gil_lock *lock)
{
    struct lock *l = lock_of(lock);
    struct node *n = node_of(l);

    if (relaxed_load(&n->state) == NODE_HELD)
        misuse("gil_lock_release_complete", l, "the caller owns the lock");
    if (relaxed_load(&n->state) == NODE_DEFERRING)
        lock_complete(l, n);
}

void gil_lock_yield(gil_lock *lock)
{
    struct lock *l = lock_of(lock);
    struct node *n = node_of(l);

    if (relaxed_load(&n->state) != NODE_HELD)
        misuse("gil_lock_yield", l, "the caller does not own the lock");
    if (!lock_wanted(l))
        return;
    lock_release_slow(l, n, RELEASE_GRANT);
    lock_acquire_slow(l, n, FUTEX_FOREVER, WAIT_NO_ASK, NULL);
}

/* Called between an interpreter's instructions: no second call through the library's table. */
void gil_lock_checkpoint(gil_lock *lock)
{
    if (unlikely(relaxed_load(&lock_of(lock)->drop))) {
        gil_lock_release(lock);
        gil_lock_acquire(lock);
    }
}
