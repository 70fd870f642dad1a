/* Sockets of gil.socket: what its files share. Names and results are those of LuaSocket: a method
 * that fails returns nil and a message, "timeout" and "closed" among them.
 *
 * A socket has a number as soon as its family is known: at once, or when it is bound or connected.
 * A thread that waits at it may find it closed by another one, and uses the number that is there
 * then: close sets it to -1 before it ends the waits. */
#ifndef TOOLS_LUA_SOCKET_H
#define TOOLS_LUA_SOCKET_H

#include "tools/lua/address.h"
#include "tools/lua/input.h"
#include "tools/lua/universe.h"

struct sock {
    int fd; /* -1: it has none yet, or is closed */
    int family, type;
    bool closed, listening;
    int64_t block_ns, total_ns; /* limits for each wait, and for all of a method; -1: none */
    struct input in;
};

#define STREAM   "gil.socket.stream"
#define DATAGRAM "gil.socket.datagram"

/* A new socket without a number is pushed. family: AF_UNSPEC if it is not known yet. */
struct sock *gil_lua_socket_new(lua_State *L, const char *kind, int family);

/* The socket at index 1, of either kind. */
struct sock *gil_lua_socket(lua_State *L);

/* Gives the socket a number, unless it has one. false, with errno: it could not. */
bool gil_lua_socket_open(struct sock *s, int family);

/* Closes it, and ends the waits of others. */
void gil_lua_socket_close(struct sock *s);

/* Raises an error if it has no number and never had one: it says that `first` is to be done. */
void gil_lua_socket_need(lua_State *L, const struct sock *s, const char *method, const char *first);

/* When a method that begins now is to end, and how long it may wait at this moment. */
int64_t gil_lua_socket_begin(const struct sock *s);
int64_t gil_lua_socket_patience(const struct sock *s, int64_t deadline);

/* Returns nil and a message for errno, or the one on top. */
int gil_lua_socket_fail(lua_State *L);
int gil_lua_socket_fail_with(lua_State *L);

/* Returns 1, as methods do that have no other result; or what gil_lua_socket_fail() does. */
int gil_lua_socket_result(lua_State *L, bool done);

/* Connects to, or binds at, the address that the arguments from 2 on say; reports as the methods do. */
int gil_lua_socket_connect(lua_State *L);
int gil_lua_socket_bind(lua_State *L);

int gil_lua_socket_setoption(lua_State *L);
int gil_lua_socket_getoption(lua_State *L);

/* What only streams, or only datagram sockets, have. */
extern const luaL_Reg gil_lua_stream_methods[], gil_lua_datagram_methods[];

#endif
