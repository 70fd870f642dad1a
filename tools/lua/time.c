/* gil.time: sleeping, and the clock that timeouts are measured by. */
#include "tools/lua/universe.h"

#include <errno.h>
#include <time.h>

/* Lets another thread that waits run first, however short the time is. */
static int time_sleep(lua_State *L)
{
    int64_t deadline = gil_lua_deadline(gil_lua_seconds(L, 1, "the time to sleep"));
    static gil_thread_event never;

    gil_lua_self(L);
    gil_yield();
    while (gil_lua_left_of(deadline) > 0 &&
           gil_thread_event_wait(&never, gil_lua_left_of(deadline)) < 0 && errno == EINTR)
        gil_lua_look(L);
    return 0;
}

static int time_monotonic(lua_State *L)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
    return 1;
}

GIL_LUA_MODULE int luaopen_gil_time(lua_State *L);
GIL_LUA_MODULE int luaopen_gil_time(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", time_sleep}, {"monotonic", time_monotonic}, {NULL, NULL}};

    gil_lua_universe(L);
    luaL_newlib(L, functions);
    return 1;
}
