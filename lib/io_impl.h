/* Inside blocking calls: what the files io_*.c share. include/gil/io.h is what others see of it.
 *
 * How a call goes
 * 1. With the lock held, it is tried in a form that cannot wait. A try is invisible: results, errno
 *    and out-parameters are those of the plain call alone. What it moved of a transfer that the
 *    plain call would have moved as a whole counts, and the rest is waited for.
 * 2. Otherwise it is described in a struct io_call: as a system call, and, if waiting for it takes no
 *    kernel thread, as a request for a ring. io_wait() gives the lock up, and makes it in one of
 *    these forms until it has a result.
 * Results inside are those of the kernel: negative ones are -errno. errno is set at the very end. */
#ifndef LIB_IO_IMPL_H
#define LIB_IO_IMPL_H

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <gil/io.h>

#include "kernel-helpers/clock.h"
#include "kernel-helpers/interrupt.h"
#include "kernel-helpers/ring.h"
#include "lib/runtime.h"

_Static_assert(GIL_IO_SIGNAL == INTERRUPT_SIGNAL, "the signal that the header names");

/* The result of a try that would have to wait. */
#define WOULD_WAIT LONG_MIN

/* The largest transfers that are tried: the lock is held while the bytes are copied. */
#define READ_TRY_MAX  ((size_t)1 << 20)
#define WRITE_TRY_MAX ((size_t)1 << 16)

/* What the kernel moves at most in one call. A request's size has 32 bits only. */
#define TRANSFER_MAX ((size_t)0x7ffff000)

/* A thread waits for a file, or for several ones; what gil_close() finds it by. */
struct io_user {
    int fd; /* -1: none, or */
    const struct pollfd *fds;
    nfds_t count; /* these */
    struct parker *parker;
    struct io_user *next, **link;
    uint32_t *closer; /* somebody closes the file, and waits for so many users to end */
};

struct io_call {
    const char *function;
    struct thread_state *ts;
    struct io_user user;
    long number, args[6];
    struct io_uring_sqe request; /* IORING_OP_NOP: there is none */
    int64_t deadline_ns;
    struct timespec *time_left; /* an argument of the system call that has to be kept up */
    bool tried;                 /* so that a timeout of 0 need not try again */
    /* Not NULL: a transfer that goes on until all of these buffers are moved; `done` bytes are. Aims
     * the call at a piece of them. */
    void (*aim)(struct io_call *c, const void *piece, size_t size);
    const struct iovec *iov;
    int iov_count;
    size_t done;
    off_t offset;          /* of the first of them, where `aim` wants it */
    struct msghdr message; /* for a request of several buffers */
    bool remembered;       /* that its request may wait: see io_way_to_wait() */
    bool sigpipe;          /* the request does not raise it, but the call does */
};

/* ---- io.c ---- */

/* Makes a system call that does not wait. */
long io_now(long number, const long args[6]);
#define IO_NOW(number, ...) io_now(number, (const long[6]){__VA_ARGS__})

/* The result that a caller sees: sets errno. */
long io_result(long result);

/* The end of a call that did not have to wait: hands the lock over if that is asked for. */
long io_end(struct thread_state *ts, long result);

/* Waits for a call's result, and ends the call. */
long io_wait(struct io_call *c, int64_t timeout_ns);

/* Calls fn(arg, the thread's parker) without the lock; again, after the signals' functions have
 * run, for as long as it returns -ERESTART. Returns its result, or -EINTR. */
long io_wait_in(const char *function, struct thread_state *ts,
                long (*fn)(void *arg, struct parker *p), void *arg);

/* Why a wait that has not come to anything yet ends: -errno, -ERESTART: a signal has come, or 0: it
 * does not. With `interrupts`, a pending one is taken; otherwise it is for the next call. */
long io_reason(struct parker *p, int64_t deadline_ns, bool interrupts);

/* The part of the buffers that comes after `done` bytes: one buffer, or the rest of it. False:
 * there is none. */
bool io_rest(const struct iovec *iov, int count, size_t done, struct iovec *rest);

/* Does the file, or its open file description, give EAGAIN instead of waiting? */
bool io_nonblocking(int fd);

/* The bytes that the buffers hold. Only after a system call that has read them: a caller may pass
 * what it likes, and gets EFAULT for it. */
size_t io_bytes(const struct iovec *iov, int count);

/* ---- io_hint.c ---- */

/* Is it worth trying to receive from the socket? Not where the last tries of this thread would have
 * waited, but for one now and then. The second tells what a try has come to. */
bool io_worth_a_try(int fd);
void io_tried(int fd, bool would_wait);

/* How a call waits for the socket: not at all, with O_NONBLOCK; in a system call, where it has a time
 * limit of its own for receiving; otherwise by a request, which knows of neither. */
enum io_way { IO_NOT_AT_ALL, IO_BY_CALL, IO_BY_REQUEST };

/* *remembered: it is what this thread found lately, which is to be checked if the request takes
 * long. The second looks again. */
enum io_way io_way_to_wait(int fd, bool *remembered);
enum io_way io_look_again(int fd);

/* Was the file opened with O_DIRECT? It may be remembered, for a few reads, that it was not. */
bool io_is_direct(int fd);

/* ---- io_block.c ---- */

/* Without the lock, in the thread of p: makes the call once, and returns its result; -EINTR if a
 * bit of PARK_ENDS or the deadline ended it, or, in a system call, any signal. */
long io_block(struct io_call *c, struct parker *p);

/* ---- io_ring.c ---- */

enum io_ring_use { IO_RING_OF_CALLS, IO_RING_OF_BATCHES, IO_RINGS };

/* Before the calling thread is interrupted in its first call. */
void io_start_thread(void);

/* Makes a ring of the calling thread's, unless it is there. Returns 0 or -errno. */
int io_make_ring(enum io_ring_use use);

/* The ring, or NULL: the thread cannot have one now. The second gives up one that does not take
 * requests from the thread any more. */
struct ring *io_ring(enum io_ring_use use);
void io_lose_ring(enum io_ring_use use);

/* ---- batch_wait.c ---- */

/* The calling thread ends. */
void batch_thread_exit(void);

/* ---- batch_close.c ---- */

/* The file is about to be closed: ends the requests of batches for it. Without the lock. */
void batch_close(int fd);

/* ---- io_close.c ---- */

/* The call's thread is a user of its files from the first until the second. The third: is one of
 * them being closed? */
void io_enlist(struct io_user *u, struct parker *p);
void io_delist(struct io_user *u);
bool io_closing(const struct io_user *u);

/* ---- io_status.c ---- */

/* Are rings used in this process? Tries it the first time. */
bool io_uses_rings(void);

/* ---- io_socket.c ---- */

/* The call sends c->iov, of which c->done bytes are sent, to a socket: how it goes on after a part.
 * Keeps its request if there may be one: after a try. */
void io_describe_send(struct io_call *c, int flags);

/* Has the socket a time limit of its own (SO_RCVTIMEO, SO_SNDTIMEO)? A request does not know it. */
bool io_has_time_limit(int fd, int option);

#endif
