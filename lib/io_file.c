/* Opening, syncing and other calls about files. See include/gil/io.h.
 *
 * They are system calls: a ring would hand each of them to a kernel thread, which costs more than
 * the call itself, and waits no less; and a request to open a FIFO does not wait for its other end.
 * They cannot be tried. */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include <fcntl.h>
#include <stdarg.h>

static long call(const char *function, int fd, int64_t timeout_ns, long number, const long args[6])
{
    struct io_call c = {
        .function = function, .ts = need_to_run(function), .user.fd = fd, .number = number};

    for (int i = 0; i < 6; i++)
        c.args[i] = args[i];
    return io_wait(&c, timeout_ns);
}

#define CALL(function, fd, timeout_ns, number, ...)                                                \
    call(function, fd, timeout_ns, number, (const long[6]){__VA_ARGS__})

enum { NO_FILE = -1 }; /* that the call waits for */

/* ---- Opening ---- */

/* The mode is there only with some flags, but reading an argument that is not there is harmless on
 * the processors that there are, and the kernel looks at it only with these. */
#define MODE_ARGUMENT(last)                                                                        \
    ({                                                                                             \
        va_list list_;                                                                             \
        va_start(list_, last);                                                                     \
        mode_t mode_ = va_arg(list_, mode_t);                                                      \
        va_end(list_);                                                                             \
        mode_;                                                                                     \
    })

static int open_for(const char *function, int dir, const char *path, int flags, mode_t mode,
                    int64_t timeout_ns)
{
    return (int)CALL(function, NO_FILE, timeout_ns, SYS_openat, dir, (long)path,
                     flags | O_LARGEFILE, mode);
}

int gil_open(const char *path, int flags, ...)
{
    return open_for("gil_open", AT_FDCWD, path, flags, MODE_ARGUMENT(flags), -1);
}

int gil_openat(int dir, const char *path, int flags, ...)
{
    return open_for("gil_openat", dir, path, flags, MODE_ARGUMENT(flags), -1);
}

int gil_open_for(const char *path, int flags, mode_t mode, int64_t timeout_ns)
{
    return open_for("gil_open", AT_FDCWD, path, flags, mode, timeout_ns);
}

int gil_openat_for(int dir, const char *path, int flags, mode_t mode, int64_t timeout_ns)
{
    return open_for("gil_openat", dir, path, flags, mode, timeout_ns);
}

/* ---- About files ---- */

int gil_fsync(int fd)
{
    return (int)CALL("gil_fsync", fd, -1, SYS_fsync, fd);
}

int gil_fdatasync(int fd)
{
    return (int)CALL("gil_fdatasync", fd, -1, SYS_fdatasync, fd);
}

int gil_statx(int dir, const char *path, int flags, unsigned mask, struct statx *about)
{
    return (int)CALL("gil_statx", NO_FILE, -1, SYS_statx, dir, (long)path, flags, mask,
                     (long)about);
}

int gil_fallocate(int fd, int mode, off_t offset, off_t size)
{
    return (int)CALL("gil_fallocate", fd, -1, SYS_fallocate, fd, mode, offset, size);
}

int gil_unlinkat(int dir, const char *path, int flags)
{
    return (int)CALL("gil_unlinkat", NO_FILE, -1, SYS_unlinkat, dir, (long)path, flags);
}

int gil_renameat(int old_dir, const char *old_path, int new_dir, const char *new_path)
{
    return (int)CALL("gil_renameat", NO_FILE, -1, SYS_renameat2, old_dir, (long)old_path, new_dir,
                     (long)new_path, 0);
}

int gil_mkdirat(int dir, const char *path, mode_t mode)
{
    return (int)CALL("gil_mkdirat", NO_FILE, -1, SYS_mkdirat, dir, (long)path, mode);
}

/* ---- From one to another ---- */

static ssize_t between(const char *function, int in, int out, int64_t timeout_ns, long number,
                       const long args[6])
{
    const struct pollfd files[] = {{.fd = in}, {.fd = out}};
    struct io_call c = {
        .function = function,
        .ts = need_to_run(function),
        .user = {.fd = NO_FILE, .fds = files, .count = 2},
        .number = number,
    };

    for (int i = 0; i < 6; i++)
        c.args[i] = args[i];
    return io_wait(&c, timeout_ns);
}

#define BETWEEN(function, in, out, timeout_ns, number, ...)                                        \
    between(function, in, out, timeout_ns, number, (const long[6]){__VA_ARGS__})

ssize_t gil_splice_for(int in, off_t *in_offset, int out, off_t *out_offset, size_t size,
                       unsigned flags, int64_t timeout_ns)
{
    return BETWEEN("gil_splice", in, out, timeout_ns, SYS_splice, in, (long)in_offset, out,
                   (long)out_offset, (long)size, flags);
}

ssize_t gil_splice(int in, off_t *in_offset, int out, off_t *out_offset, size_t size,
                   unsigned flags)
{
    return gil_splice_for(in, in_offset, out, out_offset, size, flags, -1);
}

ssize_t gil_sendfile_for(int out, int in, off_t *offset, size_t size, int64_t timeout_ns)
{
    return BETWEEN("gil_sendfile", in, out, timeout_ns, SYS_sendfile, out, in, (long)offset,
                   (long)size);
}

ssize_t gil_sendfile(int out, int in, off_t *offset, size_t size)
{
    return gil_sendfile_for(out, in, offset, size, -1);
}
