/* The life of a universe: from the first `require "gil"` to the end of its threads.
 *
 * The end. A program ends when the threads that are no daemons have. lua.c closes the Lua state when
 * the main chunk has ended, and the first thing that it notices are finalizers, the newest object's
 * first. So the newest object with a finalizer should be ours: a *sentinel*, which is made anew
 * whenever a thread is started, and which waits for the threads. Whatever a running thread may be
 * using and is newer yet (files, sockets) has a finalizer that calls gil_lua_closing(). Then the
 * daemons are ended: each is interrupted, and ends where it looks around. After that no other
 * thread runs, and the library is finalized; a daemon that comes later yet, out of a call that
 * could not be interrupted, ends without touching anything.
 *
 * While Lua closes a state its collector rests: memory would only grow until the last thread has
 * ended. An allocation that fails makes Lua collect all the same, without finalizers, as it does
 * when memory runs out; so one allocation is made to fail each time that memory has doubled. */
#include "tools/lua/universe.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lualib.h>

#include <gil/thread.h>

enum { DAEMONS_END_MS = 2000 };

static struct universe process; /* that of the main interpreter */
static struct turns shared;     /* of the lock that interpreters share */

static const char universe_key; /* its address is the universe's key in the registry */
static const char sentinel_key;

/* ---- Interrupting the program ---- */

/* Has the main thread notice Ctrl-C, wherever it is. A second one ends the process, as in lua.c. */
static void on_sigint(int signum)
{
    int saved = errno;

    signal(signum, SIG_DFL);
    gil_set_signal(signum);
    __atomic_store_n(&process.first.poked, true, __ATOMIC_SEQ_CST);
    syscall(SYS_tgkill, getpid(), process.first.tid, SIGURG);
    errno = saved;
}

static int refuse_to_go_on(int signum, void *arg)
{
    (void)signum, (void)arg;
    return -1;
}

/* Where the program that runs Lua handles Ctrl-C, as lua.c does: its handler would not end a wait. */
static void take_sigint(void)
{
    struct sigaction now, action = {.sa_handler = on_sigint};

    if (sigaction(SIGINT, NULL, &now) < 0 || now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN)
        return;
    gil_on_signal(SIGINT, refuse_to_go_on, NULL);
    sigfillset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

/* lua.c may have changed it meanwhile; it stays so. */
static void give_sigint_back(void)
{
    struct sigaction now;

    sigaction(SIGINT, NULL, &now);
    gil_on_signal(SIGINT, NULL, NULL);
    if (now.sa_handler != on_sigint)
        sigaction(SIGINT, &now, NULL);
}

/* ---- Collecting while the state is being closed ---- */

struct growth {
    lua_Alloc alloc;
    void *ud;
    size_t used, most; /* bytes, about: in use, and when to collect */
    bool collected;    /* the allocation that comes now is the one that was made to fail */
};

static void *alloc_and_collect(void *ud, void *block, size_t old, size_t wanted)
{
    struct growth *g = ud;
    size_t had = block ? old : 0;

    if (wanted > had && g->used > g->most && !g->collected) {
        g->collected = true;
        return NULL;
    }
    if (wanted > had && g->collected) {
        g->collected = false;
        g->most = 2 * g->used;
    }
    g->used += wanted - had;
    return g->alloc(g->ud, block, old, wanted);
}

/* ---- The end ---- */

static void wait_for_one(struct universe *u, int64_t timeout_ns)
{
    gil_thread_event_clear(&u->left); /* it is set with the lock held */
    gil_thread_event_wait(&u->left, timeout_ns);
}

static void end_daemons(struct universe *u)
{
    int64_t deadline = gil_lua_deadline(DAEMONS_END_MS * INT64_C(1000000));

    u->closing = true;
    for (struct lua_thread *t = u->threads; t; t = t->next) {
        gil_lua_poke(t);
        gil_interrupt(t->ident);
    }
    while (u->daemons && gil_lua_left_of(deadline) > 0)
        wait_for_one(u, gil_lua_left_of(deadline));
}

void gil_lua_end_threads(struct universe *u)
{
    struct growth growth = {.used = (size_t)u->kbytes * 1024, .most = 2048 * (size_t)u->kbytes};

    if (u->ended)
        return;
    u->ended = true;
    if (gil_lua_thread != &u->first)
        return; /* a host closes it in a thread that we do not know */
    growth.alloc = lua_getallocf(u->main, &growth.ud);
    lua_setallocf(u->main, alloc_and_collect, &growth);
    while (u->running)
        wait_for_one(u, -1);
    end_daemons(u);
    lua_setallocf(u->main, growth.alloc, growth.ud);
    if (u != &process)
        return;
    give_sigint_back();
    gil_lua_turns_end(u->turns, NULL);
    gil_lua_runs(NULL);
    gil_finalize();
}

static int sentinel_gc(lua_State *L)
{
    struct universe **sentinel = lua_touserdata(L, 1);

    if ((*sentinel)->sentinel == sentinel)
        gil_lua_end_threads(*sentinel);
    return 0;
}

void gil_lua_new_sentinel(lua_State *L, struct universe *u)
{
    struct universe **sentinel = lua_newuserdatauv(L, sizeof *sentinel, 0);

    *sentinel = u;
    if (luaL_newmetatable(L, "gil.sentinel")) {
        lua_pushcfunction(L, sentinel_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    u->sentinel = sentinel;
    u->kbytes = lua_gc(L, LUA_GCCOUNT);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &sentinel_key);
}

/* ---- What comes before ---- */

static struct universe *find(lua_State *L)
{
    struct universe *u;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &universe_key);
    u = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return u;
}

/* The state is being closed if lua.c's own function, below which all Lua code runs, has returned. */
void gil_lua_closing(lua_State *L)
{
    struct universe *u = find(L);
    lua_Debug ar;

    if (u && u->framed && L == u->main && !lua_getstack(L, 1, &ar))
        gil_lua_end_threads(u);
}

/* __gc of the standard library's files: theirs, the first upvalue, comes after the threads. */
static int file_gc(lua_State *L)
{
    gil_lua_closing(L);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void guard_files(lua_State *L)
{
    if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE) {
        lua_getfield(L, -1, "__gc");
        if (lua_iscfunction(L, -1)) {
            lua_pushcclosure(L, file_gc, 1);
            lua_setfield(L, -2, "__gc");
        } else {
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

/* os.exit(code, true) closes the state, which is for the first thread to do. In another one, the
 * process ends without that. The standard function is the first upvalue. */
static int os_exit(lua_State *L)
{
    struct lua_thread *t = gil_lua_thread;
    struct universe *u = find(L);

    if (lua_toboolean(L, 2) && u && !u->ended) {
        if (t == &u->first)
            gil_lua_end_threads(u);
        else
            lua_settop(L, 1);
    }
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static void wrap_exit(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_OSLIBNAME) == LUA_TTABLE &&
        lua_getfield(L, -1, "exit") == LUA_TFUNCTION) {
        lua_pushcclosure(L, os_exit, 1);
        lua_setfield(L, -2, "exit");
    }
    lua_settop(L, -3);
}

static bool runs_below_a_function(lua_State *main)
{
    lua_Debug ar;
    int level = 0;

    while (lua_getstack(main, level, &ar))
        level++;
    if (level < 2 || !lua_getstack(main, level - 1, &ar) || !lua_getinfo(main, "S", &ar))
        return false;
    return *ar.what == 'C';
}

void gil_lua_universe_tie(struct universe *u, lua_State *main)
{
    u->main = main;
    u->first = (struct lua_thread){
        .universe = u,
        .turns = u->turns,
        .current = main,
        .base = main,
        .shared_by = 1,
        .pcall_error = LUA_NOREF,
        .pcall_traceback = LUA_NOREF,
    };
    lua_pushlightuserdata(main, u);
    lua_rawsetp(main, LUA_REGISTRYINDEX, &universe_key);
}

void gil_lua_universe_run(struct universe *u)
{
    u->first.tid = (pid_t)gil_thread_native_id();
    u->first.ident = gil_thread_ident();
    gil_lua_runs(&u->first);
}

static lua_State *main_coroutine(lua_State *L)
{
    lua_State *main;

    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    main = lua_tothread(L, -1);
    lua_pop(L, 1);
    return main;
}

static struct universe *make_for_process(lua_State *L)
{
    struct universe *u = &process;

    if (gil_is_initialized())
        luaL_error(L, "another Lua state of this process has loaded gil: close it first, or make"
                      " this one with gil.interpreters");
    if (gil_initialize(GIL_LATE_THREADS_EXIT) < 0)
        luaL_error(L, "gil: %s", strerror(errno));
    *u = (struct universe){.turns = &shared, .interp = gil_interpreter_state_main()};
    gil_lua_universe_tie(u, main_coroutine(L));
    gil_lua_turns_begin(u->turns, NULL);
    gil_lua_universe_run(u);
    take_sigint();
    return u;
}

struct universe *gil_lua_universe(lua_State *L)
{
    struct universe *u = find(L);

    if (u && u->prepared)
        return u;
    if (!u)
        u = make_for_process(L);
    u->framed = runs_below_a_function(u->main);
    gil_lua_follow_coroutines(L);
    gil_lua_share_hooks(L);
    guard_files(L);
    wrap_exit(L);
    gil_lua_new_sentinel(L, u);
    u->prepared = true;
    return u;
}

struct lua_thread *gil_lua_self(lua_State *L)
{
    struct lua_thread *t = gil_lua_thread;
    struct universe *u = find(L);

    if (!u || !t || t->universe != u)
        luaL_error(L, "this is no thread of the Lua state, or the Lua state is being closed:"
                      " threads are started with gil.threading, and wait for nothing any more when"
                      " the program ends");
    return t;
}
