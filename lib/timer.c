/* Timer: a thread that waits for a moment, or to be cancelled. See include/gil/sync.h.
 *
 * Whether it is cancelled or fires is settled by one CAS. The thread and whoever has the timer
 * share the record, which the last of the two to go frees. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <gil/sync.h>
#include <gil/thread.h>

#include "lib/sync_impl.h"

#ifndef GIL_NO_THREADS

enum { TIMER_SET, TIMER_FIRED, TIMER_CANCELLED };

struct gil_timer {
    void (*fn)(void *arg);
    void *arg;
    int64_t delay_ns;
    uint32_t state;
    uint32_t shared_by;
    gil_thread_event cancelled;
    gil_thread *thread;
};

static void let_go(gil_timer *t)
{
    if (__atomic_sub_fetch(&t->shared_by, 1, __ATOMIC_ACQ_REL) == 0)
        free(t);
}

/* False: it is settled already. */
static bool settle(gil_timer *t, uint32_t as)
{
    uint32_t set = TIMER_SET;

    return __atomic_compare_exchange_n(&t->state, &set, as, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static void ends(void *timer)
{
    let_go(timer);
}

/* An interrupt during the delay is left for fn. */
static void timer_main(void *arg)
{
    gil_timer *t = arg;

    pthread_cleanup_push(ends, t); /* fn may end the thread */
    event_wait(&t->cancelled, t->delay_ns, false);
    if (settle(t, TIMER_FIRED))
        t->fn(t->arg);
    pthread_cleanup_pop(1);
}

gil_timer *gil_timer_start(int64_t delay_ns, void (*fn)(void *arg), void *arg)
{
    static const gil_thread_options options = {.name = "gil timer"};
    gil_timer *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->fn = fn;
    t->arg = arg;
    t->delay_ns = delay_ns > 0 ? delay_ns : 0;
    t->shared_by = 2;
    if (gil_thread_start(&t->thread, &options, timer_main, t) != GIL_NO_THREAD)
        return t;
    free(t);
    return NULL;
}

int gil_timer_cancel(gil_timer *t)
{
    if (!settle(t, TIMER_CANCELLED) && __atomic_load_n(&t->state, __ATOMIC_ACQUIRE) == TIMER_FIRED)
        return fails(EALREADY);
    gil_thread_event_set(&t->cancelled);
    return 0;
}

int gil_timer_join(gil_timer *t, int64_t timeout_ns)
{
    if (gil_thread_join(t->thread, timeout_ns) < 0)
        return -1;
    let_go(t);
    return 0;
}

void gil_timer_detach(gil_timer *t)
{
    gil_thread_detach(t->thread);
    let_go(t);
}

#endif
