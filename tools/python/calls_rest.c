/* The rest of a transfer of which a try did only a part.
 *
 * A plain call on a blocking file moves everything (writes, reads of a regular file), so whatever a
 * try left over is moved here, blocking, after the release is complete. As in the kernel,
 * whatever ends the transfer early (a signal, an error, the end) gives the partial count, and the
 * error is left for the caller's next call.
 *
 * Sockets and pipes are waited for with poll and written without blocking, not with a plain write:
 * a plain write that has moved nothing yet would be restarted after a signal, and on a socket it
 * would raise SIGPIPE and use up the socket's pending error, none of which happens to a call that
 * has already moved something. */
#include "tools/python/calls_rest.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static int send_timeout_ms(int fd)
{
    struct timeval limit = {0, 0};
    socklen_t size = sizeof limit;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &size) || !(limit.tv_sec || limit.tv_usec))
        return -1;
    if (limit.tv_sec > 1000000)
        return 1000000000;
    return (int)(limit.tv_sec * 1000 + (limit.tv_usec + 999) / 1000);
}

static ssize_t send_rest(const struct py_rest *rest, const char *buf, size_t count)
{
    size_t sent = 0;
    int timeout = send_timeout_ms(rest->fd);
    while (sent < count) {
        struct pollfd ready = {.fd = rest->fd, .events = POLLOUT};
        if (REAL(poll)(&ready, 1, timeout) != 1 || (ready.revents & (POLLERR | POLLHUP | POLLNVAL)))
            break;
        ssize_t now = REAL(send)(rest->fd, buf + sent, count - sent,
                                 rest->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        if (now >= 0)
            sent += (size_t)now;
        else if (errno != EAGAIN)
            break;
    }
    return (ssize_t)sent;
}

static ssize_t write_rest(const struct py_rest *rest, const char *buf, size_t count)
{
    size_t written = 0;
    while (written < count) {
        struct pollfd ready = {.fd = rest->fd, .events = POLLOUT};
        if (REAL(poll)(&ready, 1, -1) != 1)
            break;
        struct iovec iov = {(char *)buf + written, count - written};
        ssize_t now = REAL(pwritev64v2)(rest->fd, &iov, 1, -1, RWF_NOWAIT);
        if (now >= 0)
            written += (size_t)now;
        else if (errno != EAGAIN)
            break;
    }
    return (ssize_t)written;
}

static ssize_t read_rest(const struct py_rest *rest, const char *buf, size_t count)
{
    ssize_t got = rest->offset < 0
                      ? REAL(read)(rest->fd, (char *)buf, count)
                      : REAL(pread64)(rest->fd, (char *)buf, count, rest->offset + rest->done);
    return got > 0 ? got : 0;
}

/* Moves what lies behind the first rest->done bytes of the buffers, one buffer after the other,
 * until one is not moved in full. Returns the whole count, the first part included. */
static ssize_t each_buffer(struct py_rest *rest, const struct iovec *iov, int count,
                           ssize_t (*move)(const struct py_rest *, const char *, size_t))
{
    int saved_errno = errno;
    size_t skip = (size_t)rest->done;
    for (int i = 0; i < count; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t left = iov[i].iov_len - skip;
        ssize_t now = move(rest, (const char *)iov[i].iov_base + skip, left);
        rest->done += now;
        skip = 0;
        if ((size_t)now < left)
            break;
    }
    errno = saved_errno;
    return rest->done;
}

size_t py_iov_bytes(const struct iovec *iov, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

ssize_t py_send_rest(int fd, const struct iovec *iov, int count, ssize_t done, int flags)
{
    struct py_rest rest = {.fd = fd, .flags = flags, .done = done};
    return each_buffer(&rest, iov, count, send_rest);
}

ssize_t py_write_rest(int fd, const struct iovec *iov, int count, ssize_t done)
{
    struct stat64 about;
    if (fstat64(fd, &about))
        return done;
    struct py_rest rest = {.fd = fd, .done = done};
    return each_buffer(&rest, iov, count, S_ISSOCK(about.st_mode) ? send_rest : write_rest);
}

ssize_t py_read_rest(int fd, const struct iovec *iov, int count, ssize_t done, off64_t offset)
{
    struct py_rest rest = {.fd = fd, .done = done, .offset = offset};
    return each_buffer(&rest, iov, count, read_rest);
}

bool py_more_to_read(int fd, ssize_t done, off64_t offset)
{
    int saved_errno = errno;
    off64_t end = offset < 0 ? lseek64(fd, 0, SEEK_CUR) : offset + done;
    struct stat64 about;
    bool more = end >= 0 && !fstat64(fd, &about) &&
                (S_ISBLK(about.st_mode) || (S_ISREG(about.st_mode) && end < about.st_size));
    errno = saved_errno;
    return more;
}
