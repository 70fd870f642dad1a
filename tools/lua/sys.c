/* gil.sys: the intervals, the counters of the lock, and what error was caught last. */
#include "tools/lua/universe.h"

#include <limits.h>
#include <stdlib.h>

#include <gil/stats.h>

/* ---- Intervals ---- */

static int set_check_interval(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);

    gil_lua_by_count(gil_lua_self(L)->turns, n < 1 ? 1 : n > INT_MAX ? INT_MAX : (int)n);
    return 0;
}

static int get_check_interval(lua_State *L)
{
    lua_pushinteger(L, gil_lua_self(L)->turns->interval);
    return 1;
}

static int set_switch_interval(lua_State *L)
{
    int64_t interval = gil_lua_seconds(L, 1, "the switch interval");

    luaL_argcheck(L, interval > 0, 1, "the switch interval is more than 0 seconds");
    gil_lua_by_time(gil_lua_self(L)->turns, interval);
    return 0;
}

static int get_switch_interval(lua_State *L)
{
    gil_lua_self(L);
    lua_pushnumber(L, (lua_Number)gil_get_switch_interval() / 1e9);
    return 1;
}

/* ---- Errors ---- */

static void remember(lua_State *L, int *reference, int index)
{
    lua_pushvalue(L, index);
    luaL_unref(L, LUA_REGISTRYINDEX, *reference);
    *reference = LUA_NOREF;
    *reference = luaL_ref(L, LUA_REGISTRYINDEX);
}

static int keep_error(lua_State *L)
{
    struct lua_thread *t = gil_lua_self(L);

    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    remember(L, &t->pcall_error, 1);
    remember(L, &t->pcall_traceback, -1);
    lua_settop(L, 1);
    return 1;
}

static int after_pcall(lua_State *L, int status, lua_KContext skipped)
{
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_pushboolean(L, false);
        lua_pushvalue(L, -2);
        return 2;
    }
    return lua_gettop(L) - (int)skipped;
}

/* pcall that also keeps the error and its traceback, for exc_info. */
static int sys_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushcfunction(L, keep_error);
    lua_pushboolean(L, true);
    lua_rotate(L, 1, 2); /* keep_error, true, the function, its arguments */
    return after_pcall(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, 1, after_pcall), 1);
}

/* The error that sys.pcall has caught last in this thread, and its traceback. */
static int exc_info(lua_State *L)
{
    struct lua_thread *t = gil_lua_self(L);

    if (t->pcall_traceback == LUA_NOREF)
        return 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->pcall_error);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->pcall_traceback);
    return 2;
}

/* ---- Counters ---- */

static void set_counter(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void push_stats(lua_State *L, const gil_thread_stats *s)
{
    lua_newtable(L);
    set_counter(L, "tid", (uint64_t)s->tid);
    set_counter(L, "threads", s->threads);
    set_counter(L, "acquires", s->acquires);
    set_counter(L, "contended", s->contended);
    set_counter(L, "forced", s->forced);
    set_counter(L, "handovers", s->handovers);
    set_counter(L, "requests", s->requests);
    set_counter(L, "wait_ns", s->wait_ns);
    set_counter(L, "wait_max_ns", s->wait_max_ns);
}

/* A table for each thread; that of all threads that have ended has the tid 0. */
static int sys_stats(lua_State *L)
{
    const gil_lock *lock = gil_interpreter_state_lock(gil_lua_self(L)->universe->interp);
    size_t room = gil_lock_stats(lock, NULL, 0), found;
    gil_thread_stats *stats = lua_newuserdatauv(L, (room + 1) * sizeof *stats, 0);

    found = gil_lock_stats(lock, stats, room);
    if (found > room)
        found = room;
    lua_newtable(L);
    for (size_t i = 0; i < found; i++) {
        push_stats(L, &stats[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

GIL_LUA_MODULE int luaopen_gil_sys(lua_State *L);
GIL_LUA_MODULE int luaopen_gil_sys(lua_State *L)
{
    static const luaL_Reg functions[] = {{"setcheckinterval", set_check_interval},
                                         {"getcheckinterval", get_check_interval},
                                         {"setswitchinterval", set_switch_interval},
                                         {"getswitchinterval", get_switch_interval},
                                         {"pcall", sys_pcall},
                                         {"exc_info", exc_info},
                                         {"stats", sys_stats},
                                         {NULL, NULL}};

    gil_lua_universe(L);
    luaL_newlib(L, functions);
    return 1;
}
