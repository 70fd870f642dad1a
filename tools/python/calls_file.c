/* Opening, locking, syncing and copying files, terminals, random numbers.
 *
 * Most of these have no form that cannot block, and are made after the release is complete. flock
 * and getrandom have one. fcntl and ioctl are looked at by what they ask for. */
#include "tools/python/calls_try.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <termios.h>
#include <unistd.h>

int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);
char *__fgets_chk(char *, size_t, int, FILE *);

/* Opening waits for the other end of a FIFO, for a device, or for a network. The mode is there only
 * with some flags, but reading an argument that is not there is harmless on this machine, and
 * libc does the same. */
#define MODE_ARGUMENT(last)                                                                        \
    ({                                                                                             \
        va_list list_;                                                                             \
        va_start(list_, last);                                                                     \
        mode_t mode_ = va_arg(list_, mode_t);                                                      \
        va_end(list_);                                                                             \
        mode_;                                                                                     \
    })

PY_BLOCKS(int, open, (const char *path, int flags, ...), (path, flags, MODE_ARGUMENT(flags)))
PY_BLOCKS(int, open64, (const char *path, int flags, ...), (path, flags, MODE_ARGUMENT(flags)))
PY_BLOCKS(int, openat, (int dir, const char *path, int flags, ...),
          (dir, path, flags, MODE_ARGUMENT(flags)))
PY_BLOCKS(int, openat64, (int dir, const char *path, int flags, ...),
          (dir, path, flags, MODE_ARGUMENT(flags)))
PY_BLOCKS(int, __open_2, (const char *path, int flags), (path, flags))
PY_BLOCKS(int, __open64_2, (const char *path, int flags), (path, flags))
PY_BLOCKS(int, __openat_2, (int dir, const char *path, int flags), (dir, path, flags))
PY_BLOCKS(int, __openat64_2, (int dir, const char *path, int flags), (dir, path, flags))
PY_BLOCKS(int, creat, (const char *path, mode_t mode), (path, mode))
PY_BLOCKS(int, creat64, (const char *path, mode_t mode), (path, mode))
PY_BLOCKS(FILE *, fopen, (const char *path, const char *mode), (path, mode))
PY_BLOCKS(FILE *, fopen64, (const char *path, const char *mode), (path, mode))

PY_BLOCKS(int, fsync, (int fd), (fd))
PY_BLOCKS(int, fdatasync, (int fd), (fd))
PY_BLOCKS(int, syncfs, (int fd), (fd))
PY_BLOCKS(void, sync, (void), ())
PY_BLOCKS(int, sync_file_range, (int fd, off64_t offset, off64_t size, unsigned flags),
          (fd, offset, size, flags))
PY_BLOCKS(int, msync, (void *start, size_t size, int flags), (start, size, flags))
PY_BLOCKS(int, posix_fallocate, (int fd, off_t offset, off_t size), (fd, offset, size))
PY_BLOCKS(int, posix_fallocate64, (int fd, off64_t offset, off64_t size), (fd, offset, size))
PY_BLOCKS(int, fallocate, (int fd, int mode, off_t offset, off_t size), (fd, mode, offset, size))
PY_BLOCKS(int, fallocate64, (int fd, int mode, off64_t offset, off64_t size),
          (fd, mode, offset, size))
PY_BLOCKS(int, posix_fadvise, (int fd, off_t offset, off_t size, int advice),
          (fd, offset, size, advice))
PY_BLOCKS(int, posix_fadvise64, (int fd, off64_t offset, off64_t size, int advice),
          (fd, offset, size, advice))

PY_BLOCKS(ssize_t, sendfile, (int out, int in, off_t *offset, size_t size), (out, in, offset, size))
PY_BLOCKS(ssize_t, sendfile64, (int out, int in, off64_t *offset, size_t size),
          (out, in, offset, size))
PY_BLOCKS(ssize_t, splice,
          (int in, off64_t *in_offset, int out, off64_t *out_offset, size_t size, unsigned flags),
          (in, in_offset, out, out_offset, size, flags))
PY_BLOCKS(ssize_t, tee, (int in, int out, size_t size, unsigned flags), (in, out, size, flags))
PY_BLOCKS(ssize_t, vmsplice, (int fd, const struct iovec *iov, size_t count, unsigned flags),
          (fd, iov, count, flags))
PY_BLOCKS(ssize_t, copy_file_range,
          (int in, off64_t *in_offset, int out, off64_t *out_offset, size_t size, unsigned flags),
          (in, in_offset, out, out_offset, size, flags))

PY_BLOCKS(int, lockf, (int fd, int command, off_t size), (fd, command, size))
PY_BLOCKS(int, lockf64, (int fd, int command, off64_t size), (fd, command, size))

/* Terminals: until the output has left, or for the time of a break. */
PY_BLOCKS(int, tcdrain, (int fd), (fd))
PY_BLOCKS(int, tcsendbreak, (int fd, int duration), (fd, duration))
PY_BLOCKS(int, tcsetattr, (int fd, int when, const struct termios *settings), (fd, when, settings))

/* The prompt of the interpreter waits in these. */
PY_BLOCKS(char *, fgets, (char *line, int size, FILE *file), (line, size, file))
PY_BLOCKS(char *, __fgets_chk, (char *line, size_t room, int size, FILE *file),
          (line, room, size, file))

static int flock_deferred(int fd, int operation)
{
    int saved_errno = errno;
    int result = PY_TRY(REAL(flock)(fd, operation | LOCK_NB));
    if (result == 0 || errno != EWOULDBLOCK || (operation & LOCK_NB))
        return PY_DONE(result);
    py_after_try(saved_errno);
    return REAL(flock)(fd, operation);
}

PY_WRAPPER int flock(int fd, int operation)
{
    return py_deferred() ? flock_deferred(fd, operation) : REAL(flock)(fd, operation);
}

/* Up to 256 bytes come in one piece whatever happens; more can take long. */
static ssize_t getrandom_deferred(void *buf, size_t size, unsigned flags)
{
    if (size > 256) {
        py_call_blocks(false);
        return REAL(getrandom)(buf, size, flags);
    }
    int saved_errno = errno;
    ssize_t got = PY_TRY(REAL(getrandom)(buf, size, flags | GRND_NONBLOCK));
    if (got >= 0 || errno != EAGAIN || (flags & GRND_NONBLOCK))
        return PY_DONE(got);
    py_after_try(saved_errno);
    return REAL(getrandom)(buf, size, flags);
}

PY_WRAPPER ssize_t getrandom(void *buf, size_t size, unsigned flags)
{
    return py_deferred() ? getrandom_deferred(buf, size, flags) : REAL(getrandom)(buf, size, flags);
}

static bool fcntl_may_block(int command)
{
    return command == F_SETLKW || command == F_OFD_SETLKW || command == F_SETLEASE;
}

/* The third argument is a pointer or a number; as a pointer it passes through whole. */
#define FCNTL_WRAPPER(name)                                                                        \
    PY_WRAPPER int name(int fd, int command, ...)                                                  \
    {                                                                                              \
        va_list list;                                                                              \
        va_start(list, command);                                                                   \
        void *argument = va_arg(list, void *);                                                     \
        va_end(list);                                                                              \
        if (py_deferred() && fcntl_may_block(command))                                             \
            py_call_blocks(false);                                                                 \
        return REAL(name)(fd, command, argument);                                                  \
    }

FCNTL_WRAPPER(fcntl)
FCNTL_WRAPPER(fcntl64)

/* Requests that only set or look at a value in memory. Any other may be a driver's, and wait. */
static bool ioctl_may_block(unsigned long request)
{
    switch (request) {
    case FIONBIO:
    case FIOASYNC:
    case FIOCLEX:
    case FIONCLEX:
    case FIONREAD:
    case TIOCOUTQ:
    case TCGETS:
    case TIOCGWINSZ:
    case TIOCSWINSZ:
    case TIOCGPGRP:
    case TIOCGSID:
    case TIOCGPTN:
        return false;
    default:
        return true;
    }
}

PY_WRAPPER int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (py_deferred() && ioctl_may_block(request))
        py_call_blocks(false);
    return REAL(ioctl)(fd, request, argument);
}
