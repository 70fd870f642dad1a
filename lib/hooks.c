/* Hooks: who is told what happens to threads. See include/gil/eval.h.
 *
 * A hook's place is taken and freed with the mutex held. Whoever calls hooks reads the key of a
 * place first, and again after fn and arg: a place that has changed hands in between is left out.
 * */
#include "lib/runtime.h"

#include <errno.h>

enum { KEY_EVENTS = 31, KEY_ONE = 32 };

static struct {
    uint32_t key; /* its events, 0: free; and a count of its owners above */
    gil_hook_fn *fn;
    void *arg;
} places[GIL_HOOKS_MAX];

void hooks_call(gil_event event, struct thread_state *ts)
{
    int saved = errno;

    for (int i = 0; i < GIL_HOOKS_MAX; i++) {
        uint32_t key = __atomic_load_n(&places[i].key, __ATOMIC_ACQUIRE);
        gil_hook_fn *fn = __atomic_load_n(&places[i].fn, __ATOMIC_ACQUIRE);
        void *arg = __atomic_load_n(&places[i].arg, __ATOMIC_ACQUIRE);

        if (key & (uint32_t)event && relaxed_load(&places[i].key) == key)
            fn(event, ts ? &ts->pub : NULL, arg);
    }
    errno = saved;
}

/* What any hook wants. With the mutex held. */
static void sum_up(void)
{
    uint32_t events = 0;

    for (int i = 0; i < GIL_HOOKS_MAX; i++)
        events |= places[i].key & KEY_EVENTS;
    relaxed_store(&runtime.events, events);
}

int gil_add_hook(unsigned events, gil_hook_fn *fn, void *arg)
{
    int at = 0;

    if (!fn || !events || events & ~(unsigned)KEY_EVENTS) {
        errno = EINVAL;
        return -1;
    }
    runtime_lock();
    while (at < GIL_HOOKS_MAX && places[at].key & KEY_EVENTS)
        at++;
    if (at < GIL_HOOKS_MAX) {
        __atomic_store_n(&places[at].fn, fn, __ATOMIC_RELEASE);
        __atomic_store_n(&places[at].arg, arg, __ATOMIC_RELEASE);
        __atomic_store_n(&places[at].key, places[at].key | events, __ATOMIC_RELEASE);
        sum_up();
    }
    runtime_unlock();
    if (at < GIL_HOOKS_MAX)
        return at;
    errno = ENOSPC;
    return -1;
}

int gil_remove_hook(int hook)
{
    bool there;

    runtime_lock();
    there = hook >= 0 && hook < GIL_HOOKS_MAX && places[hook].key & KEY_EVENTS;
    if (there) {
        relaxed_store(&places[hook].key, (places[hook].key & ~(uint32_t)KEY_EVENTS) + KEY_ONE);
        sum_up();
    }
    runtime_unlock();
    if (there)
        return 0;
    errno = EINVAL;
    return -1;
}
