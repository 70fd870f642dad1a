/* The runtime as a whole: its beginning and end, threads that come too late, misuse.
 *
 * The end. gil_finalize() holds every lock there is when it changes the runtime's mark, so no other
 * thread runs then. Those that wait for a lock are woken and give up; those that come later find,
 * with the lock in hand, that their state carries another mark, give the lock back and end. Neither
 * touches anything that a later runtime uses: see the marks in runtime.h. */
#include "lib/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct runtime runtime = {.mark = 2};
struct domain shared;
_Thread_local struct this_thread this_thread;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void runtime_lock(void)
{
    pthread_mutex_lock(&mutex);
}

void runtime_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

/* ---- Misuse ---- */

static void name_state(char *to, size_t size, const struct thread_state *ts)
{
    if (ts)
        snprintf(to, size, "%" PRIu64, relaxed_load(&ts->id));
    else
        snprintf(to, size, "none");
}

_Noreturn void state_misuse(const char *function, const struct thread_state *ts, const char *what)
{
    char state[24], current[24], line[320];
    int n;

    name_state(state, sizeof state, ts);
    name_state(current, sizeof current, current_state());
    n = snprintf(line, sizeof line,
                 "libgil: %s: thread %ld: %s; thread state: %s; current thread state: %s\n",
                 function, syscall(SYS_gettid), what, state, current);
    abort_saying(line, n);
}

/* Where `exits` has the option of the runtime with that mark. */
static uint64_t exit_bit(uint32_t mark)
{
    return UINT64_C(1) << mark / 2 % 64;
}

_Noreturn void thread_is_late(uint32_t mark)
{
    if (relaxed_load(&runtime.exits) & exit_bit(mark))
        pthread_exit(NULL);
    for (;;)
        pause();
}

_Noreturn void state_refuse(const char *function, const struct thread_state *ts)
{
    if (!relaxed_load(&ts->mark))
        state_misuse(function, ts, "the thread state was deleted");
    if (of_this_runtime(ts))
        state_misuse(function, ts, "the thread state is current in another thread");
    if (in_main_thread())
        state_misuse(function, ts, "the thread state was deleted by gil_finalize");
    if (threads_on() && domain_held(ts->domain))
        domain_release(ts->domain);
    thread_is_late(relaxed_load(&ts->mark));
}

/* ---- The beginning ---- */

/* With the mutex held. The calling thread becomes the main thread, with a state; NULL: no memory.
 */
static struct thread_state *begin(unsigned flags)
{
    gil_interpreter_state *interp = interpreter_make(0);
    struct thread_state *ts = interp ? state_make(interp) : NULL;

    if (!ts) {
        if (interp)
            interpreter_free(interp);
        return NULL;
    }
    relaxed_store(&runtime.main, interp);
    if (flags & GIL_LATE_THREADS_EXIT)
        relaxed_store(&runtime.exits, runtime.exits | exit_bit(runtime.mark));
    else
        relaxed_store(&runtime.exits, runtime.exits & ~exit_bit(runtime.mark));
    relaxed_store(&runtime.main_parker, parker_self());
    relaxed_store(&runtime.main_thread, &this_thread);
    __atomic_store_n(&runtime.initialised, true, __ATOMIC_RELEASE);
    return ts;
}

int gil_initialize(unsigned flags)
{
    struct thread_state *ts;

    if (flags & ~GIL_LATE_THREADS_EXIT) {
        errno = EINVAL;
        return -1;
    }
    runtime_lock();
    if (runtime.initialised) {
        runtime_unlock();
        return 0;
    }
    ts = begin(flags);
    runtime_unlock();
    if (!ts)
        return -1;
    state_adopt(ts);
    if (threads_on() && domain_held(&shared))
        state_attach(ts);
    else
        state_resume("gil_initialize", ts);
    return 0;
}

bool gil_is_initialized(void)
{
    return __atomic_load_n(&runtime.initialised, __ATOMIC_ACQUIRE);
}

/* ---- The end ---- */

/* Threads of interpreters with a lock of their own run beside the caller until it has that too. */
static void own_locks(gil_interpreter_state *head, void (*fn)(struct domain *d))
{
    if (!threads_on())
        return;
    for (gil_interpreter_state *i = head; i; i = i->next)
        if (i->domain == &i->own)
            fn(i->domain);
}

static void take_own(struct domain *d)
{
    domain_acquire("gil_finalize", d);
}

static void release_late(struct domain *d)
{
    lock_wake_all(lock_of(&d->lock));
    domain_release(d);
}

/* Nobody runs. The caller's own state is used again, and the interpreters whose lock no late thread
 * can come for. */
static void forget_states(struct thread_state *mine)
{
    gil_interpreter_state *next;

    state_free(mine);
    for (gil_interpreter_state *i = runtime.head; i; i = next) {
        next = i->next;
        if (i->domain == &shared)
            interpreter_free(i);
    }
    runtime.head = NULL;
    relaxed_store(&runtime.main, NULL);
}

void gil_finalize(void)
{
    struct thread_state *ts = current_state();
    gil_interpreter_state *head;

    if (!gil_is_initialized())
        return;
    if (!in_main_thread())
        state_misuse("gil_finalize", ts, "only the main thread may call it");
    if (!ts || ts->pub.interp != runtime.main)
        state_misuse("gil_finalize", ts, "no state of the main interpreter is current");
    need_lock("gil_finalize", ts, ts->domain);
    pending_end();
    hook(GIL_THREAD_SUSPENDED, ts);
    thread_exited(ts);

    head = gil_interpreter_state_head();
    own_locks(head, take_own);
    state_detach(ts);
    __atomic_store_n(&runtime.initialised, false, __ATOMIC_RELEASE);
    __atomic_store_n(&runtime.mark, runtime.mark + 2 ? runtime.mark + 2 : 2, __ATOMIC_SEQ_CST);
    shared.coming_back = 0; /* who is late does not come back */
    own_locks(head, release_late);
    runtime_lock();
    forget_states(ts);
    runtime_unlock();
    this_thread.state = NULL;
    runtime.held = false;
    if (threads_on())
        release_late(&shared);
}
