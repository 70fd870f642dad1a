/* A universe is one Lua state and the threads that run in it: what the files of this module share.
 *
 * Every thread is an operating-system thread with a coroutine of the universe's Lua state. Whoever
 * touches that state, or anything declared here, holds the interpreter lock, unless it says
 * otherwise. The universe of the process that was there first is the main interpreter's; others are
 * made by gil.interpreters.
 *
 * C functions of the module that may block
 * - call gil_lua_self() first, which refuses threads that are not of the universe;
 * - when the library's call returned EINTR, call gil_lua_look(), which raises what the thread was
 *   interrupted with, and then try again: gil_lua_again(). */
#ifndef TOOLS_LUA_UNIVERSE_H
#define TOOLS_LUA_UNIVERSE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <lauxlib.h>
#include <lua.h>

#include <gil/eval.h>
#include <gil/state.h>
#include <gil/sync.h>

/* Those who take turns with one lock: who runs, and whether it was asked to let others run. */
struct turns {
    pid_t holder;     /* kernel thread id of who has, or had, the lock; 0: nobody known */
    uint32_t asked;   /* has anybody asked the holder, since it looked around last? */
    uint32_t wanting; /* how many want the lock, where turns go by count */
    int interval;     /* instructions, as set by setcheckinterval */
    bool by_count;    /* hand over after so many instructions if anybody waits */
};

struct universe;

/* A thread. The thread itself and its handle share the record, and give it back under the lock. */
struct lua_thread {
    struct universe *universe;
    struct turns *turns; /* of the universe */
    lua_State *current;  /* the innermost coroutine that is known to run here */
    lua_State *base; /* what the thread runs on; NULL: the thread has ended, or is not started */
    int anchor;      /* of the base, in the registry */
    pid_t tid;       /* 0: it has not run yet */
    unsigned long ident;
    bool daemon;
    bool interrupted;   /* is an error to be raised here? */
    bool wants;         /* is it among those that `wanting` counts? */
    bool poked;         /* is it to look around as soon as it runs? */
    unsigned shared_by; /* the thread and its handle, or one of them */
    int pcall_error;    /* sys.exc_info(): references in the registry, or LUA_NOREF */
    int pcall_traceback;
    gil_thread_event ended;
    struct lua_thread *next, *prev; /* in the universe */
};

struct universe {
    lua_State *main;
    gil_interpreter_state *interp;
    struct turns *turns;        /* of its lock */
    struct turns own;           /* if that is its own */
    struct lua_thread first;    /* the thread that opened it, or runs in it now (interpreters.c) */
    struct lua_thread *threads; /* all others */
    unsigned running;           /* of these: how many are no daemons */
    unsigned daemons;
    bool prepared;         /* the standard library was adapted */
    bool framed;           /* does all Lua code run below a C function, as in lua.c? */
    bool ended;            /* the Lua state is about to go */
    bool closing;          /* daemons end as soon as they look around */
    gil_thread_event left; /* set when a thread ends */
    struct pool *pool;     /* memory for small blocks, or NULL */
    void *sentinel;        /* the newest one, whose finalizer ends the threads */
    int kbytes;            /* that Lua used when that was made */
};

/* The calling thread's record in the universe in which it runs, or NULL. Anybody may ask. */
extern __thread struct lua_thread *gil_lua_thread;

/* Of the lock that interpreters share. */
extern struct turns gil_lua_shared_turns;

/* ---- universe.c ---- */

/* The universe of a Lua state; made, for the main interpreter, if there is none. Raises an error if
 * another one uses the library already. */
struct universe *gil_lua_universe(lua_State *L);

/* The calling thread; raises an error if it does not run in the universe of L (any more). */
struct lua_thread *gil_lua_self(lua_State *L);

/* Ties a universe, whose interp and turns are set, to a Lua state without threads. */
void gil_lua_universe_tie(struct universe *u, lua_State *main);

/* The calling thread, which holds the lock, runs in u from now on as its first thread. */
void gil_lua_universe_run(struct universe *u);

/* Has every finalizer of an object that a running thread may be using call this first: when the
 * Lua state is being closed, the threads that are to end before come to their end here. */
void gil_lua_closing(lua_State *L);

/* Waits until all threads that are no daemons have ended, and ends the daemons. The Lua state can
 * be closed afterwards. */
void gil_lua_end_threads(struct universe *u);

/* The newest sentinel is finalized first: to be called whenever a thread is started. */
void gil_lua_new_sentinel(lua_State *L, struct universe *u);

/* ---- memory.c ---- */

/* Has L, the state of u, take its small blocks from u's pool, if it used the usual allocator. */
void gil_lua_use_pool(struct universe *u, lua_State *L);

/* Gives the pool back, after the state was closed. */
void gil_lua_end_pool(struct universe *u);

/* ---- turns.c ---- */

/* Has the library tell who runs and who asks. Once for the process, and once for a lock. */
void gil_lua_turns_begin(struct turns *turns, gil_interpreter_state *interp);
void gil_lua_turns_end(struct turns *turns, gil_interpreter_state *interp);

/* The calling thread holds the lock and runs as t from now on; NULL: it does not run Lua. */
void gil_lua_runs(struct lua_thread *t);

/* co runs, or is closed, in the calling thread, on behalf of its creator `from`: around
 * lua_resume and what is like it. Returns what to give to gil_lua_left(). */
lua_State *gil_lua_entered(lua_State *co);
void gil_lua_left(lua_State *before);

/* Looks around: lets others run if they ask for it, and raises what the thread was interrupted
 * with. A daemon whose universe is closing ends here. */
void gil_lua_look(lua_State *L);

/* After a call of the library that has failed: is it to be made again? It is if it was interrupted
 * for no reason of this thread's; for one, an error is raised. */
static inline bool gil_lua_again(lua_State *L)
{
    if (errno != EINTR)
        return false;
    gil_lua_look(L);
    return true;
}

/* t is to look around as soon as it runs. */
void gil_lua_poke(struct lua_thread *t);

/* setcheckinterval: instructions, at least 1; setswitchinterval. In the caller's universe. */
void gil_lua_by_count(struct turns *turns, int instructions);
void gil_lua_by_time(struct turns *turns, int64_t interval_ns);

/* Wraps debug.sethook and debug.gethook. */
void gil_lua_share_hooks(lua_State *L);

/* ---- coroutine.c ---- */

/* Replaces coroutine.resume, wrap and close in L's universe. */
void gil_lua_follow_coroutines(lua_State *L);

/* ---- thread.c ---- */

/* t ends: gives back what it has in the Lua state. */
void gil_lua_thread_left(struct lua_thread *t);

/* Interrupts a thread: an error is raised there, soon. */
void gil_lua_interrupt(struct lua_thread *t);

/* ---- arguments.c ---- */

/* An optional timeout in seconds, as nanoseconds: -1 if it is absent or nil. */
int64_t gil_lua_timeout(lua_State *L, int arg);

/* A time in seconds, as nanoseconds. */
int64_t gil_lua_seconds(lua_State *L, int arg, const char *what);

/* An optional field of the table at `table`; false: it is nil, and nothing was pushed. */
bool gil_lua_option(lua_State *L, int table, const char *name, int type);

/* When a wait of timeout_ns from now on ends, and what is left of it. */
int64_t gil_lua_deadline(int64_t timeout_ns);
int64_t gil_lua_left_of(int64_t deadline);

/* ---- sync.c ---- */

/* Adds allocate_lock and the like to the table at the top. */
void gil_lua_add_sync(lua_State *L);

#define GIL_LUA_MODULE __attribute__((visibility("default")))

#endif
