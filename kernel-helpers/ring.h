/* One io_uring: made by a thread, and used by that thread only.
 *
 * Invariants
 * - It takes no file descriptor: the kernel knows it by its place in the thread's table of
 *   registered rings. Fork and exec leave it behind; a forked child must not touch it (its memory is
 *   not there).
 * - Requests belong to the thread: they make progress while it is in ring_enter(), and are cancelled
 *   when it ends.
 * - What a request points to stays in place until its completion was taken.
 *
 * A request is an io_uring_sqe as io_uring_enter(2) describes it, and known by its user_data. A ring
 * of N entries takes N requests in one submission, and keeps the completions of 2 N; if more are
 * outstanding, the kernel keeps the rest until there is room, so none is lost. */
#ifndef KERNEL_HELPERS_RING_H
#define KERNEL_HELPERS_RING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
    struct io_uring_sqe *sqes;
    const struct io_uring_cqe *cqes;
    uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail; /* shared with the kernel */
    uint32_t sq_entries, cq_entries;                 /* powers of two */
    uint32_t prepared;                               /* where the next request goes */
    int index;                                       /* in the thread's table */
    uint32_t enter_flags;
    uint32_t refusals; /* of ring_enter(), in a row */
    void *memory[2];   /* of the rings, and of the requests */
    size_t size[2];
};

/* Whose memory a ring is in. The first way needs Linux 6.5; the second, 6.1, and a file descriptor
 * for a moment. */
enum ring_memory { RING_OURS, RING_KERNELS };

/* Makes a ring in one of these ways, or in the best one that works. `workers` is the most kernel
 * threads at a time that may work on this thread's requests. Returns 0 or -errno. */
int ring_make_in(struct ring *r, enum ring_memory memory, uint32_t entries, uint32_t workers);
int ring_make(struct ring *r, uint32_t entries, uint32_t workers);

/* The thread's requests in the ring are done; or it ends. If it goes on, the kernel notifies it a
 * little later, as if by a signal without a handler: a plain transfer of a whole (MSG_WAITALL, a
 * large write) that waits at that moment returns a part. */
void ring_free(struct ring *r);

/* A request to fill in, all zero, which the next ring_enter() submits. NULL: there are as many as a
 * submission takes. */
struct io_uring_sqe *ring_prepare(struct ring *r);

/* Requests that were prepared, and not taken by the kernel yet; and how to take them back, all or
 * the last one, whose user_data it returns. */
uint32_t ring_prepared(const struct ring *r);
void ring_take_back(struct ring *r);
uint64_t ring_take_back_last(struct ring *r);

/* Submits what was prepared, and waits until there are `completions` to take, or until deadline_ns
 * (CLOCK_MONOTONIC, or FUTEX_FOREVER), or until the thread is interrupted: word and bits as for
 * interruptible_syscall(), or NULL and 0.
 *
 * Returns 0: something was submitted, or there are enough completions; the caller looks which. Or
 * -errno: ETIME, EINTR (by any signal; both leave the requests going), or another one, when the
 * kernel took none of the requests prepared. */
int ring_enter(struct ring *r, uint32_t completions, int64_t deadline_ns, const uint32_t *word,
               uint32_t bits);

/* Is that an error of ring_enter()'s other than ETIME and EINTR? And what a thread does then that has
 * requests in flight, and so cannot do without the ring: it rests for a moment, since memory may be
 * short; when that does not help for a second, it ends the process. */
bool ring_refused(int error);
void ring_endure(struct ring *r, int error);

/* Takes the next completion. False: there is none. */
bool ring_next(struct ring *r, struct io_uring_cqe *completion);

/* Makes a prepared request one that cancels the request of that user_data. It has a completion of
 * its own, which proves nothing: the cancelled request's own has to be waited for. */
void ring_cancel(struct io_uring_sqe *request, uint64_t user_data, uint64_t own_user_data);

#endif
