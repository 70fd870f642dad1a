/* Finishing a transfer of which a try did a part: see calls_rest.c. The deferred release must have
 * been completed before each function that moves something. */
#ifndef GIL_PYTHON_CALLS_REST_H
#define GIL_PYTHON_CALLS_REST_H

#include "tools/python/calls_try.h"

#include <sys/types.h>
#include <sys/uio.h>

struct py_rest {
    int fd;
    int flags;      /* sockets: the caller's MSG_ flags */
    ssize_t done;   /* bytes moved so far */
    off64_t offset; /* reads: of the first byte of all, -1: the file's own position */
};

/* The bytes that the buffers hold. Only after a call that has read them: an application may pass
 * what it likes, and gets EFAULT for it. */
size_t py_iov_bytes(const struct iovec *iov, int count);

/* Each returns the whole count, `done` included, and keeps errno. */
ssize_t py_send_rest(int fd, const struct iovec *iov, int count, ssize_t done, int flags);
ssize_t py_write_rest(int fd, const struct iovec *iov, int count, ssize_t done);
ssize_t py_read_rest(int fd, const struct iovec *iov, int count, ssize_t done, off64_t offset);

/* After a short read: would a plain read have gone on? True inside regular files and block devices
 * only. Does not block. */
bool py_more_to_read(int fd, ssize_t done, off64_t offset);

#endif
