/* Whether io_uring is used, and if not, why. See include/gil/io.h. */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSCTL "/proc/sys/kernel/io_uring_disabled"

/* 2 forbids io_uring to all, 1 to those without a privilege. */
static bool sysctl_forbids(void)
{
    char value = '0';
    int fd = open(SYSCTL, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    if (read(fd, &value, 1) < 0)
        value = '0';
    close(fd);
    return value != '0';
}

static gil_io_reason reason_of(int error)
{
    switch (error) {
    case ENOSYS:
        return GIL_IO_UNKNOWN;
    case EINVAL:
        return GIL_IO_OLD;
    case EPERM:
        return sysctl_forbids() ? GIL_IO_DISABLED : GIL_IO_FORBIDDEN;
    case EACCES:
        return GIL_IO_FORBIDDEN;
    case ENOMEM:
    case EAGAIN:
        return GIL_IO_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return GIL_IO_NO_FILES;
    default:
        return GIL_IO_FAILED;
    }
}

/* A value that is none is said once, and taken as if it were not there. */
static bool is_requested_otherwise(void)
{
    const char *value = secure_getenv("GIL_IO");

    if (!value || strcmp(value, "auto") == 0 || strcmp(value, "uring") == 0)
        return false;
    if (strcmp(value, "syscall") == 0)
        return true;
    fprintf(stderr, "libgil: GIL_IO is '%s', and none of auto, uring, syscall: auto is used\n",
            value);
    return false;
}

/* By making the ring that the thread will use: the end of a ring disturbs its thread (ring.h). */
static gil_io_reason try_once(void)
{
    int error;

    if (is_requested_otherwise())
        return GIL_IO_BY_REQUEST;
    error = io_make_ring();
    return error ? reason_of(-error) : GIL_IO_URING;
}

gil_io_reason gil_io_status(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static int known = -1;
    int saved = errno, reason = __atomic_load_n(&known, __ATOMIC_ACQUIRE);

    if (reason < 0) {
        pthread_mutex_lock(&mutex);
        if (known < 0)
            __atomic_store_n(&known, (int)try_once(), __ATOMIC_RELEASE);
        reason = known;
        pthread_mutex_unlock(&mutex);
        errno = saved;
    }
    return (gil_io_reason)reason;
}

/* After a limit was reached once, threads may have more luck. */
bool io_uses_rings(void)
{
    gil_io_reason reason = gil_io_status();

    return reason == GIL_IO_URING || reason == GIL_IO_NO_MEMORY || reason == GIL_IO_NO_FILES;
}

const char *gil_io_reason_text(gil_io_reason reason)
{
    switch (reason) {
    case GIL_IO_URING:
        return "io_uring is used";
    case GIL_IO_BY_REQUEST:
        return "GIL_IO=syscall asks for plain system calls";
    case GIL_IO_UNKNOWN:
        return "this kernel has no io_uring, or a seccomp filter hides it";
    case GIL_IO_OLD:
        return "this kernel's io_uring is too old: Linux 6.1 or later is needed";
    case GIL_IO_DISABLED:
        return "the sysctl kernel.io_uring_disabled forbids io_uring";
    case GIL_IO_FORBIDDEN:
        return "a seccomp filter or a security module forbids io_uring";
    case GIL_IO_NO_MEMORY:
        return "no memory for a ring, or not as much as may be locked (ulimit -l)";
    case GIL_IO_NO_FILES:
        return "no file can be opened for a ring (ulimit -n)";
    case GIL_IO_FAILED:
        break;
    }
    return "io_uring could not be set up";
}
