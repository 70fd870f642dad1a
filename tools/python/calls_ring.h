/* gil run --io=uring: a wrapper that is going to block may wait on an io_uring of its thread's own
 * instead of in libc's function.
 *
 * The functions of libc that block are cancellation points, and a thread that waits on a ring cannot
 * be cancelled: so a ring is used only where the thread has cancellation off. Any signal ends such
 * a call with EINTR, which CPython answers by running the signal's handler and calling again. */
#ifndef GIL_PYTHON_CALLS_RING_H
#define GIL_PYTHON_CALLS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Set by py_rings_start() only. A wrapper that asks keeps the ring's part in a function of its own,
 * PY_BY_RING, so that without rings the plain call stays its last act, a jump. */
extern bool py_rings;

#define PY_RINGS (__builtin_expect(py_rings, 0))
#define PY_BY_RING __attribute__((noinline, cold))

void py_rings_start(void);

/* One call: `what` and `size` are its buffer, or its message and 1; `extra` is the request's `off`
 * member, and `flags` are the call's. Returns true with its result and errno, or false: it is to be
 * made by libc's function. A deferred release must have been completed. */
bool py_ring_call(uint8_t opcode, int fd, const void *what, size_t size, uint64_t extra, int flags,
                  ssize_t *result);

#endif
