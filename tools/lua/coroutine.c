/* coroutine.resume, wrap and close, as in the standard library, but the thread knows which coroutine
 * runs in it: see invariant 2 in turns.c. */
#include "tools/lua/universe.h"

#include <lualib.h>

/* How many values were pushed on L; or -1, with the error pushed. */
static int resume(lua_State *L, lua_State *co, int args)
{
    lua_State *before;
    int status, results;

    if (!lua_checkstack(co, args)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, args);
    before = gil_lua_entered(co);
    status = lua_resume(co, L, args, &results);
    gil_lua_left(before);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, results);
    return results;
}

/* Runs what is pending to be closed in co; returns its status, with an error on co's stack. */
static int reset(lua_State *co)
{
    lua_State *before = gil_lua_entered(co);
    int status = lua_resetthread(co);

    gil_lua_left(before);
    return status;
}

static lua_State *coroutine_argument(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);

    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

static int coroutine_resume(lua_State *L)
{
    lua_State *co = coroutine_argument(L);
    int results = resume(L, co, lua_gettop(L) - 1);

    lua_pushboolean(L, results >= 0);
    if (results < 0)
        results = 1;
    lua_insert(L, -(results + 1));
    return results + 1;
}

/* The function that coroutine.wrap returns. */
static int wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int results = resume(L, co, lua_gettop(L));
    int status;

    if (results >= 0)
        return results;
    status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        status = reset(co);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int coroutine_wrap(lua_State *L)
{
    lua_State *co;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

/* Does it run, or wait for a coroutine that it has resumed? */
static const char *in_use(lua_State *L, lua_State *co)
{
    lua_Debug ar;

    if (co == L)
        return "running";
    return lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar) ? "normal" : NULL;
}

static int coroutine_close(lua_State *L)
{
    lua_State *co = coroutine_argument(L);
    const char *use = in_use(L, co);

    if (use)
        return luaL_error(L, "cannot close a %s coroutine", use);
    if (reset(co) == LUA_OK) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushboolean(L, false);
    lua_xmove(co, L, 1);
    return 2;
}

/* A thread's own coroutine cannot yield: nobody resumes it. */
static int coroutine_yield(lua_State *L)
{
    if (gil_lua_thread && L == gil_lua_thread->base && !lua_isyieldable(L))
        return luaL_error(L,
                          "a thread cannot yield to another one: call coroutine.yield in a"
                          " coroutine that this thread has resumed; threads pass values through a"
                          " queue, and let others run with gil.time.sleep(0)");
    return lua_yield(L, lua_gettop(L));
}

void gil_lua_follow_coroutines(lua_State *L)
{
    static const luaL_Reg functions[] = {{"resume", coroutine_resume},
                                         {"wrap", coroutine_wrap},
                                         {"close", coroutine_close},
                                         {"yield", coroutine_yield},
                                         {NULL, NULL}};

    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_COLIBNAME) == LUA_TTABLE)
        luaL_setfuncs(L, functions, 0);
    lua_pop(L, 2);
}
