/* Sockets: transfers are tried with MSG_DONTWAIT; accept and connect have no such form, and block
 * at once unless the socket has O_NONBLOCK.
 *
 * Not tried: what MSG_DONTWAIT would change besides the waiting (MSG_WAITALL, low-water marks, a
 * connect inside a send), and what must not be done in two parts (urgent data, zero-copy
 * notifications).
 *
 * A receive that fails with EAGAIN has written to none of its arguments (the kernel writes lengths
 * and flags on success only), so nothing needs to be put back before the plain call. */
#include "tools/python/calls_rest.h"
#include "tools/python/calls_ring.h"

#include <linux/io_uring.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEND_TRY_MAX   ((size_t)1 << 16)
#define SEND_NOT_TRIED (MSG_OOB | MSG_ZEROCOPY | MSG_FASTOPEN)

ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, __SOCKADDR_ARG, socklen_t *);

bool py_low_water_used;

PY_WRAPPER int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    if (level == SOL_SOCKET && name == SO_RCVLOWAT)
        __atomic_store_n(&py_low_water_used, true, __ATOMIC_RELAXED);
    return REAL(setsockopt)(fd, level, name, value, size);
}

bool py_waits_for_more(int fd)
{
    int saved_errno = errno;
    int bytes = 1;
    socklen_t size = sizeof bytes;
    bool more = !getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &size) && bytes > 1;
    errno = saved_errno;
    return more;
}

/* May this receive be tried? If not, completes the release. */
static bool can_try_receive(int fd, int flags)
{
    if (!(flags & MSG_WAITALL) && !(py_low_water_used && py_waits_for_more(fd)))
        return true;
    py_call_blocks(false);
    return false;
}

/* After a try: is its result that of the plain call? If not, completes the release and leaves errno
 * as it was before the try. EINPROGRESS is what a send gets that has to connect first. */
static bool final_result(int fd, int flags, ssize_t result, int saved_errno)
{
    if (result >= 0 || (errno != EAGAIN && errno != EINPROGRESS) || (flags & MSG_DONTWAIT) ||
        py_nonblocking(fd)) {
        py_call_done();
        return true;
    }
    py_after_try(saved_errno);
    return false;
}

PY_BY_RING static ssize_t recv_by_ring(int fd, void *buf, size_t size, int flags)
{
    ssize_t got;

    if (py_ring_call(IORING_OP_RECV, fd, buf, size, 0, flags, &got))
        return got;
    return REAL(recv)(fd, buf, size, flags);
}

PY_BY_RING static ssize_t recvmsg_by_ring(int fd, struct msghdr *message, int flags)
{
    ssize_t got;

    if (py_ring_call(IORING_OP_RECVMSG, fd, message, 1, 0, flags, &got))
        return got;
    return REAL(recvmsg)(fd, message, flags);
}

/* These wait, if they have to, with the release complete. */
static ssize_t recv_blocking(int fd, void *buf, size_t size, int flags)
{
    return PY_RINGS ? recv_by_ring(fd, buf, size, flags) : REAL(recv)(fd, buf, size, flags);
}

static ssize_t recvmsg_blocking(int fd, struct msghdr *message, int flags)
{
    return PY_RINGS ? recvmsg_by_ring(fd, message, flags) : REAL(recvmsg)(fd, message, flags);
}

static ssize_t recv_deferred(int fd, void *buf, size_t size, int flags)
{
    if (can_try_receive(fd, flags)) {
        int saved_errno = errno;
        ssize_t got = PY_TRY(REAL(recv)(fd, buf, size, flags | MSG_DONTWAIT));
        if (final_result(fd, flags, got, saved_errno))
            return got;
    }
    return recv_blocking(fd, buf, size, flags);
}

static ssize_t recvfrom_deferred(int fd, void *buf, size_t size, int flags, __SOCKADDR_ARG from,
                                 socklen_t *from_size)
{
    if (can_try_receive(fd, flags)) {
        int saved_errno = errno;
        ssize_t got = PY_TRY(REAL(recvfrom)(fd, buf, size, flags | MSG_DONTWAIT, from, from_size));
        if (final_result(fd, flags, got, saved_errno))
            return got;
    }
    return REAL(recvfrom)(fd, buf, size, flags, from, from_size);
}

static ssize_t recvmsg_deferred(int fd, struct msghdr *message, int flags)
{
    if (can_try_receive(fd, flags)) {
        int saved_errno = errno;
        ssize_t got = PY_TRY(REAL(recvmsg)(fd, message, flags | MSG_DONTWAIT));
        if (final_result(fd, flags, got, saved_errno))
            return got;
    }
    return recvmsg_blocking(fd, message, flags);
}

PY_WRAPPER ssize_t recv(int fd, void *buf, size_t size, int flags)
{
    return py_deferred() ? recv_deferred(fd, buf, size, flags)
                         : recv_blocking(fd, buf, size, flags);
}

PY_WRAPPER ssize_t __recv_chk(int fd, void *buf, size_t size, size_t room, int flags)
{
    return py_deferred() && size <= room ? recv_deferred(fd, buf, size, flags)
                                         : REAL(__recv_chk)(fd, buf, size, room, flags);
}

PY_WRAPPER ssize_t recvfrom(int fd, void *buf, size_t size, int flags, __SOCKADDR_ARG from,
                            socklen_t *from_size)
{
    return py_deferred() ? recvfrom_deferred(fd, buf, size, flags, from, from_size)
                         : REAL(recvfrom)(fd, buf, size, flags, from, from_size);
}

PY_WRAPPER ssize_t __recvfrom_chk(int fd, void *buf, size_t size, size_t room, int flags,
                                  __SOCKADDR_ARG from, socklen_t *from_size)
{
    return py_deferred() && size <= room
               ? recvfrom_deferred(fd, buf, size, flags, from, from_size)
               : REAL(__recvfrom_chk)(fd, buf, size, room, flags, from, from_size);
}

PY_WRAPPER ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return py_deferred() ? recvmsg_deferred(fd, message, flags)
                         : recvmsg_blocking(fd, message, flags);
}

/* A stream socket took less than it was given. Without waiting that is all; otherwise the plain
 * call would have gone on. */
static bool goes_on(int fd, int flags, ssize_t sent, size_t size)
{
    return sent >= 0 && (size_t)sent < size && !(flags & MSG_DONTWAIT) && !py_nonblocking(fd);
}

static ssize_t sendto_deferred(int fd, const void *buf, size_t size, int flags,
                               __CONST_SOCKADDR_ARG to, socklen_t to_size)
{
    if (size > SEND_TRY_MAX || (flags & SEND_NOT_TRIED)) {
        py_call_blocks(false);
        return REAL(sendto)(fd, buf, size, flags, to, to_size);
    }
    int saved_errno = errno;
    ssize_t sent = PY_TRY(REAL(sendto)(fd, buf, size, flags | MSG_DONTWAIT, to, to_size));
    if (goes_on(fd, flags, sent, size)) {
        py_call_blocks(true);
        struct iovec iov = {(void *)buf, size};
        return py_send_rest(fd, &iov, 1, sent, flags);
    }
    if (final_result(fd, flags, sent, saved_errno))
        return sent;
    return REAL(sendto)(fd, buf, size, flags, to, to_size);
}

static ssize_t sendmsg_deferred(int fd, const struct msghdr *message, int flags)
{
    if (flags & SEND_NOT_TRIED) {
        py_call_blocks(false);
        return REAL(sendmsg)(fd, message, flags);
    }
    int saved_errno = errno;
    ssize_t sent = PY_TRY(REAL(sendmsg)(fd, message, flags | MSG_DONTWAIT));
    if (sent >= 0) {
        int count = (int)message->msg_iovlen;
        if (goes_on(fd, flags, sent, py_iov_bytes(message->msg_iov, count))) {
            py_call_blocks(true);
            return py_send_rest(fd, message->msg_iov, count, sent, flags);
        }
    }
    if (final_result(fd, flags, sent, saved_errno))
        return sent;
    return REAL(sendmsg)(fd, message, flags);
}

PY_WRAPPER ssize_t send(int fd, const void *buf, size_t size, int flags)
{
    return py_deferred() ? sendto_deferred(fd, buf, size, flags, (const struct sockaddr *)0, 0)
                         : REAL(send)(fd, buf, size, flags);
}

PY_WRAPPER ssize_t sendto(int fd, const void *buf, size_t size, int flags, __CONST_SOCKADDR_ARG to,
                          socklen_t to_size)
{
    return py_deferred() ? sendto_deferred(fd, buf, size, flags, to, to_size)
                         : REAL(sendto)(fd, buf, size, flags, to, to_size);
}

PY_WRAPPER ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return py_deferred() ? sendmsg_deferred(fd, message, flags) : REAL(sendmsg)(fd, message, flags);
}

/* Accept and connect block only without O_NONBLOCK. If the socket is without it, completes the
 * release. */
static bool cannot_block(int fd)
{
    if (py_nonblocking(fd))
        return true;
    py_call_blocks(false);
    return false;
}

PY_BY_RING static int accept4_by_ring(int fd, __SOCKADDR_ARG from, socklen_t *from_size, int flags)
{
    ssize_t peer;

    if (py_ring_call(IORING_OP_ACCEPT, fd, from.__sockaddr__, 1, (uintptr_t)from_size, flags, &peer))
        return (int)peer;
    return REAL(accept4)(fd, from, from_size, flags);
}

static int accept4_blocking(int fd, __SOCKADDR_ARG from, socklen_t *from_size, int flags)
{
    return PY_RINGS ? accept4_by_ring(fd, from, from_size, flags)
                    : REAL(accept4)(fd, from, from_size, flags);
}

/* A waiting connection may be gone before accept sees it, so that looking first proves nothing. */
PY_WRAPPER int accept(int fd, __SOCKADDR_ARG from, socklen_t *from_size)
{
    if (!py_deferred() || !cannot_block(fd))
        return REAL(accept)(fd, from, from_size);
    return PY_DONE(PY_TRY(REAL(accept)(fd, from, from_size)));
}

PY_WRAPPER int accept4(int fd, __SOCKADDR_ARG from, socklen_t *from_size, int flags)
{
    if (!py_deferred() || !cannot_block(fd))
        return accept4_blocking(fd, from, from_size, flags);
    return PY_DONE(PY_TRY(REAL(accept4)(fd, from, from_size, flags)));
}

PY_WRAPPER int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t to_size)
{
    if (!py_deferred() || !cannot_block(fd))
        return REAL(connect)(fd, to, to_size);
    return PY_DONE(PY_TRY(REAL(connect)(fd, to, to_size)));
}

PY_BLOCKS(int, recvmmsg,
          (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),
          (fd, messages, count, flags, timeout))
PY_BLOCKS(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags),
          (fd, messages, count, flags))
