/* The requests of a batch: what each is, as a system call and for a ring, and how it ends. See
 * batch_impl.h.
 *
 * A call that would wait for its file is made in a form that does not (RWF_NOWAIT, MSG_DONTWAIT).
 * Where the file cannot do that, the plain call is made once poll() has said that it is ready. */
#define _GNU_SOURCE
#include "lib/batch_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Adding ---- */

static struct request *add(const char *function, gil_batch *b)
{
    struct thread_state *ts = batch_need(function, b);
    struct request *r = &b->requests[b->count];

    if (b->count == b->bound)
        state_misuse(function, ts, "the batch is full");
    memset(r, 0, sizeof *r);
    r->batch = b;
    r->fd = -1;
    __atomic_store_n(&b->count, b->count + 1, __ATOMIC_RELEASE); /* closers look at it */
    b->added++;
    return r;
}

static unsigned index_of(const struct request *r)
{
    return (unsigned)(r - r->batch->requests);
}

static void set_call(struct request *r, long number, const long args[6])
{
    r->number = number;
    memcpy(r->args, args, sizeof r->args);
    __atomic_store_n(&r->fd, (int)args[0], __ATOMIC_RELAXED);
}

#define SET_CALL(r, number, ...) set_call(r, number, (const long[6]){__VA_ARGS__})

static void set_sqe(struct request *r, uint8_t opcode, int fd, const void *what, size_t size,
                    uint64_t offset)
{
    r->sqe.opcode = opcode;
    r->sqe.fd = fd;
    r->sqe.addr = (uintptr_t)what;
    r->sqe.len = (uint32_t)(size < TRANSFER_MAX ? size : TRANSFER_MAX);
    r->sqe.off = offset;
    r->sqe.user_data = (uintptr_t)r;
}

/* ---- Reading and writing ---- */

enum { AT_POSITION = -1 }; /* as an offset */

static bool has_position(int fd)
{
    struct stat about;
    int saved = errno;
    bool has = fstat(fd, &about) != 0 || S_ISREG(about.st_mode) || S_ISBLK(about.st_mode) ||
               S_ISDIR(about.st_mode);

    errno = saved;
    return has;
}

/* One of the four forms: read or write, one buffer or several. */
struct form {
    const char *function;
    long plain, nowait; /* the calls */
    uint8_t opcode;
    bool writes;
};

static unsigned transfer(const struct form *form, gil_batch *b, int fd, const void *what,
                         size_t size, off_t offset)
{
    struct request *r = add(form->function, b);
    bool several = form->opcode == IORING_OP_READV || form->opcode == IORING_OP_WRITEV;
    bool seeks = has_position(fd);

    r->own = (struct iovec){(void *)what, size};
    r->iov = several ? what : &r->own;
    r->iov_count = several ? (int)size : 1;
    SET_CALL(r, form->plain, fd, (long)what, (long)size, offset);
    if (offset >= 0 ? !seeks : seeks)
        return index_of(r); /* it does not wait for its file, or fails */
    if (offset == AT_POSITION) {
        if (size == 0 || io_nonblocking(fd))
            return index_of(r);
        r->events = form->writes ? POLLOUT : POLLIN;
        r->whole = form->writes;
        b->in_parts |= form->writes;
        SET_CALL(r, form->nowait, fd, (long)r->iov, r->iov_count, -1, -1, RWF_NOWAIT);
    }
    set_sqe(r, form->opcode, fd, what, size, (uint64_t)offset);
    return index_of(r);
}

#define READS(function, plain, opcode)                                                             \
    &(const struct form)                                                                           \
    {                                                                                              \
        function, plain, SYS_preadv2, opcode, 0                                                    \
    }
#define WRITES(function, plain, opcode)                                                            \
    &(const struct form)                                                                           \
    {                                                                                              \
        function, plain, SYS_pwritev2, opcode, 1                                                   \
    }

unsigned gil_batch_read(gil_batch *b, int fd, void *buf, size_t size)
{
    return transfer(READS("gil_batch_read", SYS_read, IORING_OP_READ), b, fd, buf, size,
                    AT_POSITION);
}

unsigned gil_batch_write(gil_batch *b, int fd, const void *buf, size_t size)
{
    return transfer(WRITES("gil_batch_write", SYS_write, IORING_OP_WRITE), b, fd, buf, size,
                    AT_POSITION);
}

unsigned gil_batch_readv(gil_batch *b, int fd, const struct iovec *iov, int count)
{
    return transfer(READS("gil_batch_readv", SYS_readv, IORING_OP_READV), b, fd, iov, (size_t)count,
                    AT_POSITION);
}

unsigned gil_batch_writev(gil_batch *b, int fd, const struct iovec *iov, int count)
{
    return transfer(WRITES("gil_batch_writev", SYS_writev, IORING_OP_WRITEV), b, fd, iov,
                    (size_t)count, AT_POSITION);
}

/* A negative offset is an error. */
static unsigned transfer_at(const struct form *form, gil_batch *b, int fd, const void *what,
                            size_t size, off_t offset)
{
    unsigned index = transfer(form, b, fd, what, size, offset < 0 ? 0 : offset);
    struct request *r = &b->requests[index];

    if (offset < 0) {
        r->args[3] = offset;
        r->sqe.opcode = IORING_OP_NOP;
    }
    return index;
}

unsigned gil_batch_pread(gil_batch *b, int fd, void *buf, size_t size, off_t offset)
{
    return transfer_at(READS("gil_batch_pread", SYS_pread64, IORING_OP_READ), b, fd, buf, size,
                       offset);
}

unsigned gil_batch_pwrite(gil_batch *b, int fd, const void *buf, size_t size, off_t offset)
{
    return transfer_at(WRITES("gil_batch_pwrite", SYS_pwrite64, IORING_OP_WRITE), b, fd, buf, size,
                       offset);
}

unsigned gil_batch_preadv(gil_batch *b, int fd, const struct iovec *iov, int count, off_t offset)
{
    return transfer_at(READS("gil_batch_preadv", SYS_preadv, IORING_OP_READV), b, fd, iov,
                       (size_t)count, offset);
}

unsigned gil_batch_pwritev(gil_batch *b, int fd, const struct iovec *iov, int count, off_t offset)
{
    return transfer_at(WRITES("gil_batch_pwritev", SYS_pwritev, IORING_OP_WRITEV), b, fd, iov,
                       (size_t)count, offset);
}

/* ---- Sockets ---- */

static bool is_stream(int fd)
{
    int type = 0;
    socklen_t size = sizeof type;
    long error = IO_NOW(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, (long)&type, (long)&size);

    return error == 0 && type == SOCK_STREAM;
}

/* The call with MSG_DONTWAIT; if it would wait, once the socket is ready, and as a request. */
static void set_flags(struct request *r, int fd, int flags, unsigned at, short events)
{
    r->args[at] = flags | MSG_DONTWAIT;
    if (flags & MSG_DONTWAIT || io_nonblocking(fd)) {
        r->sqe.opcode = IORING_OP_NOP;
        return;
    }
    r->sqe.msg_flags = (uint32_t)flags;
    r->events = events;
}

/* Waiting for a whole is for streams, and for what is taken. */
static void set_receive(struct request *r, int fd, int flags, unsigned at)
{
    if (flags & MSG_WAITALL && (flags & MSG_PEEK || !is_stream(fd)))
        flags &= ~MSG_WAITALL;
    set_flags(r, fd, flags, at, flags & MSG_OOB ? POLLPRI : POLLIN);
    r->whole = flags & MSG_WAITALL && r->events;
    r->args[at] &= ~MSG_WAITALL;
}

static void set_send(struct request *r, int fd, int flags, unsigned at)
{
    set_flags(r, fd, flags | MSG_NOSIGNAL, at, POLLOUT);
    r->whole = r->events;
    if (r->whole)
        r->sqe.msg_flags |= MSG_WAITALL;
}

static struct request *add_buffer(const char *function, gil_batch *b, long number, uint8_t opcode,
                                  int fd, const void *buf, size_t size)
{
    struct request *r = add(function, b);

    r->own = (struct iovec){(void *)buf, size};
    r->iov = &r->own;
    r->iov_count = 1;
    SET_CALL(r, number, fd, (long)buf, (long)size);
    set_sqe(r, opcode, fd, buf, size, 0);
    return r;
}

static struct request *add_message(const char *function, gil_batch *b, long number, uint8_t opcode,
                                   int fd, const struct msghdr *message)
{
    struct request *r = add(function, b);

    r->message = message;
    SET_CALL(r, number, fd, (long)message);
    set_sqe(r, opcode, fd, message, 1, 0);
    return r;
}

unsigned gil_batch_recv(gil_batch *b, int fd, void *buf, size_t size, int flags)
{
    struct request *r =
        add_buffer("gil_batch_recv", b, SYS_recvfrom, IORING_OP_RECV, fd, buf, size);

    set_receive(r, fd, flags, 3);
    return index_of(r);
}

unsigned gil_batch_send(gil_batch *b, int fd, const void *buf, size_t size, int flags)
{
    struct request *r = add_buffer("gil_batch_send", b, SYS_sendto, IORING_OP_SEND, fd, buf, size);

    set_send(r, fd, flags, 3);
    return index_of(r);
}

unsigned gil_batch_recvmsg(gil_batch *b, int fd, struct msghdr *message, int flags)
{
    struct request *r =
        add_message("gil_batch_recvmsg", b, SYS_recvmsg, IORING_OP_RECVMSG, fd, message);

    set_receive(r, fd, flags, 2);
    return index_of(r);
}

unsigned gil_batch_sendmsg(gil_batch *b, int fd, const struct msghdr *message, int flags)
{
    struct request *r =
        add_message("gil_batch_sendmsg", b, SYS_sendmsg, IORING_OP_SENDMSG, fd, message);

    set_send(r, fd, flags, 2);
    return index_of(r);
}

/* ---- Files ---- */

static unsigned add_open(const char *function, gil_batch *b, int dir, const char *path, int flags,
                         mode_t mode)
{
    struct request *r = add(function, b);
    int all = flags | O_LARGEFILE | O_NONBLOCK;

    r->opens = !(flags & O_NONBLOCK);
    SET_CALL(r, SYS_openat, dir, (long)path, all, mode);
    set_sqe(r, IORING_OP_OPENAT, dir, path, mode, 0);
    r->sqe.open_flags = (uint32_t)all;
    return index_of(r);
}

unsigned gil_batch_open(gil_batch *b, const char *path, int flags, mode_t mode)
{
    return add_open("gil_batch_open", b, AT_FDCWD, path, flags, mode);
}

unsigned gil_batch_openat(gil_batch *b, int dir, const char *path, int flags, mode_t mode)
{
    return add_open("gil_batch_openat", b, dir, path, flags, mode);
}

static unsigned add_sync(const char *function, gil_batch *b, int fd, long number, uint32_t flags)
{
    struct request *r = add(function, b);

    SET_CALL(r, number, fd);
    set_sqe(r, IORING_OP_FSYNC, fd, NULL, 0, 0);
    r->sqe.fsync_flags = flags;
    return index_of(r);
}

unsigned gil_batch_fsync(gil_batch *b, int fd)
{
    return add_sync("gil_batch_fsync", b, fd, SYS_fsync, 0);
}

unsigned gil_batch_fdatasync(gil_batch *b, int fd)
{
    return add_sync("gil_batch_fdatasync", b, fd, SYS_fdatasync, IORING_FSYNC_DATASYNC);
}

unsigned gil_batch_statx(gil_batch *b, int dir, const char *path, int flags, unsigned mask,
                         struct statx *about)
{
    struct request *r = add("gil_batch_statx", b);

    SET_CALL(r, SYS_statx, dir, (long)path, flags, mask, (long)about);
    set_sqe(r, IORING_OP_STATX, dir, path, 0, (uintptr_t)about);
    r->sqe.len = mask;
    r->sqe.statx_flags = (uint32_t)flags;
    return index_of(r);
}

/* ---- How they end ---- */

static void make_blocking(long fd)
{
    long flags = IO_NOW(SYS_fcntl, fd, F_GETFL);

    if (flags >= 0)
        IO_NOW(SYS_fcntl, fd, F_SETFL, flags & ~O_NONBLOCK);
}

void request_set_state(struct request *r, enum request_state state)
{
    gil_batch *b = r->batch;

    b->added += (state == ADDED) - (r->state == ADDED);
    b->going +=
        (state == IN_RING || state == TO_CALL) - (r->state == IN_RING || r->state == TO_CALL);
    b->to_call += (state == TO_CALL) - (r->state == TO_CALL);
    r->state = (uint8_t)state;
    if (state == ADDED && r - b->requests < b->unstarted)
        b->unstarted = (unsigned)(r - b->requests);
}

void request_list(struct request *r)
{
    gil_batch *b = r->batch;

    r->next = NULL;
    if (b->first_done)
        b->last_done->next = r;
    else
        b->first_done = r;
    b->last_done = r;
}

void request_end(struct request *r, long result)
{
    if (r->opens && result >= 0)
        make_blocking(result);
    r->result = result;
    request_set_state(r, DONE);
    request_list(r);
}

/* Makes it one for the rest of what it is to transfer. False: nothing is left. */
static bool aim_at_rest(struct request *r)
{
    const struct iovec *iov = r->message ? r->message->msg_iov : r->iov;
    int count = r->message ? (int)r->message->msg_iovlen : r->iov_count;

    if (!io_rest(iov, count, r->done, &r->rest))
        return false;
    if (r->number == SYS_pwritev2 || r->number == SYS_writev) {
        r->sqe.opcode = IORING_OP_WRITE;
        r->args[1] = (long)&r->rest;
        r->args[2] = 1;
    } else {
        bool sends = r->sqe.opcode == IORING_OP_SEND || r->sqe.opcode == IORING_OP_SENDMSG;
        int flags = (int)r->sqe.msg_flags & ~MSG_WAITALL;

        r->sqe.opcode = sends ? IORING_OP_SEND : IORING_OP_RECV;
        SET_CALL(r, sends ? SYS_sendto : SYS_recvfrom, r->sqe.fd, (long)r->rest.iov_base,
                 (long)r->rest.iov_len, flags | MSG_DONTWAIT);
    }
    set_sqe(r, r->sqe.opcode, r->sqe.fd, r->rest.iov_base, r->rest.iov_len, r->sqe.off);
    return true;
}

/* A request that a signal has come too near to is made again. */
void request_answered(struct request *r, long result)
{
    bool closed = __atomic_load_n(&r->closed, __ATOMIC_RELAXED);
    bool stops = r->batch->cancels || closed;

    if (result == -EINTR || result == -ECANCELED) {
        if (!stops) {
            request_set_state(r, ADDED);
            return;
        }
        result = closed ? -EBADF : -ECANCELED;
    }
    if (r->whole && result > 0) {
        r->done += (size_t)result;
        if (!stops && aim_at_rest(r)) {
            request_set_state(r, ADDED);
            return;
        }
    }
    request_end(r, r->done ? (long)r->done : result);
}
