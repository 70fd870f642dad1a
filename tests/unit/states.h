/* Shared by the unit tests of states: a runtime with threads, and workers.
 *
 * A *worker* is a thread that was created outside, with a thread state of its own. It takes the lock
 * once, says that it runs, and keeps the lock until it is told to let go. */
#ifndef TESTS_UNIT_STATES_H
#define TESTS_UNIT_STATES_H

#include "harness.h"

#include "lib/runtime.h"

/* The main thread runs; returns its state. */
HARNESS gil_thread_state *begin_runtime(void)
{
    ck_assert_int_eq(gil_initialize(0), 0);
    gil_init_threads();
    return gil_thread_state_get();
}

/* How many threads are queued for the shared lock, as its owner sees it: arrivals included. */
HARNESS bool anybody_waits(struct domain *d)
{
    const struct lock *l = lock_of(&d->lock);

    return l->queue.count || relaxed_load(&l->word) != WORD_LOCKED;
}

typedef struct worker {
    gil_interpreter_state *interp;
    pthread_t thread;
    _Atomic(gil_thread_state *) ts;
    atomic_int tid;
    atomic_bool runs, let_go, ended;
} worker;

HARNESS void *worker_main(void *arg)
{
    worker *w = arg;
    gil_thread_state *ts = gil_thread_state_new(w->interp);

    atomic_store(&w->ts, ts);
    atomic_store(&w->tid, my_tid());
    gil_acquire_thread(ts);
    atomic_store(&w->runs, true);
    while (!atomic_load(&w->let_go))
        sleep_ns(50 * US);
    gil_release_thread(ts);
    gil_thread_state_delete(ts);
    atomic_store(&w->ended, true);
    return NULL;
}

/* On return it runs, or is asleep waiting for the lock. */
HARNESS void worker_start(worker *w, gil_interpreter_state *interp)
{
    memset(w, 0, sizeof *w);
    w->interp = interp;
    w->thread = start(worker_main, w);
    WAIT_FOR(atomic_load(&w->tid) != 0);
    WAIT_FOR(atomic_load(&w->runs) || asleep(atomic_load(&w->tid)));
}

HARNESS void worker_end(worker *w)
{
    atomic_store(&w->let_go, true);
    join(w->thread);
}

#endif
