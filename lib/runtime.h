/* Inside the runtime: what the files of states and evaluation share. include/gil/state.h and eval.h
 * are what others see of it.
 *
 * Who may write what
 * - `gil_current_` is the calling thread's own. A *domain* is a lock and who runs under it; its
 *   `current` says so to others. Only the owner of the lock writes it: after it has acquired the
 *   lock, and before it releases it. A release compares the two.
 * - Lists, pools, pending calls and hooks are guarded by one mutex, which is held for a few
 *   instructions, never while waiting for a domain's lock, and not touched when the lock is given
 *   up or taken. A thread that holds a domain's lock may take it.
 * - What a state keeps for the host (dictionary, exceptions, modules) is guarded by the lock.
 *
 * Marks: a state of either kind carries the mark of the runtime in which it was made, 0 once it was
 * deleted. gil_finalize() changes the runtime's mark, and nothing else in a state that another
 * thread may come back with: the memory of such a state is never used again. So a thread that has
 * taken a lock knows by one comparison whether its state is still good. */
#ifndef LIB_RUNTIME_H
#define LIB_RUNTIME_H

#include <pthread.h>

#include <gil/eval.h>
#include <gil/state.h>

#include "lib/lock_impl.h"
#include "lib/park.h"

struct thread_state;

struct domain {
    gil_lock lock;
    struct thread_state *current; /* who runs under the lock, if with a state; NULL: nobody does */
    int32_t check_interval;       /* 0: the default */
    bool by_count;                /* hand over at each look if anybody waits, whoever asked */
    uint32_t coming_back;         /* how many have handed the lock over and want it again */
    gil_asked_fn *asked;
    void *asked_arg;
};

/* What the runtime knows about the calling thread. Others only compare its address. */
struct this_thread {
    struct thread_state *state; /* what gil_ensure() uses, if it still has this id */
    uint64_t state_id;
    uint32_t waits_with; /* the runtime's mark when the thread began to wait for a lock */
    bool started;        /* GIL_THREAD_STARTED was told, GIL_THREAD_EXITED not yet */
};

enum { MARK_CURRENT = 1 }; /* in a thread state's mark: it is current in some thread */

struct thread_state {
    gil_thread_state pub;
    struct domain *domain;
    uint32_t mark;
    uint32_t ensures; /* calls of gil_ensure() that were not undone yet */
    bool made_by_ensure;
    const struct this_thread *thread; /* that had it current last, or made it; NULL: none yet */
    unsigned long ident;              /* of that thread */
    uint64_t id;
    struct thread_state *next, *prev; /* in its interpreter, the newest first; or in the pool */
    void *dict;
    void *async_exc; /* what another thread raises here at the next look */
    gil_exc_info exc;
};

struct gil_interpreter_state {
    struct domain *domain;
    uint32_t mark;
    int64_t id;
    gil_interpreter_state *next; /* in the list, the newest first; or in the pool */
    struct thread_state *threads;
    void *modules, *data;
    struct domain own; /* with GIL_OWN_LOCK: its domain */
};

/* A thread costs a node of the lock, a state, and a parker. */
_Static_assert(sizeof(struct node) + sizeof(struct thread_state) + sizeof(struct parker) <= 512,
               "512 bytes a thread");

enum { ASKED_CALLS = 1, ASKED_SIGNALS = 2 };

struct runtime {
    /* Looked at all the time, written seldom. */
    uint32_t mark;   /* even, never 0; another one from each gil_finalize() on */
    bool threads;    /* gil_init_threads() was called */
    uint32_t events; /* that any hook wants */
    uint32_t asked;  /* of the main thread */
    /* Before gil_init_threads(). */
    bool held; /* does the main thread count as holding the lock? */
    /* Guarded by the mutex. */
    bool initialised;
    uint64_t exits; /* which of the last 64 runtimes had GIL_LATE_THREADS_EXIT: see exit_bit() */
    const struct this_thread *main_thread;
    struct parker *main_parker;
    gil_interpreter_state *main, *head;
};

extern struct runtime runtime;
extern struct domain shared; /* of all interpreters that have no lock of their own */
extern _Thread_local struct this_thread this_thread;

static inline struct thread_state *state_of(gil_thread_state *ts)
{
    return (struct thread_state *)ts;
}

static inline struct thread_state *current_state(void)
{
    return state_of(gil_current_);
}

/* Is ts of the runtime that exists now? */
static inline bool of_this_runtime(const struct thread_state *ts)
{
    return (relaxed_load(&ts->mark) & ~(uint32_t)MARK_CURRENT) == relaxed_load(&runtime.mark);
}

static inline bool threads_on(void)
{
#ifdef GIL_NO_THREADS
    return false;
#else
    return relaxed_load(&runtime.threads);
#endif
}

static inline bool in_main_thread(void)
{
    return relaxed_load(&runtime.main_thread) == &this_thread;
}

/* ---- runtime.c ---- */

void runtime_lock(void);
void runtime_unlock(void);

/* Prints one line that names the function, the calling thread and its state (ts: the one that the
 * call is about, or NULL), and aborts. */
_Noreturn void state_misuse(const char *function, const struct thread_state *ts, const char *what);

/* ts cannot be made current, or used at all: misuse; or the end of a thread that is late, which
 * gives up the lock of ts first if it has it. */
_Noreturn void state_refuse(const char *function, const struct thread_state *ts);

/* The calling thread wants to run in the runtime with that mark, which is over. It must not own a
 * lock. */
_Noreturn void thread_is_late(uint32_t mark);

/* ---- state.c: all with the mutex held ---- */

/* NULL with errno ENOMEM. An interpreter takes part in the list at once, and so does a state. */
gil_interpreter_state *interpreter_make(unsigned flags);
struct thread_state *state_make(gil_interpreter_state *interp);

/* Takes a state out of its interpreter's list and gives its memory back. */
void state_free(struct thread_state *ts);
/* The same for an interpreter, which nobody is left at the lock of. Its mark stays. */
void interpreter_free(gil_interpreter_state *interp);

/* ---- state.c: without it ---- */

/* state_make; the state is no thread's yet. */
struct thread_state *state_new(gil_interpreter_state *interp);

/* ts is the calling thread's from now on, and what gil_ensure() uses there unless it has one. A
 * thread that is started with a state that was made for it calls this first. */
void state_adopt(struct thread_state *ts);

/* The calling thread's own state, or NULL. */
struct thread_state *own_state(void);

/* The calling thread has ended, or its own state is being deleted: tells the hooks, once. */
void thread_exited(struct thread_state *ts);

/* Ends the process unless the caller holds the lock of d. */
void need_lock(const char *function, const struct thread_state *ts, struct domain *d);

/* The same unless a thread state is current, which is returned, and its lock held. */
struct thread_state *need_to_run(const char *function);

/* The same unless the state is there, of this runtime. */
void need_state(const char *function, const struct thread_state *ts);
void need_interpreter(const char *function, const gil_interpreter_state *interp);

/* ---- eval.c ---- */

/* Does the calling thread hold the lock of d? Before gil_init_threads(): the main thread does. */
bool domain_held(struct domain *d);

/* Takes the lock of ts and makes ts current; the other way round. */
void state_resume(const char *function, struct thread_state *ts);
void state_suspend(const char *function, struct thread_state *ts);

/* Makes ts current in a thread that holds its lock; and none. */
void state_attach(struct thread_state *ts);
void state_detach(struct thread_state *ts);

/* Takes a domain's lock, and gives it up, without a thought to states. */
void domain_acquire(const char *function, struct domain *d);
void domain_release(struct domain *d);

/* Lets the next waiter run, if there is any or (`asked`) if one has asked, and comes back. */
void state_hand_over(struct thread_state *ts, bool asked);

/* ---- pending.c ---- */

/* In the main thread: runs what is asked of it. Returns 0 or -1. */
int main_asked(void);

/* gil_finalize() has begun: no signal comes any more, and no pending call stays. */
void pending_end(void);

/* Forgets the calls and signals that have arrived. With the mutex held. */
void pending_forget(void);

/* ---- hooks.c ---- */

void hooks_call(gil_event event, struct thread_state *ts);

static inline void hook(gil_event event, struct thread_state *ts)
{
    if (unlikely(relaxed_load(&runtime.events) & (uint32_t)event))
        hooks_call(event, ts);
}

#endif
