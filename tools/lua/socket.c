/* gil.socket.core: what all sockets have in common. gil/socket.lua adds what is better said in Lua. */
#include "tools/lua/socket.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <gil/io.h>

/* ---- A socket and its number ---- */

struct sock *gil_lua_socket_new(lua_State *L, const char *kind, int family)
{
    struct sock *s = lua_newuserdatauv(L, sizeof *s, 0);

    *s = (struct sock){
        .fd = -1,
        .family = family,
        .type = strcmp(kind, STREAM) == 0 ? SOCK_STREAM : SOCK_DGRAM,
        .block_ns = -1,
        .total_ns = -1,
    };
    luaL_setmetatable(L, kind);
    return s;
}

struct sock *gil_lua_socket(lua_State *L)
{
    struct sock *s = luaL_testudata(L, 1, DATAGRAM);

    return s ? s : luaL_checkudata(L, 1, STREAM);
}

bool gil_lua_socket_open(struct sock *s, int family)
{
    if (s->closed) {
        errno = EBADF;
        return false;
    }
    if (s->fd >= 0)
        return true;
    s->fd = socket(family, s->type | SOCK_CLOEXEC, 0);
    if (s->fd >= 0)
        s->family = family;
    return s->fd >= 0;
}

/* A finalizer may come when the library has been finalized, and nobody can wait any more. */
static void close_number(struct sock *s)
{
    int fd = s->fd;

    s->fd = -1;
    if (fd >= 0 && gil_thread_state_get_unchecked())
        gil_close(fd);
    else if (fd >= 0)
        close(fd);
}

void gil_lua_socket_close(struct sock *s)
{
    s->closed = true;
    input_clear(&s->in);
    close_number(s);
}

void gil_lua_socket_need(lua_State *L, const struct sock *s, const char *method, const char *first)
{
    if (s->fd < 0 && !s->closed)
        luaL_error(L, "%s: %s first", method, first);
}

/* ---- How methods end ---- */

int64_t gil_lua_socket_begin(const struct sock *s)
{
    return gil_lua_deadline(s->total_ns);
}

int64_t gil_lua_socket_patience(const struct sock *s, int64_t deadline)
{
    int64_t left = gil_lua_left_of(deadline);

    return left < 0 || (s->block_ns >= 0 && s->block_ns < left) ? s->block_ns : left;
}

static const char *message_of(int error)
{
    switch (error) {
    case ETIMEDOUT:
        return "timeout";
    case EBADF:
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
        return "closed";
    case ECONNREFUSED:
        return "connection refused";
    case EADDRINUSE:
        return "address already in use";
    case EISCONN:
        return "already connected";
    case EACCES:
        return "permission denied";
    case ENOTCONN:
        return "not connected: call connect first";
    case EDESTADDRREQ:
        return "no peer: call sendto with an address, or setpeername first";
    case EAFNOSUPPORT:
        return "the address is of another family than the socket: choose tcp4 or tcp6, udp4 or "
               "udp6";
    default:
        return strerror(error);
    }
}

int gil_lua_socket_fail_with(lua_State *L)
{
    luaL_pushfail(L);
    lua_insert(L, -2);
    return 2;
}

int gil_lua_socket_fail(lua_State *L)
{
    lua_pushstring(L, message_of(errno));
    return gil_lua_socket_fail_with(L);
}

int gil_lua_socket_result(lua_State *L, bool done)
{
    if (!done)
        return gil_lua_socket_fail(L);
    lua_pushinteger(L, 1);
    return 1;
}

/* ---- Connecting and binding ---- */

/* Tries one address. A socket whose family was not known is as before if that fails; when its time
 * is over, it goes on connecting. */
static int connect_to(lua_State *L, struct sock *s, const struct address *a, int64_t deadline)
{
    bool fresh = s->fd < 0;
    int result, error;

    if (!gil_lua_socket_open(s, a->any.sa_family))
        return -1;
    do
        result = gil_connect_for(s->fd, &a->any, a->size, gil_lua_socket_patience(s, deadline));
    while (result < 0 && gil_lua_again(L));
    if (result == 0 || !fresh || errno == ETIMEDOUT || s->closed)
        return result;
    error = errno;
    close_number(s);
    s->family = AF_UNSPEC;
    errno = error;
    return -1;
}

int gil_lua_socket_connect(lua_State *L)
{
    struct sock *s = gil_lua_socket(L);
    struct address found[ADDRESSES_MAX];
    int64_t deadline = gil_lua_socket_begin(s);
    int count, result = -1;

    gil_lua_self(L);
    count = gil_lua_addresses(L, 2, s->family, found);
    if (count == 0)
        return gil_lua_socket_fail_with(L);
    for (int i = 0; i < count && result < 0; i++) {
        result = connect_to(L, s, &found[i], deadline);
        if (result < 0 && errno == ETIMEDOUT)
            break;
    }
    return gil_lua_socket_result(L, result == 0);
}

int gil_lua_socket_bind(lua_State *L)
{
    struct sock *s = gil_lua_socket(L);
    struct address found[ADDRESSES_MAX];
    int on = 1;

    gil_lua_self(L);
    if (gil_lua_addresses(L, 2, s->family, found) == 0)
        return gil_lua_socket_fail_with(L);
    if (!gil_lua_socket_open(s, found->any.sa_family))
        return gil_lua_socket_fail(L);
    /* A server that is started again need not wait until the old connections are forgotten. */
    if (s->type == SOCK_STREAM && s->family != AF_UNIX)
        setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return gil_lua_socket_result(L, bind(s->fd, &found->any, found->size) == 0);
}

/* ---- Methods of both kinds ---- */

static int socket_close(lua_State *L)
{
    gil_lua_socket_close(gil_lua_socket(L));
    lua_pushinteger(L, 1);
    return 1;
}

/* Nobody else uses it: so the lock is kept. */
static int socket_gc(lua_State *L)
{
    struct sock *s = gil_lua_socket(L);

    gil_lua_closing(L);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->closed = true;
    input_clear(&s->in);
    return 0;
}

static const char *family_name(const struct sock *s)
{
    return s->family == AF_INET    ? "inet"
           : s->family == AF_INET6 ? "inet6"
           : s->family == AF_UNIX  ? "unix"
                                   : "unspec";
}

static int socket_tostring(lua_State *L)
{
    const struct sock *s = gil_lua_socket(L);

    lua_pushfstring(L, "socket (%s %s, %s): %p", family_name(s),
                    s->type == SOCK_STREAM ? "stream" : "datagram",
                    s->closed      ? "closed"
                    : s->listening ? "listening"
                                   : "open",
                    (const void *)s);
    return 1;
}

static int name_with(lua_State *L, int (*ask)(int fd, struct sockaddr *name, socklen_t *size))
{
    const struct sock *s = gil_lua_socket(L);
    struct address a = {.size = sizeof a - offsetof(struct address, any)};

    gil_lua_socket_need(L, s, "address", "bind or connect the socket");
    if (ask(s->fd, &a.any, &a.size) < 0)
        return gil_lua_socket_fail(L);
    return gil_lua_push_address(L, &a);
}

static int socket_getsockname(lua_State *L)
{
    return name_with(L, getsockname);
}

static int socket_getpeername(lua_State *L)
{
    return name_with(L, getpeername);
}

/* settimeout(seconds[, mode]): "b", of each wait; "t", of the whole method. */
static int socket_settimeout(lua_State *L)
{
    static const char *const modes[] = {"b", "t", "r", NULL};
    struct sock *s = gil_lua_socket(L);
    int mode = luaL_checkoption(L, 3, "b", modes);
    int64_t limit = -1;

    if (!lua_isnoneornil(L, 2) && !(luaL_checknumber(L, 2) < 0))
        limit = gil_lua_timeout(L, 2);
    *(mode == 0 ? &s->block_ns : &s->total_ns) = limit;
    lua_pushinteger(L, 1);
    return 1;
}

static void push_seconds(lua_State *L, int64_t ns)
{
    if (ns < 0)
        luaL_pushfail(L);
    else
        lua_pushnumber(L, (lua_Number)ns / 1e9);
}

static int socket_gettimeout(lua_State *L)
{
    const struct sock *s = gil_lua_socket(L);

    push_seconds(L, s->block_ns);
    push_seconds(L, s->total_ns);
    return 2;
}

static int socket_getfd(lua_State *L)
{
    lua_pushinteger(L, gil_lua_socket(L)->fd);
    return 1;
}

static int socket_getfamily(lua_State *L)
{
    lua_pushstring(L, family_name(gil_lua_socket(L)));
    return 1;
}

/* ---- The module ---- */

static int new_socket(lua_State *L, const char *kind, int family)
{
    struct sock *s = gil_lua_socket_new(L, kind, family);

    if (family != AF_UNSPEC && !gil_lua_socket_open(s, family))
        return gil_lua_socket_fail(L);
    return 1;
}

/* core.stream(family), core.datagram(family): nil, "inet", "inet6" or "unix". */
static int new_of_kind(lua_State *L)
{
    static const char *const names[] = {"unspec", "inet", "inet6", "unix", NULL};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
    int family = families[luaL_checkoption(L, 1, "unspec", names)];

    return new_socket(L, lua_tostring(L, lua_upvalueindex(1)), family);
}

static void make_class(lua_State *L, const char *kind, const luaL_Reg *own)
{
    static const luaL_Reg methods[] = {{"close", socket_close},
                                       {"getsockname", socket_getsockname},
                                       {"getpeername", socket_getpeername},
                                       {"settimeout", socket_settimeout},
                                       {"gettimeout", socket_gettimeout},
                                       {"setoption", gil_lua_socket_setoption},
                                       {"getoption", gil_lua_socket_getoption},
                                       {"getfd", socket_getfd},
                                       {"getfamily", socket_getfamily},
                                       {"bind", gil_lua_socket_bind},
                                       {"setsockname", gil_lua_socket_bind},
                                       {"connect", gil_lua_socket_connect},
                                       {"setpeername", gil_lua_socket_connect},
                                       {"__close", socket_close},
                                       {"__gc", socket_gc},
                                       {"__tostring", socket_tostring},
                                       {NULL, NULL}};

    luaL_newmetatable(L, kind);
    luaL_setfuncs(L, methods, 0);
    luaL_setfuncs(L, own, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushstring(L, kind);
    lua_pushcclosure(L, new_of_kind, 1);
    lua_setfield(L, -2, strrchr(kind, '.') + 1);
}

GIL_LUA_MODULE int luaopen_gil_socket_core(lua_State *L);
GIL_LUA_MODULE int luaopen_gil_socket_core(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"getaddrinfo", gil_lua_getaddrinfo}, {"gethostname", gil_lua_gethostname}, {NULL, NULL}};

    gil_lua_universe(L);
    luaL_newlib(L, functions);
    make_class(L, STREAM, gil_lua_stream_methods);
    make_class(L, DATAGRAM, gil_lua_datagram_methods);
    return 1;
}
