/* Fork: the child has one thread, the one that forked, and it is the main thread there. See
 * include/gil/eval.h.
 *
 * What a lock looks like in the child is lib/fork.c's business, which has already been there when
 * these functions run: its handler was installed when the library was loaded. Here, the states of
 * the threads that do not exist in the child are deleted, and nobody runs but the caller. */
#include "lib/runtime.h"

#include <errno.h>

static const struct this_thread *forking; /* who holds the mutex for a fork */

static void before(void)
{
    runtime_lock();
    forking = &this_thread;
}

static void parent(void)
{
    forking = NULL;
    runtime_unlock();
}

static void delete_states_of_others(gil_interpreter_state *interp)
{
    struct thread_state *next;

    for (struct thread_state *ts = interp->threads; ts; ts = next) {
        next = ts->next;
        if (relaxed_load(&ts->thread) != &this_thread)
            state_free(ts);
    }
}

static void child(void)
{
    struct thread_state *ts = current_state();

    runtime.held = runtime.held && in_main_thread();
    relaxed_store(&runtime.main_parker, parker_self());
    relaxed_store(&runtime.main_thread, &this_thread);
    for (gil_interpreter_state *i = runtime.head; i; i = i->next) {
        delete_states_of_others(i);
        relaxed_store(&i->own.current, NULL);
        i->own.coming_back = 0;
    }
    relaxed_store(&shared.current, NULL);
    shared.coming_back = 0;
    if (ts && domain_held(ts->domain))
        relaxed_store(&ts->domain->current, ts);
    pending_forget();
    parent(); /* the calling thread holds the mutex here, too */
}

static void need_fork(const char *function)
{
    if (forking != &this_thread)
        state_misuse(function, current_state(), "gil_before_fork was not called");
}

void gil_before_fork(void)
{
    const struct thread_state *ts = current_state();

    need_lock("gil_before_fork", ts, ts ? ts->domain : &shared);
    before();
}

void gil_after_fork_parent(void)
{
    need_fork("gil_after_fork_parent");
    parent();
}

void gil_after_fork_child(void)
{
    need_fork("gil_after_fork_child");
    child();
}

int gil_install_fork_handlers(void)
{
    static bool installed;
    int error = 0;

    runtime_lock();
    if (!installed)
        error = pthread_atfork(before, parent, child);
    installed = installed || !error;
    runtime_unlock();
    if (!error)
        return 0;
    errno = error;
    return -1;
}
