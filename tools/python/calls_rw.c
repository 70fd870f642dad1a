/* The read and write family.
 *
 * Reads are tried with RWF_NOWAIT, which sockets, pipes, eventfds and the local file systems know;
 * a file that does not know it fails the try without having done anything. A regular file of which
 * only a part was in memory is read on, blocking. Writes are tried on sockets and pipes only: on a
 * regular file a try would split an append, and ext4 refuses it anyway.
 *
 * A short count is the plain call's own unless calls_rest.c says otherwise. The position lock that
 * threads sharing one open regular file have in common may be waited for in a try. */
#include "tools/python/calls_rest.h"
#include "tools/python/calls_ring.h"

#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* The largest transfers that are tried: nobody is woken for the GIL while the bytes are copied.
 * Also keeps clear of sizes that read and preadv treat differently. */
#define READ_TRY_MAX  ((size_t)1 << 20)
#define WRITE_TRY_MAX ((size_t)1 << 16)

ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void *, size_t, off64_t, size_t);

/* After a failed try: is its error the result of the plain call too? EAGAIN is, on a pipe or socket
 * with O_NONBLOCK (a regular file has it for "not in memory"); the others here say that the
 * file or the kernel cannot be tried, or come again without harm. */
static bool final_error(int fd)
{
    int error = errno;
    if (error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == EPERM)
        return false;
    if (error != EAGAIN)
        return true;
    struct stat64 about;
    bool final = py_nonblocking(fd) && !fstat64(fd, &about) &&
                 (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
    errno = error;
    return final;
}

enum outcome { FINISHED, PARTIAL, PLAIN };

/* Tries a read. offset -1: at the file's position. *got is the result when FINISHED, otherwise the
 * release is complete, and *got has been read when PARTIAL. */
static enum outcome try_read(int fd, const struct iovec *iov, int count, off64_t offset, int flags,
                             ssize_t *got)
{
    if (py_low_water_used && py_waits_for_more(fd)) {
        py_call_blocks(false);
        return PLAIN;
    }
    int saved_errno = errno;
    *got = PY_TRY(REAL(preadv64v2)(fd, iov, count, offset, flags | RWF_NOWAIT));
    if (*got < 0 ? final_error(fd)
                 : (size_t)*got == py_iov_bytes(iov, count) || !py_more_to_read(fd, *got, offset)) {
        py_call_done();
        return FINISHED;
    }
    py_after_try(saved_errno);
    return *got < 0 ? PLAIN : PARTIAL;
}

static enum outcome try_write(int fd, const struct iovec *iov, int count, int flags, ssize_t *put)
{
    int saved_errno = errno;
    if (lseek64(fd, 0, SEEK_CUR) != -1 || errno != ESPIPE) {
        py_after_try(saved_errno);
        return PLAIN;
    }
    errno = saved_errno;
    *put = PY_TRY(REAL(pwritev64v2)(fd, iov, count, -1, flags | RWF_NOWAIT));
    if (*put < 0 ? final_error(fd)
                 : (size_t)*put == py_iov_bytes(iov, count) || py_nonblocking(fd)) {
        py_call_done();
        return FINISHED;
    }
    py_after_try(saved_errno);
    return *put < 0 ? PLAIN : PARTIAL;
}

PY_BY_RING static ssize_t read_by_ring(int fd, void *buf, size_t size)
{
    ssize_t got;

    if (py_ring_call(IORING_OP_READ, fd, buf, size, UINT64_MAX, 0, &got))
        return got;
    return REAL(read)(fd, buf, size);
}

/* Waits, if it has to, with the release complete. */
static ssize_t read_blocking(int fd, void *buf, size_t size)
{
    return PY_RINGS ? read_by_ring(fd, buf, size) : REAL(read)(fd, buf, size);
}

/* One buffer, while a deferral is pending. A size of 0 is left to the plain call: some files look
 * at it where preadv does not even ask them. */
static ssize_t read_deferred(int fd, void *buf, size_t size)
{
    struct iovec iov = {buf, size};
    ssize_t got;
    enum outcome outcome = PLAIN;
    if (size == 0 || size > READ_TRY_MAX)
        py_call_blocks(false);
    else
        outcome = try_read(fd, &iov, 1, -1, 0, &got);
    if (outcome == PLAIN)
        return read_blocking(fd, buf, size);
    return outcome == FINISHED ? got : py_read_rest(fd, &iov, 1, got, -1);
}

static ssize_t pread_deferred(int fd, void *buf, size_t size, off64_t offset)
{
    struct iovec iov = {buf, size};
    ssize_t got;
    enum outcome outcome = PLAIN;
    if (size == 0 || size > READ_TRY_MAX || offset < 0)
        py_call_blocks(false);
    else
        outcome = try_read(fd, &iov, 1, offset, 0, &got);
    if (outcome == PLAIN)
        return REAL(pread64)(fd, buf, size, offset);
    return outcome == FINISHED ? got : py_read_rest(fd, &iov, 1, got, offset);
}

static ssize_t write_deferred(int fd, const void *buf, size_t size)
{
    struct iovec iov = {(void *)buf, size};
    ssize_t put;
    enum outcome outcome = PLAIN;
    if (size == 0 || size > WRITE_TRY_MAX)
        py_call_blocks(false);
    else
        outcome = try_write(fd, &iov, 1, 0, &put);
    if (outcome == PLAIN)
        return REAL(write)(fd, buf, size);
    return outcome == FINISHED ? put : py_write_rest(fd, &iov, 1, put);
}

PY_WRAPPER ssize_t read(int fd, void *buf, size_t size)
{
    return py_deferred() ? read_deferred(fd, buf, size) : read_blocking(fd, buf, size);
}

PY_WRAPPER ssize_t __read_chk(int fd, void *buf, size_t size, size_t room)
{
    return py_deferred() && size <= room ? read_deferred(fd, buf, size)
                                         : REAL(__read_chk)(fd, buf, size, room);
}

PY_WRAPPER ssize_t pread64(int fd, void *buf, size_t size, off64_t offset)
{
    return py_deferred() ? pread_deferred(fd, buf, size, offset)
                         : REAL(pread64)(fd, buf, size, offset);
}

PY_WRAPPER ssize_t pread(int fd, void *buf, size_t size, off_t offset)
{
    return py_deferred() ? pread_deferred(fd, buf, size, offset)
                         : REAL(pread)(fd, buf, size, offset);
}

PY_WRAPPER ssize_t __pread64_chk(int fd, void *buf, size_t size, off64_t offset, size_t room)
{
    return py_deferred() && size <= room ? pread_deferred(fd, buf, size, offset)
                                         : REAL(__pread64_chk)(fd, buf, size, offset, room);
}

PY_WRAPPER ssize_t __pread_chk(int fd, void *buf, size_t size, off_t offset, size_t room)
{
    return py_deferred() && size <= room ? pread_deferred(fd, buf, size, offset)
                                         : REAL(__pread_chk)(fd, buf, size, offset, room);
}

PY_WRAPPER ssize_t readv(int fd, const struct iovec *iov, int count)
{
    ssize_t got;
    enum outcome outcome = py_deferred() ? try_read(fd, iov, count, -1, 0, &got) : PLAIN;
    if (outcome == PLAIN)
        return REAL(readv)(fd, iov, count);
    return outcome == FINISHED ? got : py_read_rest(fd, iov, count, got, -1);
}

/* A negative offset is an error for preadv, but the file's position for preadv2. */
static ssize_t preadv_deferred(int fd, const struct iovec *iov, int count, off64_t offset)
{
    ssize_t got;
    enum outcome outcome = PLAIN;
    if (offset < 0)
        py_call_blocks(false);
    else
        outcome = try_read(fd, iov, count, offset, 0, &got);
    if (outcome == PLAIN)
        return REAL(preadv64)(fd, iov, count, offset);
    return outcome == FINISHED ? got : py_read_rest(fd, iov, count, got, offset);
}

PY_WRAPPER ssize_t preadv64(int fd, const struct iovec *iov, int count, off64_t offset)
{
    return py_deferred() ? preadv_deferred(fd, iov, count, offset)
                         : REAL(preadv64)(fd, iov, count, offset);
}

PY_WRAPPER ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
    return py_deferred() ? preadv_deferred(fd, iov, count, offset)
                         : REAL(preadv)(fd, iov, count, offset);
}

static ssize_t preadv2_deferred(int fd, const struct iovec *iov, int count, off64_t offset,
                                int flags)
{
    ssize_t got;
    if (flags & RWF_NOWAIT)
        return PY_DONE(PY_TRY(REAL(preadv64v2)(fd, iov, count, offset, flags)));
    enum outcome outcome = try_read(fd, iov, count, offset, flags, &got);
    if (outcome == PLAIN)
        return REAL(preadv64v2)(fd, iov, count, offset, flags);
    return outcome == FINISHED ? got : py_read_rest(fd, iov, count, got, offset);
}

PY_WRAPPER ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags)
{
    return py_deferred() ? preadv2_deferred(fd, iov, count, offset, flags)
                         : REAL(preadv64v2)(fd, iov, count, offset, flags);
}

PY_WRAPPER ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    return py_deferred() ? preadv2_deferred(fd, iov, count, offset, flags)
                         : REAL(preadv2)(fd, iov, count, offset, flags);
}

PY_WRAPPER ssize_t write(int fd, const void *buf, size_t size)
{
    return py_deferred() ? write_deferred(fd, buf, size) : REAL(write)(fd, buf, size);
}

PY_WRAPPER ssize_t writev(int fd, const struct iovec *iov, int count)
{
    ssize_t put;
    enum outcome outcome = py_deferred() ? try_write(fd, iov, count, 0, &put) : PLAIN;
    if (outcome == PLAIN)
        return REAL(writev)(fd, iov, count);
    return outcome == FINISHED ? put : py_write_rest(fd, iov, count, put);
}

/* Only files with positions take these, and on such files writes are not tried. */
PY_BLOCKS(ssize_t, pwrite, (int fd, const void *buf, size_t size, off_t offset),
          (fd, buf, size, offset))
PY_BLOCKS(ssize_t, pwrite64, (int fd, const void *buf, size_t size, off64_t offset),
          (fd, buf, size, offset))
PY_BLOCKS(ssize_t, pwritev, (int fd, const struct iovec *iov, int count, off_t offset),
          (fd, iov, count, offset))
PY_BLOCKS(ssize_t, pwritev64, (int fd, const struct iovec *iov, int count, off64_t offset),
          (fd, iov, count, offset))
PY_BLOCKS(ssize_t, pwritev2, (int fd, const struct iovec *iov, int count, off_t offset, int flags),
          (fd, iov, count, offset, flags))
PY_BLOCKS(ssize_t, pwritev64v2,
          (int fd, const struct iovec *iov, int count, off64_t offset, int flags),
          (fd, iov, count, offset, flags))

/* As libc has them: a read or write of eight bytes, of which anything else is a failure. */
PY_WRAPPER int eventfd_read(int fd, eventfd_t *value)
{
    if (!py_deferred())
        return REAL(eventfd_read)(fd, value);
    return read_deferred(fd, value, sizeof *value) == sizeof *value ? 0 : -1;
}

PY_WRAPPER int eventfd_write(int fd, eventfd_t value)
{
    if (!py_deferred())
        return REAL(eventfd_write)(fd, value);
    return write_deferred(fd, &value, sizeof value) == sizeof value ? 0 : -1;
}
