/* Arguments that several modules take: times, and tables of options. */
#include "tools/lua/universe.h"

#include <math.h>
#include <time.h>

#define NS_PER_S    INT64_C(1000000000)
#define SECONDS_MAX 1e9 /* thirty years: sums with the clock stay in range */

int64_t gil_lua_seconds(lua_State *L, int arg, const char *what)
{
    lua_Number seconds = luaL_checknumber(L, arg);

    if (!(seconds >= 0)) /* or not a number */
        luaL_argerror(L, arg,
                      lua_pushfstring(L, "%s is a number of seconds that is not negative", what));
    return seconds < SECONDS_MAX ? (int64_t)ceil(seconds * 1e9) : (int64_t)SECONDS_MAX * NS_PER_S;
}

int64_t gil_lua_timeout(lua_State *L, int arg)
{
    return lua_isnoneornil(L, arg) ? -1 : gil_lua_seconds(L, arg, "a timeout");
}

bool gil_lua_option(lua_State *L, int table, const char *name, int type)
{
    int found = lua_getfield(L, table, name);

    if (found == type)
        return true;
    if (found != LUA_TNIL)
        luaL_error(L, "the option '%s' is a %s, not a %s", name, lua_typename(L, type),
                   lua_typename(L, found));
    lua_pop(L, 1);
    return false;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t gil_lua_deadline(int64_t timeout_ns)
{
    return timeout_ns < 0 ? -1 : now_ns() + timeout_ns;
}

int64_t gil_lua_left_of(int64_t deadline)
{
    int64_t left;

    if (deadline < 0)
        return -1;
    left = deadline - now_ns();
    return left > 0 ? left : 0;
}
