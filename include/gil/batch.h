/* Batches: many reads, writes and other requests that are made at once, and waited for together.
 *
 * A batch has room for as many requests as it was made for. Each request that is added gets an
 * index, 0, 1, 2 and so on, by which its result is known. Adding starts nothing: gil_batch_submit()
 * starts what was added since, and so does every wait. They are done at the same time, and in any
 * order. Where io_uring is used (gil_io_status()), one system call starts and awaits them all;
 * elsewhere they are plain system calls, which are made in the waits. Results are the same.
 *
 * What a request points to (buffers, names, what is to be filled in) stays in place until it is
 * done; then it is not touched any more. A request is done when its result is there: a wait says
 * so, or gil_batch_cancel(), after which all are.
 *
 * A request is the call of io.h of the same name, with these differences.
 * - Nothing is tried with the lock held.
 * - read and write are for pipes, sockets, terminals and the like. At the position of a regular file
 *   they are made in the waits, one after another: use pread and pwrite.
 * - O_NONBLOCK is looked at when the request is added.
 * - Time limits of a socket's own (SO_RCVTIMEO, SO_SNDTIMEO) do not count.
 * - send does not raise SIGPIPE.
 * - open does not wait for the other end of a FIFO, as if with O_NONBLOCK; the file has that flag
 *   only if it was asked for.
 *
 * Every function is called by a thread that holds the interpreter lock, with a thread state: as in
 * io.h, anything else is misuse. The waits and gil_batch_cancel() give it up while they wait; the
 * others keep it. While requests of a batch are going on, only the thread that has started them
 * uses the batch, and it does not end; otherwise, any thread may. That too is misuse if it is not
 * so, and so is adding to a full batch, an index that no request has, and clearing or destroying a
 * batch whose requests are going on. A batch allocates memory when it is made, and never again.
 *
 * gil_close() of a file ends the requests for it that were started with EBADF, and those that were
 * added while others of their batch were going on; what a request has transferred by then is its
 * result instead.
 *
 * In a forked child, requests that were going on are the parent's: their result is ECANCELED, and
 * their buffers are not touched.
 *
 * None of these functions may be called from a signal handler, and none is a cancellation point. */
#ifndef GIL_BATCH_H
#define GIL_BATCH_H

#include <gil/io.h>

GIL_BEGIN_DECLS

typedef struct gil_batch gil_batch;

#define GIL_BATCH_MAX 32768

/* A batch with room for so many requests, GIL_BATCH_MAX at most. NULL with errno EINVAL or ENOMEM. */
GIL_API gil_batch *gil_batch_create(unsigned bound);

/* NULL: nothing happens. Requests that were not started are forgotten. */
GIL_API void gil_batch_destroy(gil_batch *batch);

/* Empties the batch: the next request has index 0 again. */
GIL_API void gil_batch_clear(gil_batch *batch);

/* ---- Adding requests: each returns the request's index ---- */

GIL_API unsigned gil_batch_read(gil_batch *batch, int fd, void *buf, size_t size);
GIL_API unsigned gil_batch_write(gil_batch *batch, int fd, const void *buf, size_t size);
GIL_API unsigned gil_batch_readv(gil_batch *batch, int fd, const struct iovec *iov, int count);
GIL_API unsigned gil_batch_writev(gil_batch *batch, int fd, const struct iovec *iov, int count);
GIL_API unsigned gil_batch_pread(gil_batch *batch, int fd, void *buf, size_t size, off_t offset);
GIL_API unsigned gil_batch_pwrite(gil_batch *batch, int fd, const void *buf, size_t size,
                                  off_t offset);
GIL_API unsigned gil_batch_preadv(gil_batch *batch, int fd, const struct iovec *iov, int count,
                                  off_t offset);
GIL_API unsigned gil_batch_pwritev(gil_batch *batch, int fd, const struct iovec *iov, int count,
                                   off_t offset);

GIL_API unsigned gil_batch_recv(gil_batch *batch, int fd, void *buf, size_t size, int flags);
GIL_API unsigned gil_batch_send(gil_batch *batch, int fd, const void *buf, size_t size, int flags);
GIL_API unsigned gil_batch_recvmsg(gil_batch *batch, int fd, struct msghdr *message, int flags);
GIL_API unsigned gil_batch_sendmsg(gil_batch *batch, int fd, const struct msghdr *message,
                                   int flags);

/* mode counts with O_CREAT and O_TMPFILE only. */
GIL_API unsigned gil_batch_open(gil_batch *batch, const char *path, int flags, mode_t mode);
GIL_API unsigned gil_batch_openat(gil_batch *batch, int dir, const char *path, int flags,
                                  mode_t mode);
GIL_API unsigned gil_batch_fsync(gil_batch *batch, int fd);
GIL_API unsigned gil_batch_fdatasync(gil_batch *batch, int fd);
GIL_API unsigned gil_batch_statx(gil_batch *batch, int dir, const char *path, int flags,
                                 unsigned mask, struct statx *about);

/* ---- Waiting ---- */

/* Starts what was added, with the lock held: data that is in memory already is copied meanwhile.
 * Not needed before a wait. */
GIL_API void gil_batch_submit(gil_batch *batch);

/* Waits until all requests are done. Returns 0, or -1 with errno EINTR as in io.h, or ETIMEDOUT when
 * timeout_ns nanoseconds have passed (CLOCK_MONOTONIC; -1: no limit; 0: what is done at once).
 * After -1 the requests go on, and may be waited for again. */
GIL_API int gil_batch_wait_all(gil_batch *batch);
GIL_API int gil_batch_wait_all_for(gil_batch *batch, int64_t timeout_ns);

/* Waits until any request is done that no call of these two has returned yet, and returns its
 * index, in the order in which they were done; or -1 with errno as above, or ENOENT: there is none
 * left. */
GIL_API int gil_batch_wait_any(gil_batch *batch);
GIL_API int gil_batch_wait_any_for(gil_batch *batch, int64_t timeout_ns);

/* Calls off all requests that are not done, and waits until they are, however long: reading a disk
 * cannot be called off. Those that have come to nothing then have the result ECANCELED, the others
 * what they have done. Returns how many have that result for it. */
GIL_API int gil_batch_cancel(gil_batch *batch);

/* What the request has returned, or -1 with its errno; EINPROGRESS: it is not done. */
GIL_API ssize_t gil_batch_result(gil_batch *batch, unsigned index);

GIL_END_DECLS

#endif
