/* require "gil": a table of all modules. Each can be required by itself, as gil.NAME: those written
 * in C are in this library, the others in Lua files beside it. */
#include "tools/lua/universe.h"

static const char *const modules[] = {"thread",       "threading", "queue", "sys",    "time",
                                      "interpreters", "socket",    "file",  "process"};

GIL_LUA_MODULE int luaopen_gil(lua_State *L);
GIL_LUA_MODULE int luaopen_gil(lua_State *L)
{
    gil_lua_universe(L);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        lua_getglobal(L, "require");
        lua_pushfstring(L, "gil.%s", modules[i]);
        lua_call(L, 1, 1);
        lua_setfield(L, -2, modules[i]);
    }
    return 1;
}
