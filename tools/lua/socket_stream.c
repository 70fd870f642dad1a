/* Methods of stream sockets: TCP and unix ones. */
#include "tools/lua/socket.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <gil/io.h>

#include "tools/lua/file.h"

enum { CHUNK = 64 * 1024 };

static struct sock *stream(lua_State *L)
{
    return luaL_checkudata(L, 1, STREAM);
}

/* A stream that carries data, which `method` is about to use. */
static struct sock *connection(lua_State *L, const char *method)
{
    struct sock *s = stream(L);

    gil_lua_self(L);
    gil_lua_socket_need(L, s, method, "connect the socket");
    if (s->listening)
        luaL_error(L, "%s: the socket listens; accept returns the connections", method);
    return s;
}

/* ---- Servers ---- */

static int stream_listen(lua_State *L)
{
    struct sock *s = stream(L);
    lua_Integer backlog = luaL_optinteger(L, 2, SOMAXCONN);

    luaL_argcheck(L, backlog >= 0 && backlog <= INT32_MAX, 2, "the number is out of range");
    gil_lua_socket_need(L, s, "listen", "bind the socket");
    if (listen(s->fd, (int)backlog) < 0)
        return gil_lua_socket_fail(L);
    s->listening = true;
    return gil_lua_socket_result(L, true);
}

static int stream_accept(lua_State *L)
{
    struct sock *s = stream(L), *accepted;
    int64_t deadline = gil_lua_socket_begin(s);
    int fd;

    gil_lua_self(L);
    if (!s->listening)
        return luaL_error(L, "accept: bind the socket and call listen first");
    accepted = gil_lua_socket_new(L, STREAM, s->family);
    do
        fd = gil_accept4_for(s->fd, NULL, NULL, SOCK_CLOEXEC, gil_lua_socket_patience(s, deadline));
    while (fd < 0 && (errno == ECONNABORTED || gil_lua_again(L)));
    if (fd < 0)
        return gil_lua_socket_fail(L);
    accepted->fd = fd;
    return 1;
}

/* ---- Receiving ---- */

/* "*l" (a line, the default), "*a" (all until the peer closes) or a number of bytes, to which
 * what is given as prefix counts. */
static struct wanted check_wanted(lua_State *L, size_t prefix)
{
    struct wanted w = {.kind = WANT_LINE, .no_returns = true};
    const char *pattern;

    if (lua_type(L, 2) == LUA_TNUMBER) {
        lua_Integer count = luaL_checkinteger(L, 2);

        luaL_argcheck(L, count >= 0, 2, "a number of bytes is not negative");
        w.kind = WANT_COUNT;
        w.count = (size_t)count > prefix ? (size_t)count - prefix : 0;
        return w;
    }
    pattern = luaL_optstring(L, 2, "*l");
    pattern += *pattern == '*';
    if (strcmp(pattern, "a") == 0)
        w.kind = WANT_ALL;
    else if (strcmp(pattern, "l") != 0)
        luaL_argerror(L, 2, "what to receive is \"*l\", \"*a\" or a number of bytes");
    return w;
}

static void push_received(lua_State *L, struct sock *s, const struct wanted *w, size_t prefix)
{
    input_take(L, &s->in, w);
    if (prefix) {
        lua_pushvalue(L, 3);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
}

/* Waits for more data. Returns whether some came; or else errno says why, 0 at the end. */
static bool receive_more(lua_State *L, struct sock *s, int64_t deadline)
{
    char chunk[CHUNK];
    ssize_t got;

    do
        got = gil_recv_for(s->fd, chunk, sizeof chunk, 0, gil_lua_socket_patience(s, deadline));
    while (got < 0 && gil_lua_again(L));
    if (got > 0)
        input_add(L, &s->in, chunk, (size_t)got);
    if (got == 0)
        errno = 0;
    return got > 0;
}

/* receive([pattern[, prefix]]): the data; or nil, a message, and what came before. */
static int stream_receive(lua_State *L)
{
    struct sock *s = connection(L, "receive");
    int64_t deadline = gil_lua_socket_begin(s);
    struct wanted w;
    size_t prefix;
    int error;

    luaL_optlstring(L, 3, "", &prefix);
    w = check_wanted(L, prefix);
    while (!input_has(&s->in, &w)) {
        if (receive_more(L, s, deadline))
            continue;
        error = errno;
        if (error == 0 && w.kind == WANT_ALL && input_length(&s->in) + prefix > 0)
            break;
        errno = error ? error : EPIPE;
        gil_lua_socket_fail(L);
        push_received(L, s, &w, prefix);
        return 3;
    }
    push_received(L, s, &w, prefix);
    return 1;
}

/* Is there data that was read ahead? */
static int stream_dirty(lua_State *L)
{
    lua_pushboolean(L, input_length(&stream(L)->in) > 0);
    return 1;
}

/* ---- Sending ---- */

/* An index of a string, as string.sub has it. */
static size_t index_argument(lua_State *L, int arg, lua_Integer otherwise, size_t length)
{
    lua_Integer i = luaL_optinteger(L, arg, otherwise);

    if (i < 0)
        i += (lua_Integer)length + 1;
    return i < 0 ? 0 : (size_t)i;
}

/* send(data[, i[, j]]): the index of the last byte that was sent; or nil, a message and that. */
static int stream_send(lua_State *L)
{
    struct sock *s = connection(L, "send");
    int64_t deadline = gil_lua_socket_begin(s);
    size_t length, sent, end;
    const char *data = luaL_checklstring(L, 2, &length);
    ssize_t n = 0;

    sent = index_argument(L, 3, 1, length);
    sent = sent ? sent - 1 : 0;
    end = index_argument(L, 4, -1, length);
    end = end < length ? end : length;
    while (sent < end) {
        n = gil_send_for(s->fd, data + sent, end - sent, MSG_NOSIGNAL,
                         gil_lua_socket_patience(s, deadline));
        if (n >= 0)
            sent += (size_t)n;
        else if (!gil_lua_again(L))
            break;
    }
    if (n < 0)
        gil_lua_socket_fail(L);
    lua_pushinteger(L, (lua_Integer)sent);
    return n < 0 ? 3 : 1;
}

/* sendfile(file, offset, size): so many bytes of a file of gil.file, from an offset on. Returns how
 * many were sent, fewer where the file ends; or nil, a message and that. */
/* sendfile(2) knows no MSG_NOSIGNAL: the signal, which may come after a part was sent, is kept from the
 * thread, and taken back. */
static ssize_t sendfile_for(int out, int in, off_t *offset, size_t size, int64_t timeout_ns)
{
    sigset_t broken_pipe, before;
    ssize_t n;
    int error;

    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    n = gil_sendfile_for(out, in, offset, size, timeout_ns);
    error = errno;
    if (n < (ssize_t)size && !sigismember(&before, SIGPIPE))
        while (sigtimedwait(&broken_pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n;
}

static int stream_sendfile(lua_State *L)
{
    struct sock *s = connection(L, "sendfile");
    int64_t deadline = gil_lua_socket_begin(s);
    off_t offset = luaL_checkinteger(L, 3);
    lua_Integer size = luaL_checkinteger(L, 4), sent = 0;
    ssize_t n = 1;

    luaL_argcheck(L, offset >= 0, 3, "an offset is not negative");
    while (sent < size && n != 0) {
        int file = gil_lua_file_fd(L, 2);

        n = sendfile_for(s->fd, file, &offset, (size_t)(size - sent),
                         gil_lua_socket_patience(s, deadline));
        if (n >= 0)
            sent += n;
        else if (!gil_lua_again(L))
            break;
    }
    if (n < 0)
        gil_lua_socket_fail(L);
    lua_pushinteger(L, sent);
    return n < 0 ? 3 : 1;
}

/* shutdown("send" | "receive" | "both"). */
static int stream_shutdown(lua_State *L)
{
    static const char *const names[] = {"receive", "send", "both", NULL};
    static const int how[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
    const struct sock *s = connection(L, "shutdown");
    int which = luaL_checkoption(L, 2, "both", names);

    return gil_lua_socket_result(L, gil_shutdown(s->fd, how[which]) == 0);
}

const luaL_Reg gil_lua_stream_methods[] = {
    {"listen", stream_listen},     {"accept", stream_accept},
    {"receive", stream_receive},   {"dirty", stream_dirty},
    {"send", stream_send},         {"sendfile", stream_sendfile},
    {"shutdown", stream_shutdown}, {NULL, NULL},
};
