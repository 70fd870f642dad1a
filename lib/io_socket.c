/* Sockets. See include/gil/io.h.
 *
 * Transfers are tried with MSG_DONTWAIT. Not tried is what that would change besides the waiting
 * (MSG_WAITALL), and what must not be done in two parts (urgent data, zero-copy notifications, a
 * connect inside a send). accept and connect cannot be tried: without O_NONBLOCK they wait at once.
 *
 * A receive that fails with EAGAIN has written to none of its arguments.
 *
 * Limits of the socket's own: SO_RCVTIMEO and SO_SNDTIMEO make it a system call. A try does not look
 * for SO_RCVLOWAT, and may return with less. */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include <errno.h>
#include <sys/time.h>

#define SEND_NOT_TRIED (MSG_OOB | MSG_ZEROCOPY | MSG_FASTOPEN)

bool io_has_time_limit(int fd, int option)
{
    struct timeval limit = {0, 0};
    socklen_t size = sizeof limit;
    long error = IO_NOW(SYS_getsockopt, fd, SOL_SOCKET, option, (long)&limit, (long)&size);

    return error == 0 && (limit.tv_sec || limit.tv_usec);
}

/* A call on a socket that may have to wait, and the request that is the same. */
static struct io_call socket_call(const char *function, struct thread_state *ts, long number,
                                  int fd, uint8_t opcode, const void *what, size_t size)
{
    return (struct io_call){
        .function = function,
        .ts = ts,
        .user.fd = fd,
        .number = number,
        .args = {fd, (long)what, (long)size},
        .request = {.opcode = opcode,
                    .fd = fd,
                    .addr = (uintptr_t)what,
                    .len = (uint32_t)(size < TRANSFER_MAX ? size : TRANSFER_MAX)},
    };
}

static void drop_request(struct io_call *c)
{
    c->request.opcode = IORING_OP_NOP;
}

/* Is a try's result that of the plain call? EINPROGRESS is what a send gets that connects first. */
static bool is_final(int fd, int flags, long result)
{
    return (result != -EAGAIN && result != -EINPROGRESS) || flags & MSG_DONTWAIT ||
           io_nonblocking(fd);
}

/* ---- Receiving ---- */

static bool may_try_receive(int flags)
{
    return !(flags & MSG_WAITALL);
}

/* A request for a whole goes on after a part by itself, whatever signals come. */
static bool whole_by_request(int fd, int flags)
{
    return !(flags & (MSG_DONTWAIT | MSG_PEEK | MSG_OOB)) && !io_nonblocking(fd);
}

/* Waits for what could not be received at once. */
static ssize_t receive(struct io_call *c, int flags, int64_t timeout_ns)
{
    int fd = c->user.fd;

    c->tried = may_try_receive(flags);
    c->request.msg_flags = (uint32_t)flags;
    if (!(c->tried || whole_by_request(fd, flags)) || c->request.len == 0 ||
        io_has_time_limit(fd, SO_RCVTIMEO))
        drop_request(c);
    return io_wait(c, timeout_ns);
}

ssize_t gil_recv_for(int fd, void *buf, size_t size, int flags, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run("gil_recv");
    struct io_call c;

    if (may_try_receive(flags)) {
        long got = IO_NOW(SYS_recvfrom, fd, (long)buf, (long)size, flags | MSG_DONTWAIT, 0, 0);

        if (is_final(fd, flags, got))
            return io_end(ts, got);
    }
    c = socket_call("gil_recv", ts, SYS_recvfrom, fd, IORING_OP_RECV, buf, size);
    c.args[3] = flags;
    return receive(&c, flags, timeout_ns);
}

ssize_t gil_recv(int fd, void *buf, size_t size, int flags)
{
    return gil_recv_for(fd, buf, size, flags, -1);
}

/* There is no request that tells the sender. */
ssize_t gil_recvfrom_for(int fd, void *buf, size_t size, int flags, struct sockaddr *from,
                         socklen_t *from_size, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run("gil_recvfrom");
    struct io_call c;

    if (may_try_receive(flags)) {
        long got = IO_NOW(SYS_recvfrom, fd, (long)buf, (long)size, flags | MSG_DONTWAIT, (long)from,
                          (long)from_size);

        if (is_final(fd, flags, got))
            return io_end(ts, got);
    }
    c = socket_call("gil_recvfrom", ts, SYS_recvfrom, fd, from ? IORING_OP_NOP : IORING_OP_RECV,
                    buf, size);
    c.args[3] = flags;
    c.args[4] = (long)from;
    c.args[5] = (long)from_size;
    return receive(&c, flags, timeout_ns);
}

ssize_t gil_recvfrom(int fd, void *buf, size_t size, int flags, struct sockaddr *from,
                     socklen_t *from_size)
{
    return gil_recvfrom_for(fd, buf, size, flags, from, from_size, -1);
}

ssize_t gil_recvmsg_for(int fd, struct msghdr *message, int flags, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run("gil_recvmsg");
    struct io_call c;

    if (may_try_receive(flags)) {
        long got = IO_NOW(SYS_recvmsg, fd, (long)message, flags | MSG_DONTWAIT);

        if (is_final(fd, flags, got))
            return io_end(ts, got);
    }
    c = socket_call("gil_recvmsg", ts, SYS_recvmsg, fd, IORING_OP_RECVMSG, message, 1);
    c.args[2] = flags;
    return receive(&c, flags, timeout_ns);
}

ssize_t gil_recvmsg(int fd, struct msghdr *message, int flags)
{
    return gil_recvmsg_for(fd, message, flags, -1);
}

/* ---- Sending ---- */

/* The rest of what the socket took a part of: as in the plain call, there is no signal for it. */
static void aim_send(struct io_call *c, const void *piece, size_t size)
{
    int flags = (int)c->request.msg_flags & ~MSG_WAITALL;

    c->number = SYS_sendto;
    c->args[1] = (long)piece;
    c->args[2] = (long)size;
    c->args[3] = flags | MSG_NOSIGNAL;
    c->args[4] = c->args[5] = 0;
    if (c->request.opcode == IORING_OP_NOP)
        return;
    c->request.opcode = IORING_OP_SEND;
    c->request.addr = (uintptr_t)piece;
    c->request.len = (uint32_t)(size < TRANSFER_MAX ? size : TRANSFER_MAX);
    c->sigpipe = false;
}

/* A stream took less than it was given, and waits for room for the rest. */
static bool goes_on(int fd, int flags, long sent, size_t size)
{
    return sent >= 0 && (size_t)sent < size && !(flags & MSG_DONTWAIT) && !io_nonblocking(fd);
}

void io_describe_send(struct io_call *c, int flags)
{
    c->aim = aim_send;
    c->sigpipe = !(flags & MSG_NOSIGNAL);
    c->request.msg_flags = (uint32_t)flags | MSG_WAITALL;
    if (!c->tried || io_has_time_limit(c->user.fd, SO_SNDTIMEO))
        drop_request(c);
}

static ssize_t send_to(const char *function, int fd, const void *buf, size_t size, int flags,
                       const struct sockaddr *to, socklen_t to_size, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run(function);
    struct iovec iov = {(void *)buf, size};
    bool may_try = size <= WRITE_TRY_MAX && !(flags & SEND_NOT_TRIED);
    long sent = 0;
    struct io_call c;

    if (may_try) {
        sent =
            IO_NOW(SYS_sendto, fd, (long)buf, (long)size, flags | MSG_DONTWAIT, (long)to, to_size);
        if (!goes_on(fd, flags, sent, size) && is_final(fd, flags, sent))
            return io_end(ts, sent);
    }
    c = socket_call(function, ts, SYS_sendto, fd, to ? IORING_OP_NOP : IORING_OP_SEND, buf, size);
    c.args[3] = flags;
    c.args[4] = (long)to;
    c.args[5] = to_size;
    c.iov = &iov;
    c.iov_count = 1;
    c.done = sent > 0 ? (size_t)sent : 0;
    c.tried = may_try;
    io_describe_send(&c, flags);
    return io_wait(&c, timeout_ns);
}

ssize_t gil_send_for(int fd, const void *buf, size_t size, int flags, int64_t timeout_ns)
{
    return send_to("gil_send", fd, buf, size, flags, NULL, 0, timeout_ns);
}

ssize_t gil_send(int fd, const void *buf, size_t size, int flags)
{
    return gil_send_for(fd, buf, size, flags, -1);
}

ssize_t gil_sendto_for(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to,
                       socklen_t to_size, int64_t timeout_ns)
{
    return send_to("gil_sendto", fd, buf, size, flags, to, to_size, timeout_ns);
}

ssize_t gil_sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to,
                   socklen_t to_size)
{
    return gil_sendto_for(fd, buf, size, flags, to, to_size, -1);
}

ssize_t gil_sendmsg_for(int fd, const struct msghdr *message, int flags, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run("gil_sendmsg");
    bool may_try = !(flags & SEND_NOT_TRIED);
    long sent = 0;
    struct io_call c;

    if (may_try) {
        sent = IO_NOW(SYS_sendmsg, fd, (long)message, flags | MSG_DONTWAIT);
        /* Only after a call that has read the message. */
        if (sent < 0
                ? is_final(fd, flags, sent)
                : !goes_on(fd, flags, sent, io_bytes(message->msg_iov, (int)message->msg_iovlen)))
            return io_end(ts, sent);
    }
    c = socket_call("gil_sendmsg", ts, SYS_sendmsg, fd, IORING_OP_SENDMSG, message, 1);
    c.args[2] = flags;
    if (may_try) {
        c.iov = message->msg_iov;
        c.iov_count = (int)message->msg_iovlen;
        c.done = sent > 0 ? (size_t)sent : 0;
        c.tried = true;
        io_describe_send(&c, flags);
    } else {
        drop_request(&c);
    }
    return io_wait(&c, timeout_ns);
}

ssize_t gil_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return gil_sendmsg_for(fd, message, flags, -1);
}

/* ---- Connections ---- */

/* A waiting connection may be gone before accept sees it, so looking first proves nothing. */
static int accept_for(const char *function, int fd, struct sockaddr *from, socklen_t *from_size,
                      int flags, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run(function);
    struct io_call c;

    if (io_nonblocking(fd))
        return (int)io_end(ts, IO_NOW(SYS_accept4, fd, (long)from, (long)from_size, flags));
    c = socket_call(function, ts, SYS_accept4, fd, IORING_OP_ACCEPT, from, 0);
    c.args[2] = (long)from_size;
    c.args[3] = flags;
    c.request.addr2 = (uintptr_t)from_size;
    c.request.accept_flags = (uint32_t)flags;
    if (io_has_time_limit(fd, SO_RCVTIMEO))
        drop_request(&c);
    return (int)io_wait(&c, timeout_ns);
}

int gil_accept_for(int fd, struct sockaddr *from, socklen_t *from_size, int64_t timeout_ns)
{
    return accept_for("gil_accept", fd, from, from_size, 0, timeout_ns);
}

int gil_accept(int fd, struct sockaddr *from, socklen_t *from_size)
{
    return gil_accept_for(fd, from, from_size, -1);
}

int gil_accept4_for(int fd, struct sockaddr *from, socklen_t *from_size, int flags,
                    int64_t timeout_ns)
{
    return accept_for("gil_accept4", fd, from, from_size, flags, timeout_ns);
}

int gil_accept4(int fd, struct sockaddr *from, socklen_t *from_size, int flags)
{
    return gil_accept4_for(fd, from, from_size, flags, -1);
}

int gil_connect_for(int fd, const struct sockaddr *to, socklen_t to_size, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run("gil_connect");
    struct io_call c;

    if (io_nonblocking(fd))
        return (int)io_end(ts, IO_NOW(SYS_connect, fd, (long)to, to_size));
    c = socket_call("gil_connect", ts, SYS_connect, fd, IORING_OP_CONNECT, to, 0);
    c.args[2] = to_size;
    c.request.off = to_size;
    if (io_has_time_limit(fd, SO_SNDTIMEO))
        drop_request(&c);
    return (int)io_wait(&c, timeout_ns);
}

int gil_connect(int fd, const struct sockaddr *to, socklen_t to_size)
{
    return gil_connect_for(fd, to, to_size, -1);
}

/* Does not wait. */
int gil_shutdown(int fd, int how)
{
    struct thread_state *ts = need_to_run("gil_shutdown");

    return (int)io_end(ts, IO_NOW(SYS_shutdown, fd, how));
}
