/* setoption and getoption: LuaSocket's names for the options of sockets. */
#include "tools/lua/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

enum kind { BOOLEAN, NUMBER };

static const struct option {
    const char *name;
    int level, option;
    enum kind kind;
} options[] = {
    {"broadcast", SOL_SOCKET, SO_BROADCAST, BOOLEAN},
    {"dontroute", SOL_SOCKET, SO_DONTROUTE, BOOLEAN},
    {"ipv6-v6only", IPPROTO_IPV6, IPV6_V6ONLY, BOOLEAN},
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE, BOOLEAN},
    {"recv-buffer-size", SOL_SOCKET, SO_RCVBUF, NUMBER},
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR, BOOLEAN},
    {"reuseport", SOL_SOCKET, SO_REUSEPORT, BOOLEAN},
    {"send-buffer-size", SOL_SOCKET, SO_SNDBUF, NUMBER},
    {"tcp-nodelay", IPPROTO_TCP, TCP_NODELAY, BOOLEAN},
};

#define LINGER_NAME "linger"

/* The option that argument 2 names; NULL: linger. */
static const struct option *check_option(lua_State *L)
{
    const char *name = luaL_checkstring(L, 2);
    luaL_Buffer b;

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(name, options[i].name) == 0)
            return &options[i];
    if (strcmp(name, LINGER_NAME) == 0)
        return NULL;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "the options are " LINGER_NAME);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        luaL_addstring(&b, ", ");
        luaL_addstring(&b, options[i].name);
    }
    luaL_pushresult(&b);
    luaL_argerror(L, 2, lua_tostring(L, -1));
    return NULL;
}

/* One that has no family yet is IPv4 from now on. */
static struct sock *open_socket(lua_State *L)
{
    struct sock *s = gil_lua_socket(L);

    return gil_lua_socket_open(s, AF_INET) ? s : NULL;
}

static int set_linger(lua_State *L, const struct sock *s)
{
    struct linger linger = {0};

    luaL_checktype(L, 3, LUA_TTABLE);
    if (gil_lua_option(L, 3, "on", LUA_TBOOLEAN))
        linger.l_onoff = lua_toboolean(L, -1);
    if (gil_lua_option(L, 3, "timeout", LUA_TNUMBER))
        linger.l_linger = (int)lua_tonumber(L, -1);
    return setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

int gil_lua_socket_setoption(lua_State *L)
{
    const struct sock *s = open_socket(L);
    const struct option *o = check_option(L);
    int value;

    if (!s)
        return gil_lua_socket_fail(L);
    if (!o)
        return gil_lua_socket_result(L, set_linger(L, s) == 0);
    if (o->kind == BOOLEAN)
        luaL_checktype(L, 3, LUA_TBOOLEAN);
    value = o->kind == BOOLEAN ? lua_toboolean(L, 3) : (int)luaL_checkinteger(L, 3);
    return gil_lua_socket_result(L,
                                 setsockopt(s->fd, o->level, o->option, &value, sizeof value) == 0);
}

static int push_linger(lua_State *L, const struct sock *s)
{
    struct linger linger;
    socklen_t size = sizeof linger;

    if (getsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, &size) < 0)
        return gil_lua_socket_fail(L);
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, linger.l_onoff);
    lua_setfield(L, -2, "on");
    lua_pushinteger(L, linger.l_linger);
    lua_setfield(L, -2, "timeout");
    return 1;
}

int gil_lua_socket_getoption(lua_State *L)
{
    const struct sock *s = open_socket(L);
    const struct option *o = check_option(L);
    int value;
    socklen_t size = sizeof value;

    if (!s)
        return gil_lua_socket_fail(L);
    if (!o)
        return push_linger(L, s);
    if (getsockopt(s->fd, o->level, o->option, &value, &size) < 0)
        return gil_lua_socket_fail(L);
    if (o->kind == BOOLEAN)
        lua_pushboolean(L, value);
    else
        lua_pushinteger(L, value);
    return 1;
}
