/* Methods of datagram sockets: UDP and unix ones. */
#include "tools/lua/socket.h"

#include <errno.h>

#include <gil/io.h>

enum { DATAGRAM_MAX = 64 * 1024 };

static struct sock *datagram(lua_State *L)
{
    gil_lua_self(L);
    return luaL_checkudata(L, 1, DATAGRAM);
}

/* receive([size]), receivefrom([size]): a datagram, whose end is lost if it is longer. */
static int receive_with(lua_State *L, struct address *from)
{
    struct sock *s = datagram(L);
    int64_t deadline = gil_lua_socket_begin(s);
    lua_Integer size = luaL_optinteger(L, 2, DATAGRAM_MAX);
    char data[DATAGRAM_MAX];
    ssize_t got;

    luaL_argcheck(L, size >= 0, 2, "a number of bytes is not negative");
    gil_lua_socket_need(L, s, "receive", "call setsockname or sendto");
    if (size > DATAGRAM_MAX)
        size = DATAGRAM_MAX;
    do {
        from->size = sizeof *from - offsetof(struct address, any);
        got = gil_recvfrom_for(s->fd, data, (size_t)size, 0, &from->any, &from->size,
                               gil_lua_socket_patience(s, deadline));
    } while (got < 0 && gil_lua_again(L));
    if (got < 0)
        return gil_lua_socket_fail(L);
    lua_pushlstring(L, data, (size_t)got);
    return 1;
}

static int datagram_receive(lua_State *L)
{
    struct address from;

    return receive_with(L, &from);
}

/* The datagram, and the address it came from: host and port, or a path. */
static int datagram_receivefrom(lua_State *L)
{
    struct address from;
    int results = receive_with(L, &from);

    if (results != 1)
        return results;
    if (from.size == 0) { /* from a unix socket that is not bound */
        lua_pushliteral(L, "");
        return 2;
    }
    results = gil_lua_push_address(L, &from);
    if (results == 3) /* LuaSocket does not tell the family */
        lua_pop(L, 1);
    return results == 3 ? 3 : 2;
}

static int send_to(lua_State *L, struct sock *s, const struct address *to)
{
    int64_t deadline = gil_lua_socket_begin(s);
    size_t size;
    const char *data = luaL_checklstring(L, 2, &size);
    ssize_t sent;

    do
        sent = gil_sendto_for(s->fd, data, size, MSG_NOSIGNAL, to ? &to->any : NULL,
                              to ? to->size : 0, gil_lua_socket_patience(s, deadline));
    while (sent < 0 && gil_lua_again(L));
    return gil_lua_socket_result(L, sent >= 0);
}

static int datagram_send(lua_State *L)
{
    struct sock *s = datagram(L);

    gil_lua_socket_need(L, s, "send", "call setpeername, or use sendto");
    return send_to(L, s, NULL);
}

/* sendto(data, host, port), sendto(data, path). */
static int datagram_sendto(lua_State *L)
{
    struct sock *s = datagram(L);
    struct address found[ADDRESSES_MAX];

    if (gil_lua_addresses(L, 3, s->family, found) == 0)
        return gil_lua_socket_fail_with(L);
    if (!gil_lua_socket_open(s, found->any.sa_family))
        return gil_lua_socket_fail(L);
    return send_to(L, s, found);
}

const luaL_Reg gil_lua_datagram_methods[] = {
    {"receive", datagram_receive},
    {"receivefrom", datagram_receivefrom},
    {"send", datagram_send},
    {"sendto", datagram_sendto},
    {NULL, NULL},
};
