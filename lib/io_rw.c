/* Reading and writing. See include/gil/io.h.
 *
 * Reads are tried with RWF_NOWAIT, which sockets, pipes and most file systems know; a file that does
 * not know it fails the try without having done anything. A file of which only a part is in memory
 * is read on. With O_DIRECT a read is not tried. Writes are tried on sockets and pipes only: on a
 * file a try would split an append.
 *
 * A request does not take part in the order of those who read or write at the position of one open
 * file, so it is for pipes and sockets, and for reads at an offset. Writes to files are system
 * calls: most of them do not wait, and those that do would keep a kernel thread for it. */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AT_POSITION = -1 }; /* as an offset */

/* ---- What kind of file it is ---- */

enum kind { FILE_LIKE, PIPE, SOCKET };

static enum kind kind_of(int fd)
{
    struct stat about;
    int saved = errno;
    bool known = fstat(fd, &about) == 0;

    errno = saved;
    if (known && S_ISSOCK(about.st_mode))
        return SOCKET;
    /* Events, timers and the like have no type at all. */
    return known && (S_ISFIFO(about.st_mode) || !(about.st_mode & S_IFMT)) ? PIPE : FILE_LIKE;
}

/* After a short read: would the plain call have gone on? In regular files and block devices only. */
static bool has_more(int fd, long got, off_t offset)
{
    struct stat about;
    int saved = errno;
    off_t end = offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset + got;
    bool more = end >= 0 && fstat(fd, &about) == 0 &&
                (S_ISBLK(about.st_mode) || (S_ISREG(about.st_mode) && end < about.st_size));

    errno = saved;
    return more;
}

/* Says the error of a try only that it cannot be tried, or may come again without harm? */
static bool says_nothing(long error)
{
    return error == -EOPNOTSUPP || error == -ENOSYS || error == -EINVAL || error == -EPERM;
}

/* ---- One transfer ---- */

/* The plain call, and what it moves as buffers. */
struct transfer {
    const char *function;
    long number;
    int fd;
    const void *what; /* the buffer, or the buffers */
    size_t size;      /* its bytes, or their number */
    off_t offset;     /* or AT_POSITION */
    uint8_t opcode;   /* of the request */
    const struct iovec *iov;
    int count;
};

static struct transfer one_buffer(const char *function, long number, int fd, struct iovec *iov,
                                  off_t offset, uint8_t opcode)
{
    return (struct transfer){function, number, fd, iov->iov_base, iov->iov_len, offset,
                             opcode,   iov,    1};
}

static struct transfer buffers(const char *function, long number, int fd, const struct iovec *iov,
                               int count, off_t offset, uint8_t opcode)
{
    return (struct transfer){function, number, fd, iov, (size_t)count, offset, opcode, iov, count};
}

/* Results of a try besides WOULD_WAIT and the plain call's. */
enum { CANNOT_TRY = -4096 };

static long try(const struct transfer *t, long number)
{
    return IO_NOW(number, t->fd, (long)t->iov, t->count, t->offset, t->offset < 0 ? -1 : 0,
                  RWF_NOWAIT);
}

static long plain(const struct transfer *t)
{
    return IO_NOW(t->number, t->fd, (long)t->what, (long)t->size, t->offset, 0);
}

static void set_request(struct io_call *c, uint8_t opcode, off_t offset)
{
    size_t size = (size_t)c->args[2];

    c->request.opcode = opcode;
    c->request.fd = (int)c->args[0];
    c->request.addr = (uint64_t)c->args[1];
    c->request.len = (uint32_t)(size < TRANSFER_MAX ? size : TRANSFER_MAX);
    c->request.off = (uint64_t)offset;
}

static struct io_call call_of(const struct transfer *t, struct thread_state *ts)
{
    return (struct io_call){
        .function = t->function,
        .ts = ts,
        .user.fd = t->fd,
        .number = t->number,
        .args = {t->fd, (long)t->what, (long)t->size, t->offset, 0},
        .iov = t->iov,
        .iov_count = t->count,
    };
}

static void aim_at(struct io_call *c, long number, const void *piece, size_t size)
{
    c->number = number;
    c->args[1] = (long)piece;
    c->args[2] = (long)size;
}

/* ---- Reading ---- */

/* *got has been read when a part of it is left to wait for. */
static long try_read(const struct transfer *t, long *got)
{
    long result = try(t, SYS_preadv2);

    if (result >= 0) {
        if ((size_t)result == io_bytes(t->iov, t->count) || !has_more(t->fd, result, t->offset))
            return result;
        *got = result;
        return WOULD_WAIT;
    }
    if (says_nothing(result))
        return io_nonblocking(t->fd) ? plain(t) : CANNOT_TRY;
    if (result != -EAGAIN)
        return result;
    /* A file says so when it is not in memory, whatever its flags. */
    return t->offset < 0 && io_nonblocking(t->fd) && kind_of(t->fd) != FILE_LIKE ? result
                                                                                 : WOULD_WAIT;
}

static void aim_read(struct io_call *c, const void *piece, size_t size)
{
    aim_at(c, SYS_read, piece, size);
}

static void aim_pread(struct io_call *c, const void *piece, size_t size)
{
    aim_at(c, SYS_pread64, piece, size);
    c->args[3] = c->offset + (long)c->done;
}

static bool read_by_request(const struct transfer *t)
{
    enum kind kind = t->offset < 0 ? kind_of(t->fd) : FILE_LIKE;

    if (kind == SOCKET)
        return !io_has_time_limit(t->fd, SO_RCVTIMEO);
    return kind == PIPE || t->offset >= 0;
}

/* With O_DIRECT a try waits for the device, lock and all. Such a read is of whole blocks. */
static bool is_direct(const struct transfer *t)
{
    const size_t block = 512;
    bool several = t->what == t->iov; /* the caller's, and not to be read here */

    if (!several && (t->size % block || (t->offset >= 0 && (size_t)t->offset % block)))
        return false;
    return io_is_direct(t->fd);
}

static ssize_t read_for(const struct transfer *t, bool may_try, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run(t->function);
    bool direct = may_try && is_direct(t);
    long got = 0, result = may_try && !direct ? try_read(t, &got) : CANNOT_TRY;
    struct io_call c;

    if (result != CANNOT_TRY && result != WOULD_WAIT)
        return io_end(ts, result);
    c = call_of(t, ts);
    c.tried = result == WOULD_WAIT;
    if (got > 0) {
        c.done = (size_t)got;
        c.offset = t->offset;
        c.aim = t->offset < 0 ? aim_read : aim_pread;
    } else if ((c.tried || direct) && read_by_request(t)) {
        set_request(&c, t->opcode, t->offset);
    }
    return io_wait(&c, timeout_ns);
}

/* A size of 0 is left to the plain call: some files look at it where preadv does not ask them. */
static bool may_try_read(size_t size)
{
    return size > 0 && size <= READ_TRY_MAX;
}

ssize_t gil_read_for(int fd, void *buf, size_t size, int64_t timeout_ns)
{
    struct iovec iov = {buf, size};
    struct transfer t = one_buffer("gil_read", SYS_read, fd, &iov, AT_POSITION, IORING_OP_READ);

    return read_for(&t, may_try_read(size), timeout_ns);
}

ssize_t gil_read(int fd, void *buf, size_t size)
{
    return gil_read_for(fd, buf, size, -1);
}

ssize_t gil_readv_for(int fd, const struct iovec *iov, int count, int64_t timeout_ns)
{
    struct transfer t =
        buffers("gil_readv", SYS_readv, fd, iov, count, AT_POSITION, IORING_OP_READV);

    return read_for(&t, count > 0, timeout_ns);
}

ssize_t gil_readv(int fd, const struct iovec *iov, int count)
{
    return gil_readv_for(fd, iov, count, -1);
}

/* To preadv2 and to a request a negative offset is the position; to the plain calls, an error. */
ssize_t gil_pread(int fd, void *buf, size_t size, off_t offset)
{
    struct iovec iov = {buf, size};
    struct transfer t = one_buffer("gil_pread", SYS_pread64, fd, &iov, offset, IORING_OP_READ);

    return read_for(&t, may_try_read(size) && offset >= 0, -1);
}

ssize_t gil_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct transfer t = buffers("gil_preadv", SYS_preadv, fd, iov, count, offset, IORING_OP_READV);

    return read_for(&t, count > 0 && offset >= 0, -1);
}

/* ---- Writing ---- */

static long try_write(const struct transfer *t, long *put)
{
    long result = try(t, SYS_pwritev2);

    if (result >= 0) {
        if ((size_t)result == io_bytes(t->iov, t->count) || io_nonblocking(t->fd))
            return result;
        *put = result;
        return WOULD_WAIT;
    }
    if (says_nothing(result))
        return io_nonblocking(t->fd) ? plain(t) : CANNOT_TRY;
    return result != -EAGAIN || io_nonblocking(t->fd) ? result : WOULD_WAIT;
}

static void aim_write(struct io_call *c, const void *piece, size_t size)
{
    aim_at(c, SYS_write, piece, size);
    if (c->request.opcode != IORING_OP_NOP)
        set_request(c, IORING_OP_WRITE, AT_POSITION);
}

/* To a socket it is a send, whose request does not raise a signal where the call would not. */
static void describe_send(struct io_call *c, const struct transfer *t)
{
    if (c->tried && t->what == t->iov) {
        c->message = (struct msghdr){.msg_iov = (struct iovec *)t->iov, .msg_iovlen = t->size};
        c->request.opcode = IORING_OP_SENDMSG;
        c->request.fd = t->fd;
        c->request.addr = (uintptr_t)&c->message;
        c->request.len = 1;
    } else if (c->tried) {
        set_request(c, IORING_OP_SEND, 0);
    }
    io_describe_send(c, 0);
}

static void describe_write(struct io_call *c, const struct transfer *t)
{
    if (kind_of(t->fd) == SOCKET) {
        describe_send(c, t);
        return;
    }
    c->aim = aim_write;
    if (c->tried)
        set_request(c, t->opcode, AT_POSITION);
}

static bool has_position(int fd)
{
    return IO_NOW(SYS_lseek, fd, 0, SEEK_CUR) != -ESPIPE;
}

static ssize_t write_for(const struct transfer *t, bool may_try, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run(t->function);
    bool file_like = has_position(t->fd);
    long put = 0, result = may_try && !file_like ? try_write(t, &put) : CANNOT_TRY;
    struct io_call c;

    if (result != CANNOT_TRY && result != WOULD_WAIT)
        return io_end(ts, result);
    c = call_of(t, ts);
    c.tried = result == WOULD_WAIT;
    c.done = (size_t)put;
    if (!file_like)
        describe_write(&c, t);
    return io_wait(&c, timeout_ns);
}

ssize_t gil_write_for(int fd, const void *buf, size_t size, int64_t timeout_ns)
{
    struct iovec iov = {(void *)buf, size};
    struct transfer t = one_buffer("gil_write", SYS_write, fd, &iov, AT_POSITION, IORING_OP_WRITE);

    return write_for(&t, size > 0 && size <= WRITE_TRY_MAX, timeout_ns);
}

ssize_t gil_write(int fd, const void *buf, size_t size)
{
    return gil_write_for(fd, buf, size, -1);
}

ssize_t gil_writev_for(int fd, const struct iovec *iov, int count, int64_t timeout_ns)
{
    struct transfer t =
        buffers("gil_writev", SYS_writev, fd, iov, count, AT_POSITION, IORING_OP_WRITEV);

    return write_for(&t, count > 0, timeout_ns);
}

ssize_t gil_writev(int fd, const struct iovec *iov, int count)
{
    return gil_writev_for(fd, iov, count, -1);
}

/* Files without a position refuse these. */
static ssize_t write_at(const char *function, long number, int fd, const void *what, size_t size,
                        off_t offset)
{
    struct io_call c = {
        .function = function,
        .ts = need_to_run(function),
        .user.fd = fd,
        .number = number,
        .args = {fd, (long)what, (long)size, offset, 0},
    };

    return io_wait(&c, -1);
}

ssize_t gil_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    return write_at("gil_pwrite", SYS_pwrite64, fd, buf, size, offset);
}

ssize_t gil_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return write_at("gil_pwritev", SYS_pwritev, fd, iov, (size_t)count, offset);
}
