/* What the wrappers of calls_*.c share: how a call is tried while a deferral is pending.
 *
 * Included first of all, since it says which names of libc the headers declare: the wrappers are
 * defined under both the plain and the 64-suffixed names, without the checking inline functions of
 * a fortified build.
 *
 * Invariant: a thread that is cancelled or calls pthread_exit in the middle of a try leaves no
 * deferral behind. */
#ifndef GIL_PYTHON_CALLS_TRY_H
#define GIL_PYTHON_CALLS_TRY_H

#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>

#include "tools/python/calls.h"

static inline void py_try_unwound(const bool *trying)
{
    if (*trying)
        py_call_blocks(true);
}

/* Evaluates a call that cannot block. Should the thread end in it, the release is completed. */
#define PY_TRY(call)                                                                               \
    ({                                                                                             \
        bool trying_ __attribute__((cleanup(py_try_unwound))) = true;                              \
        __typeof__(call) result_ = (call);                                                         \
        trying_ = false;                                                                           \
        result_;                                                                                   \
    })

/* Before the plain call, after a try that said "not now": as if there had been no try. */
static inline void py_after_try(int saved_errno)
{
    errno = saved_errno;
    py_call_blocks(true);
}

/* The result of a call that ended without blocking, on its way to the caller. */
#define PY_DONE(result)                                                                            \
    ({                                                                                             \
        py_call_done();                                                                            \
        (result);                                                                                  \
    })

/* Do calls on this open file return EAGAIN instead of blocking? */
static inline bool py_nonblocking(int fd)
{
    int saved_errno = errno;
    int flags = REAL(fcntl64)(fd, F_GETFL);
    errno = saved_errno;
    return flags != -1 && (flags & O_NONBLOCK);
}

/* Defines the wrapper of a call that may block for long and cannot be tried. */
#define PY_BLOCKS(type, name, parameters, arguments)                                               \
    PY_WRAPPER type name parameters                                                                \
    {                                                                                              \
        if (py_deferred())                                                                         \
            py_call_blocks(false);                                                                 \
        return REAL(name) arguments;                                                               \
    }

/* Set once anybody has given a socket a receive low-water mark (calls_socket.c): only then must a
 * try ask for it. */
extern bool py_low_water_used;

/* Would a plain receive on this socket wait for more than its first byte? */
bool py_waits_for_more(int fd);

#endif
