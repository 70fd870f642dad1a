/* Semaphore and BoundedSemaphore. See include/gil/sync.h.
 *
 * Invariant: while units are there, nobody waits. */
#include <errno.h>

#include <gil/sync.h>

#include "lib/waiters.h"

struct semaphore {
    struct waiters waiters;
    uint32_t value; /* also read without the guard */
    uint32_t most;  /* never more than so many units; meaningful if it is bounded */
    bool bounded;
};

_Static_assert(sizeof(struct semaphore) <= sizeof(gil_semaphore), "gil_semaphore is large enough");

void gil_semaphore_init(gil_semaphore *semaphore, uint32_t value)
{
    *(struct semaphore *)semaphore = (struct semaphore){.value = value};
}

void gil_bounded_semaphore_init(gil_semaphore *semaphore, uint32_t value)
{
    *(struct semaphore *)semaphore =
        (struct semaphore){.value = value, .most = value, .bounded = true};
}

static void set_value(struct semaphore *s, uint32_t value)
{
    __atomic_store_n(&s->value, value, __ATOMIC_RELAXED);
}

int gil_semaphore_acquire(gil_semaphore *semaphore, int64_t timeout_ns)
{
    struct semaphore *s = (struct semaphore *)semaphore;

    waiters_enter(&s->waiters);
    if (s->value > 0) {
        set_value(s, s->value - 1);
        waiters_leave(&s->waiters);
        return 0;
    }
    return waiters_wait(&s->waiters, timeout_ns, true);
}

int gil_semaphore_release(gil_semaphore *semaphore, uint32_t n)
{
    struct semaphore *s = (struct semaphore *)semaphore;
    uint32_t most = s->bounded ? s->most : UINT32_MAX, waiting;
    gil_thread_state *aside;
    struct parker *chain;

    if (n == 0)
        return fails(EINVAL);
    waiting = waiters_count(&s->waiters);
    aside = stand_aside(waiting < n ? waiting : n);
    waiters_enter(&s->waiters);
    if (n > most - s->value) {
        waiters_leave(&s->waiters);
        come_back(aside);
        return fails(EOVERFLOW);
    }
    waiting = s->waiters.count < n ? s->waiters.count : n;
    chain = waiters_take_many(&s->waiters, waiting);
    set_value(s, s->value + n - waiting);
    waiters_leave(&s->waiters);
    waiters_wake(chain);
    come_back(aside);
    return 0;
}

uint32_t gil_semaphore_value(const gil_semaphore *semaphore)
{
    return __atomic_load_n(&((const struct semaphore *)semaphore)->value, __ATOMIC_RELAXED);
}
