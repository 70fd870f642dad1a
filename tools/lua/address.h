/* Addresses of sockets, as Lua programs write them: a host (a name, an IPv4 or an IPv6 address, "*"
 * for any) and a port; or the path of a unix socket. */
#ifndef TOOLS_LUA_ADDRESS_H
#define TOOLS_LUA_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <lua.h>

struct address {
    socklen_t size;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

enum { ADDRESSES_MAX = 8 };

/* The addresses of `family` (AF_UNSPEC: IPv4 or IPv6) that the arguments from `arg` on name: host
 * and port, or, for AF_UNIX, a path. The lock is given up while a name is looked up. Returns how
 * many there are; or 0, with a message pushed. Arguments of a wrong kind are a Lua error. */
int gil_lua_addresses(lua_State *L, int arg, int family, struct address found[ADDRESSES_MAX]);

/* Pushes an IP address as host, port and family ("inet" or "inet6"), a unix one as its path.
 * Returns how many values these are. */
int gil_lua_push_address(lua_State *L, const struct address *a);

/* All addresses of a host as a list of {family, addr}; the name of this machine. */
int gil_lua_getaddrinfo(lua_State *L);
int gil_lua_gethostname(lua_State *L);

#endif
