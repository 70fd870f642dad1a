/* gil.thread: threads, as the low-level module of the classic documents has them.
 *
 * A thread's record is shared by the thread and, if it has one, its handle. What the thread leaves
 * in the Lua state it gives back itself, with the lock held, and then it touches neither any more:
 * so the state may be closed when all records say so. */
#include "tools/lua/universe.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gil/thread.h>

#define HANDLE "gil.thread.handle"

/* A stack must hold what Lua allows: 200 C functions within each other, string.gsub among them. */
enum { STACK_SIZE_MIN = 1 << 20 };

static const char exit_key; /* its address is the error that thread.exit() raises */

static size_t stack_size; /* of new threads, in bytes; 0: the default */

/* ---- In the thread ---- */

static void let_go(struct lua_thread *t)
{
    if (--t->shared_by == 0)
        free(t);
}

static void unlink_thread(struct lua_thread *t)
{
    struct universe *u = t->universe;

    if (t->prev)
        t->prev->next = t->next;
    else
        u->threads = t->next;
    if (t->next)
        t->next->prev = t->prev;
    if (t->daemon)
        u->daemons--;
    else
        u->running--;
    gil_thread_event_set(&u->left);
}

static void give_back(struct lua_thread *t)
{
    lua_State *L = t->base;

    t->base = t->current = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, t->pcall_error);
    luaL_unref(L, LUA_REGISTRYINDEX, t->pcall_traceback);
    luaL_unref(L, LUA_REGISTRYINDEX, t->anchor); /* and L may be collected from now on */
    unlink_thread(t);
    gil_thread_event_set(&t->ended);
    let_go(t);
}

/* The thread's function has returned, or the thread ends in it. One that comes too late, when the
 * state may have been closed, does not hold the lock, and leaves everything as it is. */
static void leaves(void *arg)
{
    if (!gil_thread_state_get_unchecked())
        return;
    gil_lua_runs(NULL);
    give_back(arg);
}

static bool is_exit(lua_State *L, int index)
{
    return lua_touserdata(L, index) == (const void *)&exit_key;
}

static int add_traceback(lua_State *L)
{
    if (is_exit(L, 1))
        return 1;
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static void thread_main(void *arg)
{
    struct lua_thread *t = arg;
    lua_State *L = t->base;

    t->tid = (pid_t)gil_thread_native_id();
    gil_lua_runs(t);
    pthread_cleanup_push(leaves, t);
    if (lua_pcall(L, lua_gettop(L) - 2, 0, 1) != LUA_OK && !is_exit(L, -1))
        lua_writestringerror("gil: error in a thread: %s\n", lua_tostring(L, -1));
    lua_settop(L, 0);
    pthread_cleanup_pop(1);
}

/* ---- Starting ---- */

static struct lua_thread *record_make(struct universe *u, bool daemon)
{
    struct lua_thread *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->universe = u;
    t->turns = u->turns;
    t->daemon = daemon;
    t->shared_by = 1;
    t->anchor = t->pcall_error = t->pcall_traceback = LUA_NOREF;
    return t;
}

static void link_thread(struct lua_thread *t)
{
    struct universe *u = t->universe;

    t->next = u->threads;
    if (t->next)
        t->next->prev = t;
    u->threads = t;
    if (t->daemon)
        u->daemons++;
    else
        u->running++;
}

/* A coroutine with a message handler, and the function and `args` arguments that are on top of L,
 * which are popped; it is left on L. */
static lua_State *make_base(lua_State *L, int args)
{
    lua_State *base = lua_newthread(L);

    lua_sethook(base, NULL, 0, 0);
    if (!lua_checkstack(base, args + 2 + LUA_MINSTACK))
        luaL_error(L, "too many arguments for a thread");
    lua_pushcfunction(base, add_traceback);
    lua_insert(L, -(args + 2));
    lua_xmove(L, base, args + 1);
    return base;
}

/* Starts t with the function and `args` arguments on top of L, which are popped. */
static void start(lua_State *L, struct lua_thread *t, const char *name, int args)
{
    gil_thread_options options = {.name = name, .stack_size = stack_size};

    gil_lua_new_sentinel(L, t->universe);
    t->base = t->current = make_base(L, args);
    t->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    link_thread(t);
    t->shared_by++;
    t->ident = gil_thread_start(NULL, &options, thread_main, t);
    if (t->ident != GIL_NO_THREAD)
        return;
    t->ident = 0;
    give_back(t);
    luaL_error(L, "can't start a new thread: %s", strerror(errno));
}

static void need_function(lua_State *L, int arg)
{
    if (!lua_isfunction(L, arg))
        luaL_argerror(L, arg,
                      lua_pushfstring(L,
                                      "the function that the thread is to call expected,"
                                      " got %s",
                                      luaL_typename(L, arg)));
}

static struct universe *open_universe(lua_State *L)
{
    return gil_lua_self(L)->universe;
}

static struct lua_thread *push_handle(lua_State *L, struct universe *u, bool daemon)
{
    struct lua_thread **handle = lua_newuserdatauv(L, sizeof *handle, 0);

    *handle = NULL;
    luaL_setmetatable(L, HANDLE);
    *handle = record_make(u, daemon);
    if (!*handle)
        luaL_error(L, "can't start a new thread: %s", strerror(errno));
    return *handle;
}

static int start_new_thread(lua_State *L)
{
    struct universe *u = open_universe(L);
    struct lua_thread *t;

    need_function(L, 1);
    t = push_handle(L, u, true); /* which gives it back, whatever happens */
    lua_insert(L, 1);
    start(L, t, NULL, lua_gettop(L) - 2);
    lua_pushinteger(L, (lua_Integer)t->ident);
    return 1;
}

static int start_joinable_thread(lua_State *L)
{
    struct universe *u = open_universe(L);
    const char *name = NULL;
    struct lua_thread *t;
    bool daemon = false;

    need_function(L, 1);
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        if (gil_lua_option(L, 2, "daemon", LUA_TBOOLEAN))
            daemon = lua_toboolean(L, -1);
        if (gil_lua_option(L, 2, "name", LUA_TSTRING))
            name = lua_tostring(L, -1);
    }
    t = push_handle(L, u, daemon);
    lua_pushvalue(L, 1);
    start(L, t, name, 0);
    return 1;
}

/* ---- Handles ---- */

static struct lua_thread *handle_of(lua_State *L)
{
    return *(struct lua_thread **)luaL_checkudata(L, 1, HANDLE);
}

static int handle_join(lua_State *L)
{
    struct lua_thread *t = handle_of(L);
    int64_t deadline = gil_lua_deadline(gil_lua_timeout(L, 2));

    if (t == gil_lua_self(L))
        return luaL_error(L, "a thread cannot join itself: it would wait for ever");
    while (gil_thread_event_wait(&t->ended, gil_lua_left_of(deadline)) < 0) {
        if (errno != EINTR) {
            lua_pushboolean(L, false);
            return 1;
        }
        gil_lua_look(L);
    }
    lua_pushboolean(L, true);
    return 1;
}

static int handle_is_done(lua_State *L)
{
    lua_pushboolean(L, gil_thread_event_is_set(&handle_of(L)->ended));
    return 1;
}

static int handle_ident(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)handle_of(L)->ident);
    return 1;
}

static int handle_native_id(lua_State *L)
{
    struct lua_thread *t = handle_of(L);

    if (t->tid)
        lua_pushinteger(L, t->tid);
    else
        luaL_pushfail(L);
    return 1;
}

static int handle_interrupt(lua_State *L)
{
    struct lua_thread *t = handle_of(L);

    if (t->base)
        gil_lua_interrupt(t);
    return 0;
}

static int handle_gc(lua_State *L)
{
    struct lua_thread **handle = luaL_checkudata(L, 1, HANDLE);

    if (*handle)
        let_go(*handle);
    *handle = NULL;
    return 0;
}

static void make_handles(lua_State *L)
{
    static const luaL_Reg methods[] = {{"join", handle_join},
                                       {"is_done", handle_is_done},
                                       {"ident", handle_ident},
                                       {"native_id", handle_native_id},
                                       {"interrupt", handle_interrupt},
                                       {"__gc", handle_gc},
                                       {NULL, NULL}};

    luaL_newmetatable(L, HANDLE);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* ---- The other functions ---- */

void gil_lua_interrupt(struct lua_thread *t)
{
    t->interrupted = true;
    gil_lua_poke(t);
    gil_interrupt(t->ident);
}

static int thread_exit(lua_State *L)
{
    struct lua_thread *t = gil_lua_self(L);

    if (t == &t->universe->first)
        return luaL_error(L, "the main thread ends with the program: return from the main chunk, or"
                             " call os.exit()");
    lua_pushlightuserdata(L, (void *)&exit_key);
    return lua_error(L);
}

static int is_exit_error(lua_State *L)
{
    lua_pushboolean(L, is_exit(L, 1));
    return 1;
}

static int get_ident(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)gil_lua_self(L)->ident);
    return 1;
}

static int get_native_id(lua_State *L)
{
    lua_pushinteger(L, gil_lua_self(L)->tid);
    return 1;
}

static int interrupt_main(lua_State *L)
{
    gil_lua_interrupt(&gil_lua_self(L)->universe->first);
    gil_lua_look(L); /* the main thread itself has it at once */
    return 0;
}

static int set_stack_size(lua_State *L)
{
    lua_Integer size = luaL_optinteger(L, 1, 0);

    if (size != 0 && (size < STACK_SIZE_MIN || size > INT64_C(1) << 40))
        return luaL_argerror(L, 1, "a stack has 1048576 bytes at least; 0: the default");
    lua_pushinteger(L, (lua_Integer)stack_size);
    if (!lua_isnoneornil(L, 1))
        stack_size = (size_t)size;
    return 1;
}

GIL_LUA_MODULE int luaopen_gil_thread(lua_State *L);
GIL_LUA_MODULE int luaopen_gil_thread(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start_new_thread", start_new_thread},
                                         {"start_joinable_thread", start_joinable_thread},
                                         {"exit", thread_exit},
                                         {"is_exit", is_exit_error},
                                         {"get_ident", get_ident},
                                         {"get_native_id", get_native_id},
                                         {"interrupt_main", interrupt_main},
                                         {"stack_size", set_stack_size},
                                         {NULL, NULL}};

    gil_lua_universe(L);
    make_handles(L);
    luaL_newlib(L, functions);
    gil_lua_add_sync(L);
    return 1;
}
