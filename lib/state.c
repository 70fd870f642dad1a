/* Interpreter states and thread states. See include/gil/state.h; runtime.h has the rules. */
#include "lib/runtime.h"

#include <errno.h>

#include <gil/thread.h>

#include "lib/pool.h"

static struct pool interpreters = {
    .size = sizeof(gil_interpreter_state),
    .link = offsetof(gil_interpreter_state, next),
    .chunk = 16,
    .spare = 4,
};

static struct pool threads = {
    .size = (sizeof(struct thread_state) + 63) & ~(size_t)63,
    .link = offsetof(struct thread_state, next),
    .chunk = 64,
    .spare = 64,
};

static int64_t next_interpreter_id; /* 0 again with each main interpreter */
static uint64_t last_thread_id;

/* ---- What a call needs ---- */

void need_lock(const char *function, const struct thread_state *ts, struct domain *d)
{
    if (!domain_held(d))
        state_misuse(function, ts, "the caller does not hold the lock");
}

struct thread_state *need_to_run(const char *function)
{
    struct thread_state *ts = current_state();

    if (!ts)
        state_misuse(function, NULL, "no thread state is current");
    need_lock(function, ts, ts->domain);
    return ts;
}

void need_state(const char *function, const struct thread_state *ts)
{
    if (!ts)
        state_misuse(function, NULL, "the thread state is NULL");
    if (!of_this_runtime(ts))
        state_refuse(function, ts);
}

/* The same for a question that may be asked of a state whose runtime is over. */
static const struct thread_state *asked_of(const char *function, const gil_thread_state *pub)
{
    const struct thread_state *ts = (const struct thread_state *)pub;

    if (!ts || !relaxed_load(&ts->mark))
        state_misuse(function, ts,
                     ts ? "the thread state was deleted" : "the thread state is NULL");
    return ts;
}

static struct thread_state *need_current(const char *function)
{
    struct thread_state *ts = current_state();

    if (!ts)
        state_misuse(function, NULL, "no thread state is current");
    return ts;
}

void need_interpreter(const char *function, const gil_interpreter_state *interp)
{
    const struct thread_state *ts = current_state();
    uint32_t mark = interp ? relaxed_load(&interp->mark) : 0;

    if (interp && mark == relaxed_load(&runtime.mark))
        return;
    if (interp && mark && !in_main_thread())
        thread_is_late(mark);
    state_misuse(function, ts,
                 interp ? "the interpreter state was deleted" : "the interpreter state is NULL");
}

static void need_interpreter_lock(const char *function, const gil_interpreter_state *interp)
{
    need_interpreter(function, interp);
    need_lock(function, current_state(), interp->domain);
}

/* ---- Interpreter states ---- */

gil_interpreter_state *interpreter_make(unsigned flags)
{
    gil_interpreter_state *interp = pool_take(&interpreters);

    if (!interp)
        return NULL;
    if (!runtime.head)
        next_interpreter_id = 0;
    interp->own = (struct domain){.current = NULL};
    interp->domain = flags & GIL_OWN_LOCK ? &interp->own : &shared;
    interp->threads = NULL;
    interp->modules = interp->data = NULL;
    interp->id = next_interpreter_id++;
    interp->next = runtime.head;
    runtime.head = interp;
    relaxed_store(&interp->mark, runtime.mark);
    return interp;
}

void interpreter_free(gil_interpreter_state *interp)
{
    gil_interpreter_state **link = &runtime.head;

    while (*link && *link != interp)
        link = &(*link)->next;
    if (*link)
        *link = interp->next;
    pool_give(&interpreters, interp);
}

gil_interpreter_state *gil_interpreter_state_new(unsigned flags)
{
    gil_interpreter_state *interp;

    if (flags & ~GIL_OWN_LOCK) {
        errno = EINVAL;
        return NULL;
    }
    if (!gil_is_initialized())
        state_misuse("gil_interpreter_state_new", NULL, "the runtime is not initialised");
    runtime_lock();
    interp = interpreter_make(flags);
    runtime_unlock();
    return interp;
}

static void clear_thread(struct thread_state *ts)
{
    ts->dict = NULL;
    ts->async_exc = NULL;
    ts->exc = (gil_exc_info){NULL, NULL, NULL};
}

void gil_interpreter_state_clear(gil_interpreter_state *interp)
{
    need_interpreter_lock("gil_interpreter_state_clear", interp);
    interp->modules = interp->data = NULL;
    runtime_lock();
    for (struct thread_state *ts = interp->threads; ts; ts = ts->next)
        clear_thread(ts);
    runtime_unlock();
}

void gil_interpreter_state_delete(gil_interpreter_state *interp)
{
    static const char function[] = "gil_interpreter_state_delete";

    need_interpreter(function, interp);
    if (interp == runtime.main)
        state_misuse(function, current_state(), "the main interpreter is deleted by gil_finalize");
    runtime_lock();
    while (interp->threads) {
        struct thread_state *ts = interp->threads;

        if (relaxed_load(&ts->mark) & MARK_CURRENT)
            state_misuse(function, ts, "the thread state is current in a thread");
        state_free(ts);
    }
    runtime_unlock();
    if (interp->domain == &interp->own && threads_on()) {
        if (domain_held(&interp->own))
            domain_release(&interp->own); /* it goes with the interpreter */
        gil_lock_destroy(&interp->own.lock);
    }
    runtime_lock();
    relaxed_store(&interp->mark, 0);
    interpreter_free(interp);
    runtime_unlock();
}

gil_interpreter_state *gil_interpreter_state_get(void)
{
    return need_current("gil_interpreter_state_get")->pub.interp;
}

gil_interpreter_state *gil_interpreter_state_main(void)
{
    return relaxed_load(&runtime.main);
}

gil_interpreter_state *gil_interpreter_state_head(void)
{
    gil_interpreter_state *head;

    runtime_lock();
    head = runtime.head;
    runtime_unlock();
    return head;
}

gil_interpreter_state *gil_interpreter_state_next(const gil_interpreter_state *interp)
{
    gil_interpreter_state *next;

    need_interpreter("gil_interpreter_state_next", interp);
    runtime_lock();
    next = interp->next;
    runtime_unlock();
    return next;
}

gil_thread_state *gil_interpreter_state_thread_head(const gil_interpreter_state *interp)
{
    struct thread_state *ts;

    need_interpreter("gil_interpreter_state_thread_head", interp);
    runtime_lock();
    ts = interp->threads;
    runtime_unlock();
    return ts ? &ts->pub : NULL;
}

int64_t gil_interpreter_state_id(const gil_interpreter_state *interp)
{
    need_interpreter("gil_interpreter_state_id", interp);
    return interp->id;
}

gil_lock *gil_interpreter_state_lock(gil_interpreter_state *interp)
{
    need_interpreter("gil_interpreter_state_lock", interp);
    return &interp->domain->lock;
}

void *gil_interpreter_state_modules(const gil_interpreter_state *interp)
{
    need_interpreter_lock("gil_interpreter_state_modules", interp);
    return interp->modules;
}

void gil_interpreter_state_set_modules(gil_interpreter_state *interp, void *modules)
{
    need_interpreter_lock("gil_interpreter_state_set_modules", interp);
    interp->modules = modules;
}

void *gil_interpreter_state_data(const gil_interpreter_state *interp)
{
    need_interpreter_lock("gil_interpreter_state_data", interp);
    return interp->data;
}

void gil_interpreter_state_set_data(gil_interpreter_state *interp, void *data)
{
    need_interpreter_lock("gil_interpreter_state_set_data", interp);
    interp->data = data;
}

/* ---- Thread states ---- */

struct thread_state *state_make(gil_interpreter_state *interp)
{
    struct thread_state *ts = pool_take(&threads);

    if (!ts)
        return NULL;
    ts->pub.interp = interp;
    ts->pub.ticker_ = 0;
    ts->domain = interp->domain;
    ts->ensures = 0;
    ts->made_by_ensure = false;
    relaxed_store(&ts->thread, NULL);
    relaxed_store(&ts->ident, 0);
    relaxed_store(&ts->id, ++last_thread_id);
    clear_thread(ts);
    ts->prev = NULL;
    ts->next = interp->threads;
    if (ts->next)
        ts->next->prev = ts;
    interp->threads = ts;
    relaxed_store(&ts->mark, runtime.mark);
    return ts;
}

struct thread_state *state_new(gil_interpreter_state *interp)
{
    struct thread_state *ts;

    runtime_lock();
    ts = state_make(interp);
    runtime_unlock();
    return ts;
}

void state_free(struct thread_state *ts)
{
    if (ts->prev)
        ts->prev->next = ts->next;
    else
        ts->pub.interp->threads = ts->next;
    if (ts->next)
        ts->next->prev = ts->prev;
    relaxed_store(&ts->mark, 0);
    pool_give(&threads, ts);
}

struct thread_state *own_state(void)
{
    struct thread_state *ts = this_thread.state;

    return ts && relaxed_load(&ts->mark) && relaxed_load(&ts->id) == this_thread.state_id ? ts
                                                                                          : NULL;
}

void state_adopt(struct thread_state *ts)
{
    relaxed_store(&ts->thread, &this_thread);
    relaxed_store(&ts->ident, gil_thread_ident());
    if (own_state())
        return;
    this_thread.state = ts;
    this_thread.state_id = ts->id;
    if (!this_thread.started)
        hook(GIL_THREAD_STARTED, ts);
    this_thread.started = true;
}

void thread_exited(struct thread_state *ts)
{
    if (this_thread.started)
        hook(GIL_THREAD_EXITED, ts);
    this_thread.started = false;
}

gil_thread_state *gil_thread_state_new(gil_interpreter_state *interp)
{
    struct thread_state *ts;

    need_interpreter("gil_thread_state_new", interp);
    ts = state_new(interp);
    if (!ts)
        return NULL;
    state_adopt(ts);
    return &ts->pub;
}

void gil_thread_state_clear(gil_thread_state *pub)
{
    struct thread_state *ts = state_of(pub);

    need_state("gil_thread_state_clear", ts);
    need_lock("gil_thread_state_clear", ts, ts->domain);
    clear_thread(ts);
}

static void delete (struct thread_state *ts)
{
    if (ts == own_state())
        thread_exited(ts);
    runtime_lock();
    if (of_this_runtime(ts)) /* without the lock: gil_finalize() may be faster yet */
        state_free(ts);
    runtime_unlock();
}

void gil_thread_state_delete(gil_thread_state *pub)
{
    struct thread_state *ts = state_of(pub);

    if (ts && relaxed_load(&ts->mark) && !of_this_runtime(ts))
        return; /* gil_finalize() has been faster */
    need_state("gil_thread_state_delete", ts);
    if (relaxed_load(&ts->mark) & MARK_CURRENT)
        state_misuse("gil_thread_state_delete", ts, "the thread state is current in a thread");
    delete (ts);
}

void gil_thread_state_delete_current(void)
{
    struct thread_state *ts = need_current("gil_thread_state_delete_current");
    struct domain *d = ts->domain;

    need_lock("gil_thread_state_delete_current", ts, d);
    state_detach(ts);
    hook(GIL_THREAD_SUSPENDED, ts);
    delete (ts);
    if (threads_on())
        domain_release(d);
    else
        runtime.held = false;
}

gil_thread_state *gil_thread_state_get(void)
{
    return &need_current("gil_thread_state_get")->pub;
}

gil_thread_state *gil_thread_state_get_unchecked(void)
{
    return gil_current_;
}

gil_thread_state *gil_thread_state_swap(gil_thread_state *pub)
{
    static const char function[] = "gil_thread_state_swap";
    struct thread_state *old = current_state(), *ts = state_of(pub);

    if (old)
        need_lock(function, old, old->domain);
    if (ts == old)
        return pub;
    if (ts) {
        if (old && old->domain != ts->domain)
            state_misuse(function, ts, "its interpreter has another lock");
        if (relaxed_load(&ts->mark) != relaxed_load(&runtime.mark))
            state_refuse(function, ts);
        need_lock(function, ts, ts->domain);
    }
    if (old)
        state_detach(old);
    if (ts)
        state_attach(ts);
    PROBE(swap, old, ts);
    return old ? &old->pub : NULL;
}

gil_interpreter_state *gil_thread_state_interpreter(const gil_thread_state *pub)
{
    return asked_of("gil_thread_state_interpreter", pub)->pub.interp;
}

/* A hook may ask for one that another thread is deleting. */
uint64_t gil_thread_state_id(const gil_thread_state *pub)
{
    if (!pub)
        state_misuse("gil_thread_state_id", NULL, "the thread state is NULL");
    return relaxed_load(&((const struct thread_state *)pub)->id);
}

unsigned long gil_thread_state_thread(const gil_thread_state *pub)
{
    return relaxed_load(&asked_of("gil_thread_state_thread", pub)->ident);
}

gil_thread_state *gil_thread_state_next(const gil_thread_state *pub)
{
    const struct thread_state *ts = asked_of("gil_thread_state_next", pub);

    runtime_lock();
    ts = ts->next;
    runtime_unlock();
    return ts ? (gil_thread_state *)&ts->pub : NULL;
}

/* ---- What a thread state keeps ---- */

void *gil_thread_state_dict(void)
{
    return gil_current_ ? current_state()->dict : NULL;
}

void gil_thread_state_set_dict(void *dict)
{
    need_current("gil_thread_state_set_dict")->dict = dict;
}

gil_exc_info *gil_exc_info_slot(void)
{
    return &need_current("gil_exc_info_slot")->exc;
}

int gil_thread_state_set_async_exc(unsigned long ident, void *exc, void **replaced)
{
    struct thread_state *me = need_current("gil_thread_state_set_async_exc");
    void *last = NULL;
    int told = 0;

    need_lock("gil_thread_state_set_async_exc", me, me->domain);
    runtime_lock();
    for (struct thread_state *ts = me->pub.interp->threads; ts; ts = ts->next) {
        if (relaxed_load(&ts->ident) != ident || !relaxed_load(&ts->thread))
            continue;
        if (ts->async_exc)
            last = ts->async_exc;
        ts->async_exc = exc;
        told++;
    }
    runtime_unlock();
    if (replaced)
        *replaced = last;
    return told;
}
