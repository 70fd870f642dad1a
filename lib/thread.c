/* Starting, joining and ending threads. See include/gil/thread.h.
 *
 * A started thread and whoever has its handle share one record, which the last of the two to go
 * frees. `ended` is the last thing that the thread touches of it but that; what is left of the
 * thread then is awaited with pthread_join. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gil/eval.h>
#include <gil/sync.h>
#include <gil/thread.h>

#include "lib/runtime.h"
#include "lib/waiters.h"

#ifndef GIL_NO_THREADS

enum { NAME_SIZE = 16 }; /* what the kernel keeps */

struct gil_thread {
    void (*fn)(void *arg);
    void *arg;
    struct thread_state *state; /* of a thread that gil_thread_start() started */
    struct parker *parker;
    pthread_t thread;
    char name[NAME_SIZE];
    uint32_t shared_by; /* the thread and a handle, or one of them */
    gil_thread_event ended;
};

static void let_go(struct gil_thread *t)
{
    if (__atomic_sub_fetch(&t->shared_by, 1, __ATOMIC_ACQ_REL) == 0)
        free(t);
}

/* ---- In the thread ---- */

/* The thread's state goes with it, unless it went with the runtime. */
static void drop_state(gil_thread_state *ts)
{
    if (gil_current_ == ts) {
        gil_thread_state_clear(ts);
        gil_thread_state_delete_current();
    } else {
        gil_thread_state_delete(ts);
    }
}

/* fn has returned, or the thread ends in it, or it came too late to run at all. */
static void ends(void *arg)
{
    struct gil_thread *t = arg;

    drop_state(&t->state->pub);
    gil_thread_event_set(&t->ended);
    let_go(t);
}

static void *thread_main(void *arg)
{
    struct gil_thread *t = arg;

    parker_adopt(t->parker);
    if (*t->name)
        pthread_setname_np(pthread_self(), t->name);
    pthread_cleanup_push(ends, t);
    state_adopt(t->state);
    gil_acquire_thread(&t->state->pub);
    t->fn(t->arg);
    pthread_cleanup_pop(1);
    return NULL;
}

static void *raw_main(void *arg)
{
    struct gil_thread t = *(struct gil_thread *)arg;

    parker_adopt(t.parker);
    free(arg);
    t.fn(t.arg);
    return NULL;
}

void gil_thread_exit(void)
{
    pthread_exit(NULL);
}

/* ---- Starting ---- */

/* What a start begins with: the record, and the lock. NULL: there is no memory. */
static struct gil_thread *record_make(void (*fn)(void *arg), void *arg)
{
    struct gil_thread *t = calloc(1, sizeof *t);

    if (t) {
        gil_init_threads();
        t->fn = fn;
        t->arg = arg;
        t->shared_by = 1;
    }
    return t;
}

static int set_stack_size(pthread_attr_t *attr, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (size == 0)
        return 0;
    if (size > SIZE_MAX - page)
        return EINVAL;
    return pthread_attr_setstacksize(attr, (size + page - 1) / page * page);
}

/* Creates the thread that a record is for, and sets its ident. Returns 0 or an error. */
static int create(struct gil_thread *t, size_t stack_size, bool detached, void *(*main)(void *),
                  unsigned long *ident)
{
    pthread_attr_t attr;
    pthread_t thread = 0;
    int error = pthread_attr_init(&attr);

    if (error)
        return error;
    error = set_stack_size(&attr, stack_size);
    if (!error && detached)
        error = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (!error)
        error = parker_create_thread(&t->parker, &thread, &attr, main, t);
    pthread_attr_destroy(&attr);
    *ident = (unsigned long)thread;
    return error;
}

unsigned long gil_start_new_thread(void (*fn)(void *arg), void *arg)
{
    struct gil_thread *t = record_make(fn, arg);
    unsigned long ident;
    int error;

    if (!t)
        return GIL_NO_THREAD;
    error = create(t, 0, true, raw_main, &ident);
    if (!error)
        return ident;
    free(t);
    errno = error;
    return GIL_NO_THREAD;
}

static void copy_name(char *to, const char *name)
{
    if (name)
        memcpy(to, name, strnlen(name, NAME_SIZE - 1));
}

static void take_back(struct thread_state *ts)
{
    runtime_lock();
    state_free(ts);
    runtime_unlock();
}

unsigned long gil_thread_start(gil_thread **thread, const gil_thread_options *options,
                               void (*fn)(void *arg), void *arg)
{
    static const gil_thread_options none;
    const gil_thread_options *o = options ? options : &none;
    gil_interpreter_state *interp = gil_interpreter_state_get();
    struct gil_thread *t = record_make(fn, arg);
    unsigned long ident;
    int error;

    if (!t)
        return GIL_NO_THREAD;
    copy_name(t->name, o->name);
    t->shared_by = thread ? 2 : 1;
    t->state = state_new(interp);
    error = t->state ? create(t, o->stack_size, !thread, thread_main, &ident) : ENOMEM;
    if (!error) {
        if (thread) {
            t->thread = (pthread_t)ident;
            *thread = t;
        }
        return ident;
    }
    if (t->state)
        take_back(t->state);
    free(t);
    errno = error;
    return GIL_NO_THREAD;
}

/* ---- The handle ---- */

int gil_thread_join(gil_thread *t, int64_t timeout_ns)
{
    gil_thread_state *ts = gil_thread_state_get_unchecked();

    if (pthread_equal(t->thread, pthread_self()))
        return fails(EDEADLK);
    if (gil_thread_event_wait(&t->ended, timeout_ns) < 0)
        return -1;
    /* It is on its way out, which may take a destructor of the host's that takes a lock. */
    if (ts)
        gil_save_thread();
    pthread_join(t->thread, NULL);
    if (ts)
        gil_restore_thread(ts);
    let_go(t);
    return 0;
}

void gil_thread_detach(gil_thread *t)
{
    pthread_detach(t->thread);
    let_go(t);
}

#endif
