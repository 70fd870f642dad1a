/* gil.interpreters: further universes in the process, each a Lua state with an interpreter of the
 * library. They share nothing but the lock, and by option not even that.
 *
 * A thread runs in an interpreter by leaving its own and entering that one; for its own universe
 * this is a blocking call. One thread at a time is there as the first thread of that universe, and
 * others are started from there. Nothing of one Lua state is touched while in the other one: what
 * goes in and out is copied (channel.h) by whoever is in the state. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lualib.h>

#include "tools/lua/channel.h"
#include "tools/lua/universe.h"

#define INTERPRETER "gil.interpreter"

enum { VALUES_MAX = 100 }; /* arguments, and results */

struct interpreter {
    struct universe universe;
    bool in_use; /* a thread is in it, or it could not be closed */
};

/* What goes into an interpreter and comes out of it. */
struct exchange {
    const char *code;
    size_t length;
    int count;
    struct value *values[VALUES_MAX];
};

/* ---- Entering and leaving ---- */

struct passage {
    struct lua_thread *thread; /* what the caller is in its own universe */
    gil_thread_state *outside, *inside;
};

static bool enter(struct interpreter *i, struct passage *p)
{
    p->inside = gil_thread_state_new(i->universe.interp);
    if (!p->inside)
        return false;
    i->in_use = true;
    p->thread = gil_lua_thread;
    gil_lua_runs(NULL);
    p->outside = gil_save_thread();
    gil_acquire_thread(p->inside);
    gil_lua_universe_run(&i->universe);
    return true;
}

static void leave(struct interpreter *i, struct passage *p)
{
    gil_lua_runs(NULL);
    gil_thread_state_clear(p->inside);
    gil_thread_state_delete_current();
    gil_lua_thread = p->thread;
    gil_restore_thread(p->outside);
    i->in_use = false;
}

/* ---- Inside ---- */

static void free_values(struct exchange *x)
{
    while (x->count > 0)
        gil_lua_value_free(x->values[--x->count]);
}

static void copy_values(lua_State *L, struct exchange *x, int first)
{
    if (lua_gettop(L) - first + 1 > VALUES_MAX)
        luaL_error(L, "more than %d values cannot be passed at once", VALUES_MAX);
    for (int at = first; at <= lua_gettop(L); at++)
        x->values[x->count++] = gil_lua_value_copy(L, at);
}

static void push_values(lua_State *L, struct exchange *x)
{
    luaL_checkstack(L, x->count, "too many values");
    for (int at = 0; at < x->count; at++)
        gil_lua_value_push(L, x->values[at]);
    free_values(x);
}

/* Leaves a message with a traceback on the stack of the interpreter. */
static int add_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* lua_pcall: runs the code with the values, and puts its results in their place. */
static int run_inside(lua_State *L)
{
    struct exchange *x = lua_touserdata(L, 1);

    lua_settop(L, 0);
    if (luaL_loadbuffer(L, x->code, x->length, "=(interpreter)") != LUA_OK)
        return lua_error(L);
    push_values(L, x);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    copy_values(L, x, 1);
    return 0;
}

static void set_path(lua_State *L, const char *name, const char *value)
{
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* The same for a new state, which gets its libraries, and finds modules where its maker does. */
static int open_inside(lua_State *L)
{
    const char *const *paths = lua_touserdata(L, 1);

    luaL_openlibs(L);
    set_path(L, "path", paths[0]);
    set_path(L, "cpath", paths[1]);
    gil_lua_make_channels(L);
    return 0;
}

/* Calls f(data) inside; what it fails with is put on the stack of L. */
static int call_inside(lua_State *L, struct interpreter *i, lua_CFunction f, void *data)
{
    lua_State *S = i->universe.main;
    struct value *message = NULL;
    struct passage p;
    int status;

    if (!enter(i, &p))
        return luaL_error(L, "interpreter: %s", strerror(errno));
    lua_pushcfunction(S, add_traceback);
    lua_pushcfunction(S, f);
    lua_pushlightuserdata(S, data);
    status = lua_pcall(S, 1, 0, -3);
    if (status != LUA_OK)
        message = gil_lua_value_copy(S, -1); /* a string */
    lua_settop(S, 0);
    leave(i, &p);
    if (message) {
        gil_lua_value_push(L, message);
        gil_lua_value_free(message);
    }
    return status;
}

/* ---- Outside ---- */

static struct interpreter *interpreter_argument(lua_State *L)
{
    struct interpreter *i = *(struct interpreter **)luaL_checkudata(L, 1, INTERPRETER);

    if (!i)
        luaL_error(L, "the interpreter is closed: make another one");
    if (i->in_use)
        luaL_error(L, "another thread runs in the interpreter: wait until it has returned, or make"
                      " another interpreter");
    return i;
}

/* interpreter:run(code, ...): the results; raises what the code fails with. */
static int interpreter_run(lua_State *L)
{
    struct interpreter *i = interpreter_argument(L);
    struct exchange *x = lua_newuserdatauv(L, sizeof *x, 0);
    int status;

    gil_lua_self(L);
    lua_insert(L, 1);
    memset(x, 0, sizeof *x);
    x->code = luaL_checklstring(L, 3, &x->length);
    copy_values(L, x, 4);
    status = call_inside(L, i, run_inside, x);
    if (status != LUA_OK) {
        free_values(x);
        return lua_error(L);
    }
    lua_settop(L, 1);
    push_values(L, x);
    return lua_gettop(L) - 1;
}

static void free_interpreter(struct interpreter *i)
{
    if (i->universe.turns == &i->universe.own)
        gil_lua_turns_end(i->universe.turns, i->universe.interp);
    gil_interpreter_state_delete(i->universe.interp);
    gil_lua_end_pool(&i->universe);
    free(i);
}

/* Waits for its threads, and closes its Lua state. A daemon that could not be ended may come back
 * into that, so both stay. */
static void close_interpreter(struct interpreter *i)
{
    struct passage p;
    bool gone;

    if (!enter(i, &p))
        return;
    gil_lua_end_threads(&i->universe);
    gone = i->universe.daemons == 0;
    if (gone)
        lua_close(i->universe.main);
    leave(i, &p);
    if (gone)
        free_interpreter(i);
}

static int interpreter_close(lua_State *L)
{
    struct interpreter *i = interpreter_argument(L);

    gil_lua_self(L);
    *(struct interpreter **)lua_touserdata(L, 1) = NULL;
    close_interpreter(i);
    return 0;
}

static int interpreter_gc(lua_State *L)
{
    struct interpreter **i = luaL_checkudata(L, 1, INTERPRETER);

    if (*i && !(*i)->in_use && gil_lua_thread)
        close_interpreter(*i);
    *i = NULL;
    return 0;
}

static const char *path_of(lua_State *L, const char *name)
{
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    return luaL_optstring(L, -1, "");
}

static struct interpreter *make_interpreter(lua_State *L, bool own_lock)
{
    struct interpreter *i = calloc(1, sizeof *i);
    struct universe *u = i ? &i->universe : NULL;
    lua_State *S = i ? luaL_newstate() : NULL;

    if (S)
        u->interp = gil_interpreter_state_new(own_lock ? GIL_OWN_LOCK : 0);
    if (!S || !u->interp) {
        if (S)
            lua_close(S);
        free(i);
        luaL_error(L, "not enough memory for an interpreter");
    }
    u->turns = own_lock ? &u->own : &gil_lua_shared_turns;
    gil_lua_use_pool(u, S);
    gil_lua_universe_tie(u, S);
    return i;
}

/* Has the library tell who asks for a lock of its own. */
static int begin_turns(lua_State *S)
{
    struct universe *u = lua_touserdata(S, 1);

    gil_lua_turns_begin(u->turns, u->interp);
    return 0;
}

/* create{own_lock = false} */
static int create(lua_State *L)
{
    struct interpreter **handle;
    const char *paths[2];
    bool own_lock = false;

    gil_lua_self(L);
    gil_init_threads(); /* before it, only one thread state may be used */
    if (!lua_isnoneornil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        if (gil_lua_option(L, 1, "own_lock", LUA_TBOOLEAN))
            own_lock = lua_toboolean(L, -1);
    }
    paths[0] = path_of(L, "path");
    paths[1] = path_of(L, "cpath");
    handle = lua_newuserdatauv(L, sizeof *handle, 0);
    *handle = NULL;
    luaL_setmetatable(L, INTERPRETER);
    *handle = make_interpreter(L, own_lock);
    if ((own_lock && call_inside(L, *handle, begin_turns, &(*handle)->universe) != LUA_OK) ||
        call_inside(L, *handle, open_inside, paths) != LUA_OK)
        return lua_error(L);
    return 1;
}

GIL_LUA_MODULE int luaopen_gil_interpreters(lua_State *L);
GIL_LUA_MODULE int luaopen_gil_interpreters(lua_State *L)
{
    static const luaL_Reg methods[] = {{"run", interpreter_run},
                                       {"close", interpreter_close},
                                       {"__close", interpreter_gc},
                                       {"__gc", interpreter_gc},
                                       {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"create", create}, {"Channel", gil_lua_channel}, {NULL, NULL}};

    gil_lua_universe(L);
    gil_lua_make_channels(L);
    luaL_newmetatable(L, INTERPRETER);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, functions);
    return 1;
}
