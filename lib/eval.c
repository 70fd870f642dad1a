/* Taking the lock and giving it up, with thread states. See include/gil/eval.h; runtime.h has the
 * rules.
 *
 * Order: a thread makes itself known as the one that runs after it has acquired the lock, and takes
 * that back before it releases. Then whoever holds the lock finds itself named in the domain, or
 * nobody; anything else is misuse, and ends the process at the next release. */
#include "lib/runtime.h"

#include <sched.h>

__thread gil_thread_state *gil_current_;

#define ALWAYS_INLINE inline __attribute__((always_inline)) /* save and restore call nothing */

#define NO_THREADS_YET "gil_init_threads was not called"

/* ---- The lock of a domain ---- */

bool domain_held(struct domain *d)
{
    if (!threads_on())
        return runtime.held && in_main_thread();
    return relaxed_load(&node_of(lock_of(&d->lock))->state) == NODE_HELD;
}

/* Did the runtime end while the thread was waiting? */
static bool is_over(void)
{
    return relaxed_load(&runtime.mark) != this_thread.waits_with;
}

/* Waits for the lock, unless the runtime that has that mark ends. */
static __attribute__((noinline)) void wait_for_lock(const char *function, struct lock *l,
                                                    struct node *n, struct thread_state *ts,
                                                    uint32_t mark, unsigned flags)
{
    if (relaxed_load(&n->state) == NODE_HELD)
        state_misuse(function, current_state(), "the caller holds the lock already");
    this_thread.waits_with = mark;
    n->tstate = ts;
    if (!lock_acquire_slow(l, n, FUTEX_FOREVER, flags, is_over))
        thread_is_late(mark);
}

static inline void take(const char *function, struct lock *l, struct node *n,
                        struct thread_state *ts, uint32_t mark)
{
    if (!lock_acquire_fast(l, n))
        wait_for_lock(function, l, n, ts, mark, 0);
}

static inline void give_up(struct lock *l, struct node *n, struct thread_state *ts)
{
    if (!lock_release_fast(l, n)) {
        n->tstate = ts;
        lock_release_slow(l, n, RELEASE_PLAIN);
    }
}

void domain_acquire(const char *function, struct domain *d)
{
    struct lock *l = lock_of(&d->lock);

    take(function, l, node_of(l), NULL, relaxed_load(&runtime.mark));
}

void domain_release(struct domain *d)
{
    struct lock *l = lock_of(&d->lock);

    give_up(l, node_of(l), NULL);
}

/* ---- With a state ---- */

/* Before gil_init_threads() there is one thread, which either runs or does not. */
static void need_single(const char *function, const struct thread_state *ts, bool held)
{
    if (!in_main_thread())
        state_misuse(function, ts, NO_THREADS_YET);
    if (runtime.held != held)
        state_misuse(function, ts,
                     held ? "the caller does not hold the lock"
                          : "the caller holds the lock already");
}

/* The caller holds the lock, and says who it is. */
static inline void attach(struct thread_state *ts)
{
    if (unlikely(relaxed_load(&ts->thread) != &this_thread || !this_thread.state))
        state_adopt(ts);
    relaxed_store(&ts->domain->current, ts);
    relaxed_store(&ts->mark, relaxed_load(&ts->mark) | MARK_CURRENT);
    gil_current_ = &ts->pub;
}

/* The caller is about to release the lock, or to run with another state. */
static inline void detach(struct thread_state *ts)
{
    relaxed_store(&ts->domain->current, NULL);
    relaxed_store(&ts->mark, relaxed_load(&ts->mark) & ~(uint32_t)MARK_CURRENT);
    gil_current_ = NULL;
}

void state_attach(struct thread_state *ts)
{
    attach(ts);
}

void state_detach(struct thread_state *ts)
{
    detach(ts);
}

static ALWAYS_INLINE void resume(const char *function, struct thread_state *ts)
{
    uint32_t mark = relaxed_load(&runtime.mark);

    if (unlikely(relaxed_load(&ts->mark) != mark))
        state_refuse(function, ts);
    if (unlikely(!threads_on())) {
        need_single(function, ts, false);
        runtime.held = true;
    } else {
        struct lock *l = lock_of(&ts->domain->lock);

        hook(GIL_THREAD_READY, ts);
        take(function, l, node_of(l), ts, mark);
        if (unlikely(relaxed_load(&ts->mark) != relaxed_load(&runtime.mark)))
            state_refuse(function, ts);
    }
    attach(ts);
    hook(GIL_THREAD_RESUMED, ts);
}

/* Does the lock agree about who runs? */
static inline void need_running(const char *function, const struct thread_state *ts,
                                const struct domain *d, const struct node *n)
{
    if (unlikely(relaxed_load(&n->state) != NODE_HELD))
        state_misuse(function, ts, "the caller does not hold the lock");
    if (unlikely(relaxed_load(&d->current) != ts))
        state_misuse(function, ts, "another thread state runs under the lock");
}

static ALWAYS_INLINE void suspend(const char *function, struct thread_state *ts)
{
    struct lock *l = lock_of(&ts->domain->lock);
    struct node *n;

    if (unlikely(!threads_on())) {
        need_single(function, ts, true);
        detach(ts);
        runtime.held = false;
        return;
    }
    n = node_of(l);
    need_running(function, ts, ts->domain, n);
    detach(ts);
    give_up(l, n, ts);
    hook(GIL_THREAD_SUSPENDED, ts);
}

void state_resume(const char *function, struct thread_state *ts)
{
    resume(function, ts);
}

void state_suspend(const char *function, struct thread_state *ts)
{
    suspend(function, ts);
}

/* Whoever handed the lock over may have been preempted by the thread that it woke before it could
 * queue: then nobody seems to wait, for as long as the kernel lets the caller run. */
static bool wanted_or_soon(const struct domain *d, const struct lock *l)
{
    if (lock_wanted(l))
        return true;
    if (!d->coming_back)
        return false;
    sched_yield();
    return lock_wanted(l);
}

void state_hand_over(struct thread_state *ts, bool asked)
{
    struct domain *d = ts->domain;
    struct lock *l = lock_of(&d->lock);
    struct node *n = node_of(l);

    need_running("gil_checkpoint", ts, d, n);
    if (asked) {
        if (relaxed_load(&l->drop)) {
            state_suspend("gil_checkpoint", ts);
            state_resume("gil_checkpoint", ts);
        }
        return;
    }
    if (!wanted_or_soon(d, l))
        return;
    d->coming_back++;
    detach(ts);
    n->tstate = ts;
    lock_release_slow(l, n, RELEASE_GRANT);
    hook(GIL_THREAD_SUSPENDED, ts);
    hook(GIL_THREAD_READY, ts);
    wait_for_lock("gil_checkpoint", l, n, ts, relaxed_load(&ts->mark), WAIT_NO_ASK);
    if (relaxed_load(&ts->mark) != relaxed_load(&runtime.mark))
        state_refuse("gil_checkpoint", ts);
    d->coming_back--;
    attach(ts);
    hook(GIL_THREAD_RESUMED, ts);
}

gil_thread_state *gil_save_thread(void)
{
    struct thread_state *ts = current_state();

    if (unlikely(!ts))
        state_misuse("gil_save_thread", NULL, "no thread state is current");
    suspend("gil_save_thread", ts);
    return &ts->pub;
}

/* A call that makes ts current needs it, and that none is. */
static inline void need_to_resume(const char *function, const gil_thread_state *ts)
{
    if (unlikely(!ts))
        state_misuse(function, NULL, "the thread state is NULL");
    if (unlikely(gil_current_))
        state_misuse(function, (const struct thread_state *)ts,
                     "a thread state is current already");
}

void gil_restore_thread(gil_thread_state *ts)
{
    need_to_resume("gil_restore_thread", ts);
    resume("gil_restore_thread", state_of(ts));
}

/* ---- What makes sense with threads only ---- */

bool gil_threads_initialized(void)
{
    return threads_on();
}

#ifndef GIL_NO_THREADS

void gil_init_threads(void)
{
    struct thread_state *ts = current_state();
    bool initialised = gil_is_initialized();

    if (threads_on())
        return;
    if (initialised && !in_main_thread())
        state_misuse("gil_init_threads", ts, "only the main thread may call it first");
    if (!initialised || runtime.held)
        domain_acquire("gil_init_threads", ts ? ts->domain : &shared);
    runtime.held = false;
    relaxed_store(&runtime.threads, true);
}

static void need_threads(const char *function, const gil_thread_state *ts)
{
    if (unlikely(!threads_on()))
        state_misuse(function, (const struct thread_state *)ts, NO_THREADS_YET);
}

/* The current state, if it runs under the shared lock. */
static struct thread_state *current_shared(void)
{
    struct thread_state *ts = current_state();

    return ts && ts->domain == &shared ? ts : NULL;
}

void gil_acquire_lock(void)
{
    struct lock *l = lock_of(&shared.lock);
    struct node *n = node_of(l);
    uint32_t mark = relaxed_load(&runtime.mark);
    struct thread_state *ts = current_shared();

    need_threads("gil_acquire_lock", gil_current_);
    hook(GIL_THREAD_READY, ts);
    take("gil_acquire_lock", l, n, ts, mark);
    if (unlikely(relaxed_load(&runtime.mark) != mark) || (ts && !of_this_runtime(ts))) {
        give_up(l, n, ts);
        thread_is_late(ts ? relaxed_load(&ts->mark) : mark);
    }
    relaxed_store(&shared.current, ts);
    hook(GIL_THREAD_RESUMED, ts);
}

void gil_release_lock(void)
{
    struct lock *l = lock_of(&shared.lock);
    struct node *n = node_of(l);
    struct thread_state *ts = current_shared();

    need_threads("gil_release_lock", gil_current_);
    need_running("gil_release_lock", ts, &shared, n);
    relaxed_store(&shared.current, NULL);
    give_up(l, n, ts);
    hook(GIL_THREAD_SUSPENDED, ts);
}

void gil_acquire_thread(gil_thread_state *ts)
{
    need_threads("gil_acquire_thread", ts);
    need_to_resume("gil_acquire_thread", ts);
    state_resume("gil_acquire_thread", state_of(ts));
}

void gil_release_thread(gil_thread_state *ts)
{
    need_threads("gil_release_thread", ts);
    if (!ts || ts != gil_current_)
        state_misuse("gil_release_thread", state_of(ts), "the thread state is not current");
    state_suspend("gil_release_thread", state_of(ts));
}

#endif
