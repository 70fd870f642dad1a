/* Event. See include/gil/sync.h. */
#include "lib/sync_impl.h"

struct event {
    struct waiters waiters;
    uint32_t set; /* also read without the guard */
};

_Static_assert(sizeof(struct event) <= sizeof(gil_thread_event),
               "gil_thread_event is large enough");

bool gil_thread_event_is_set(const gil_thread_event *event)
{
    return __atomic_load_n(&((const struct event *)event)->set, __ATOMIC_ACQUIRE);
}

void gil_thread_event_set(gil_thread_event *event)
{
    struct event *e = (struct event *)event;
    gil_thread_state *aside = stand_aside(waiters_count(&e->waiters));
    struct parker *chain;

    waiters_enter(&e->waiters);
    __atomic_store_n(&e->set, 1, __ATOMIC_RELEASE);
    chain = waiters_take_many(&e->waiters, SIZE_MAX);
    waiters_leave(&e->waiters);
    waiters_wake(chain);
    come_back(aside);
}

void gil_thread_event_clear(gil_thread_event *event)
{
    __atomic_store_n(&((struct event *)event)->set, 0, __ATOMIC_RELAXED);
}

int event_wait(gil_thread_event *event, int64_t timeout_ns, bool interruptible)
{
    struct event *e = (struct event *)event;

    waiters_enter(&e->waiters); /* first: then whoever has set it does not touch it any more */
    if (e->set) {
        waiters_leave(&e->waiters);
        return 0;
    }
    return waiters_wait(&e->waiters, timeout_ns, interruptible);
}

int gil_thread_event_wait(gil_thread_event *event, int64_t timeout_ns)
{
    return event_wait(event, timeout_ns, true);
}
