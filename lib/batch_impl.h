/* Inside batches: what the files batch*.c share. include/gil/batch.h is what others see of it.
 *
 * A request is described twice when it is added: as a system call, and, if a ring can do the same,
 * as a request for a ring. It is in one of these states:
 *
 *   ADDED     not started: by the next step of its batch it is
 *   IN_RING   the kernel has it: its completion is to be taken from the ring of the batch's owner
 *   TO_CALL   the call is to be made in the waits, again and again if it has to wait for its file
 *   DONE      `result` is that of the kernel (negative: -errno)
 *   RETURNED  the same, and gil_batch_wait_any() has returned it
 *
 * Invariants
 * - `added` counts the requests that are ADDED, `going` those that are IN_RING or TO_CALL, `to_call`
 *   the latter. None before the index `unstarted` is ADDED.
 * - While `going` is not 0, the batch has an owner, and nobody else touches it: the owner does so
 *   without the lock, too. It becomes the owner, and ceases to be it, with the lock held.
 * - With `by_calls`, which is decided when it gets an owner, nothing is in its ring. Otherwise no
 *   call waits for its file.
 * - Requests that are DONE are listed. */
#ifndef LIB_BATCH_IMPL_H
#define LIB_BATCH_IMPL_H

#include <gil/batch.h>

#include "lib/io_impl.h"

enum request_state { ADDED, IN_RING, TO_CALL, DONE, RETURNED };

struct request {
    gil_batch *batch;
    struct request *next; /* that was done after this one */
    uint8_t state;        /* enum request_state */
    bool closed;          /* gil_close() of its file: it ends with EBADF */
    bool whole;           /* goes on after a part, as the call does that waits */
    bool opens;           /* a file, whose O_NONBLOCK is to be taken away */
    bool is_ready;        /* TO_CALL: it is worth making the call */
    short events;  /* the call does not wait, and is made when poll() says these; 0: it does */
    int fd;        /* as it was added; closers read it */
    int iov_count; /* what is transferred: buffers of the caller's, or */
    const struct iovec *iov;
    const struct msghdr *message; /* what this says, or */
    struct iovec own;             /* this one buffer */
    struct iovec rest;            /* what is left of it after a part */
    size_t done;
    long number, args[6], result;
    struct io_uring_sqe sqe; /* IORING_OP_NOP: there is none */
};

struct gil_batch {
    const struct this_thread *owner; /* NULL: nothing is going on */
    uint32_t generation;             /* of the process in which it is going on */
    unsigned bound, count;           /* requests that there is room for, and that there are */
    unsigned added, going, to_call, unstarted;
    bool by_calls;
    bool in_parts; /* a request may be answered with a part of what it is to do */
    bool cancels;  /* requests are called off, and do not start again */
    struct request *first_done, *last_done;
    gil_batch *next_listed; /* these four: see batch_close.c */
    struct parker *parker;
    uint32_t closings, answered; /* how often requests were marked, and that was looked at */
    struct pollfd *polled;       /* room for one a request */
    struct request requests[];
};

/* ---- batch.c ---- */

/* Ends the process unless the calling thread holds the lock and may use the batch. */
struct thread_state *batch_need(const char *function, gil_batch *b);

/* ---- batch_wait.c ---- */

/* By the owner, if there is one, with the lock held: it is not any more if nothing is going on. */
void batch_disown(gil_batch *b);

/* Ends the requests that closers have marked. By the owner; without the lock if some are going on. */
void batch_end_closed(gil_batch *b);

/* ---- batch_close.c ---- */

/* The batch has an owner from the first until the second, which waits between the other two. */
void batch_list(gil_batch *b);
void batch_unlist(gil_batch *b);
void batch_begin_wait(gil_batch *b, struct parker *p);
void batch_end_wait(gil_batch *b);

/* Has a closer marked requests that were not looked at? The second says that they were, as of
 * `closings`. */
bool batch_closings(gil_batch *b, uint32_t *closings);
void batch_answer(gil_batch *b, uint32_t closings);

/* ---- batch_request.c ---- */

/* ADDED, IN_RING, TO_CALL: one of them becomes another one. */
void request_set_state(struct request *r, enum request_state state);

/* The kernel has said this to it, in either form: it is DONE, or goes on, being ADDED. */
void request_answered(struct request *r, long result);

/* It has this result. */
void request_end(struct request *r, long result);

/* Puts it at the end of those that are DONE. */
void request_list(struct request *r);

#endif
