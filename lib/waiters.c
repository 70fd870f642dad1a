/* The queue and the guard that objects of sync.h are made of. See waiters.h. */
#include "lib/waiters.h"

#include <errno.h>

#include <gil/eval.h>

/* The guard's word: the generation above, and */
enum { GUARD_TAKEN = 1, GUARD_AWAITED = 2, GUARD_FLAGS = 3 };

enum { MANY = 32 };

int fails(int error)
{
    errno = error;
    return -1;
}

/* ---- The guard ---- */

static uint32_t guard_free(void)
{
    return fork_generation * (GUARD_FLAGS + 1);
}

static bool guard_cas(struct waiters *w, uint32_t *from, uint32_t to)
{
    return __atomic_compare_exchange_n(&w->guard, from, to, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static void set_count(struct waiters *w, uint32_t count)
{
    __atomic_store_n(&w->count, count, __ATOMIC_RELAXED);
}

/* The object was last used before the process was forked: nobody is left to wait. */
static void forget_waiters(struct waiters *w)
{
    set_count(w, 0);
    w->first = w->last = NULL;
}

void waiters_enter(struct waiters *w)
{
    uint32_t available = guard_free(), word = available;

    if (guard_cas(w, &word, available | GUARD_TAKEN))
        return;
    for (;; word = __atomic_load_n(&w->guard, __ATOMIC_RELAXED)) {
        bool old = (word & ~(uint32_t)GUARD_FLAGS) != available;

        if (old || word == available) {
            if (!guard_cas(w, &word, available | GUARD_TAKEN | GUARD_AWAITED))
                continue;
            if (old)
                forget_waiters(w);
            return;
        }
        if (word & GUARD_AWAITED || guard_cas(w, &word, word | GUARD_AWAITED))
            futex_wait(&w->guard, available | GUARD_TAKEN | GUARD_AWAITED, FUTEX_FOREVER);
    }
}

void waiters_leave(struct waiters *w)
{
    if (__atomic_exchange_n(&w->guard, guard_free(), __ATOMIC_RELEASE) & GUARD_AWAITED)
        futex_wake(&w->guard);
}

/* ---- The queue ---- */

/* Read by its own thread, under the guard of another queue. */
static void set_queue(struct parker *p, struct waiters *w)
{
    __atomic_store_n(&p->queue, w, __ATOMIC_RELAXED);
}

void waiters_append(struct waiters *w, struct parker *p)
{
    set_queue(p, w);
    p->next = NULL;
    p->prev = w->last;
    if (w->last)
        w->last->next = p;
    else
        w->first = p;
    w->last = p;
    set_count(w, w->count + 1);
}

static void take_off(struct waiters *w, struct parker *p)
{
    set_queue(p, NULL);
    if (p->prev)
        p->prev->next = p->next;
    else
        w->first = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        w->last = p->prev;
    set_count(w, w->count - 1);
}

struct parker *waiters_take_many(struct waiters *w, size_t n)
{
    struct parker *chain = NULL, **end = &chain;

    for (; n > 0 && w->first; n--) {
        struct parker *p = w->first;

        take_off(w, p);
        *end = p;
        end = &p->next;
    }
    *end = NULL;
    return chain;
}

struct parker *waiters_take(struct waiters *w)
{
    return waiters_take_many(w, 1);
}

void waiters_wake(struct parker *chain)
{
    while (chain) {
        struct parker *next = chain->next; /* first: it may be queued elsewhere in a moment */

        unpark(chain);
        chain = next;
    }
}

gil_thread_state *stand_aside(uint32_t waiters)
{
    if (waiters < MANY || !gil_thread_state_get_unchecked())
        return NULL;
    return gil_save_thread();
}

void come_back(gil_thread_state *ts)
{
    if (ts)
        gil_restore_thread(ts);
}

/* ---- Waiting ---- */

/* False: the caller has been taken off this queue, and waits to be woken. */
static bool gives_up(struct waiters *w, struct parker *p)
{
    bool queued;

    waiters_enter(w);
    queued = __atomic_load_n(&p->queue, __ATOMIC_RELAXED) == w;
    if (queued)
        take_off(w, p);
    waiters_leave(w);
    return queued;
}

/* Why a wait that was given up has failed. */
static int reason(struct parker *p, bool interruptible)
{
    const uint32_t interrupts = PARK_INTERRUPTED | PARK_SIGNALLED;

    if (!interruptible || !parker_has(p, interrupts))
        return ETIMEDOUT;
    parker_forget(p, interrupts);
    return EINTR;
}

int waiters_sleep(struct waiters *w, struct parker *p, int64_t deadline, bool interruptible)
{
    gil_thread_state *ts = gil_thread_state_get_unchecked();
    int error = 0;

    if (ts)
        gil_save_thread();
    if (!park(p, deadline, interruptible)) {
        if (gives_up(w, p))
            error = reason(p, interruptible);
        else
            park(p, FUTEX_FOREVER, false);
    }
    if (ts)
        gil_restore_thread(ts);
    return error ? fails(error) : 0;
}

int waiters_wait(struct waiters *w, int64_t timeout_ns, bool interruptible)
{
    struct parker *p = parker_self();

    if (timeout_ns == 0) {
        waiters_leave(w);
        return fails(ETIMEDOUT);
    }
    parker_prepare(p);
    waiters_append(w, p);
    waiters_leave(w);
    return waiters_sleep(w, p, futex_deadline(timeout_ns), interruptible);
}
