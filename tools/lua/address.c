#include "tools/lua/address.h"

#include "tools/lua/universe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <gil/io.h>

/* ---- From Lua ---- */

static in_port_t check_port(lua_State *L, int arg)
{
    int is_integer;
    lua_Integer port = lua_tointegerx(L, arg, &is_integer);

    if (!is_integer || port < 0 || port > UINT16_MAX)
        luaL_argerror(L, arg,
                      lua_pushfstring(L, "a port is a number from 0 to 65535, not %s",
                                      luaL_tolstring(L, arg, NULL)));
    return htons((in_port_t)port);
}

static void set_port(struct address *a, in_port_t port)
{
    if (a->any.sa_family == AF_INET)
        a->in.sin_port = port;
    else
        a->in6.sin6_port = port;
}

/* An address in digits, or "*". */
static bool is_numeric(const char *host, int family, struct address *a)
{
    memset(a, 0, sizeof *a);
    if (strcmp(host, "*") == 0)
        host = family == AF_INET6 ? "::" : "0.0.0.0";
    if (family != AF_INET6 && inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
        a->in.sin_family = AF_INET;
        a->size = sizeof a->in;
        return true;
    }
    if (family != AF_INET && inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1) {
        a->in6.sin6_family = AF_INET6;
        a->size = sizeof a->in6;
        return true;
    }
    return false;
}

struct look_up {
    const char *host;
    int family;
    struct addrinfo *found;
};

static long look_up(void *arg)
{
    struct look_up *l = arg;
    struct addrinfo hints = {.ai_family = l->family, .ai_socktype = SOCK_STREAM};

    return getaddrinfo(l->host, NULL, &hints, &l->found);
}

static int resolve(lua_State *L, const char *host, int family, struct address found[ADDRESSES_MAX])
{
    struct look_up l = {host, family, NULL};
    long status;
    int count = 0;

    if (is_numeric(host, family, &found[0]))
        return 1;
    status = gil_without(look_up, &l, NULL, NULL);
    if (status == 0) {
        for (struct addrinfo *i = l.found; i && count < ADDRESSES_MAX; i = i->ai_next) {
            if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
                continue;
            memcpy(&found[count].any, i->ai_addr, i->ai_addrlen);
            found[count++].size = i->ai_addrlen;
        }
        freeaddrinfo(l.found);
    }
    gil_lua_look(L);
    if (count == 0)
        lua_pushfstring(L,
                        "host not found: '%s' (%s); give a name that resolves, or an %s address"
                        " such as %s",
                        host, status ? gai_strerror((int)status) : "no address",
                        family == AF_INET6 ? "IPv6" : "IPv4",
                        family == AF_INET6 ? "::1" : "127.0.0.1");
    return count;
}

static int unix_address(lua_State *L, int arg, struct address *a)
{
    size_t length;
    const char *path = luaL_checklstring(L, arg, &length);

    if (length == 0 || length >= sizeof a->un.sun_path)
        luaL_argerror(L, arg, "the path of a unix socket has 1 to 107 bytes");
    memset(a, 0, sizeof *a);
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path, length); /* an abstract one may begin with a zero */
    a->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*path != '\0'));
    return 1;
}

int gil_lua_addresses(lua_State *L, int arg, int family, struct address found[ADDRESSES_MAX])
{
    const char *host;
    in_port_t port;
    int count;

    if (family == AF_UNIX)
        return unix_address(L, arg, &found[0]);
    host = luaL_checkstring(L, arg);
    port = check_port(L, arg + 1);
    count = resolve(L, host, family, found);
    for (int i = 0; i < count; i++)
        set_port(&found[i], port);
    return count;
}

/* ---- To Lua ---- */

static void push_host(lua_State *L, const struct address *a)
{
    char text[INET6_ADDRSTRLEN];
    bool six = a->any.sa_family == AF_INET6;

    inet_ntop(a->any.sa_family, six ? (const void *)&a->in6.sin6_addr : &a->in.sin_addr, text,
              sizeof text);
    lua_pushstring(L, text);
}

int gil_lua_push_address(lua_State *L, const struct address *a)
{
    bool six = a->any.sa_family == AF_INET6;
    size_t path = offsetof(struct sockaddr_un, sun_path);

    if (a->any.sa_family == AF_UNIX) {
        size_t length = a->size > path ? a->size - path : 0;

        if (length && a->un.sun_path[0] != '\0')
            length = strnlen(a->un.sun_path, length);
        lua_pushlstring(L, a->un.sun_path, length);
        return 1;
    }
    push_host(L, a);
    lua_pushinteger(L, ntohs(six ? a->in6.sin6_port : a->in.sin_port));
    lua_pushstring(L, six ? "inet6" : "inet");
    return 3;
}

int gil_lua_getaddrinfo(lua_State *L)
{
    struct address found[ADDRESSES_MAX];
    int count;

    gil_lua_self(L);
    count = resolve(L, luaL_checkstring(L, 1), AF_UNSPEC, found);
    if (count == 0) {
        luaL_pushfail(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_createtable(L, 0, 2);
        push_host(L, &found[i]);
        lua_setfield(L, -2, "addr");
        lua_pushstring(L, found[i].any.sa_family == AF_INET6 ? "inet6" : "inet");
        lua_setfield(L, -2, "family");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

int gil_lua_gethostname(lua_State *L)
{
    char name[256] = "";

    gethostname(name, sizeof name - 1);
    lua_pushstring(L, name);
    return 1;
}
