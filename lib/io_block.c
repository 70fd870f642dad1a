/* One blocking call: on the thread's ring, or as a system call.
 *
 * Whoever sets a bit of PARK_ENDS in the parker's word while it says CALLING sends the thread a
 * signal, which ends either form; see kernel-helpers/interrupt.h. The bits decide: other signals
 * end a system call, and only wake a thread that waits for its ring.
 *
 * A request that is called off is waited for, and its own completion says who won. So nothing is in
 * flight outside of io_block(). */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* When a request waits for so long, what is remembered of its socket is checked. */
#define CHECK_NS INT64_C(5000000)

static _Thread_local uint64_t last_id; /* of the thread's requests */

/* ---- As a request ---- */

/* Takes all completions. True: the last request's was among them. */
static bool take_result(struct ring *r, long *result)
{
    struct io_uring_cqe cqe;
    bool taken = false;

    while (ring_next(r, &cqe)) {
        if (cqe.user_data != last_id)
            continue; /* of a cancellation, earlier on */
        *result = cqe.res;
        taken = true;
    }
    return taken;
}

static bool has_passed(int64_t deadline_ns)
{
    return deadline_ns != FUTEX_FOREVER && clock_now_ns() >= deadline_ns;
}

static long call_off(struct ring *r)
{
    long result = 0;

    ring_cancel(ring_prepare(r), last_id, 0);
    do {
        int error = ring_enter(r, 1, FUTEX_FOREVER, NULL, 0);

        if (ring_refused(error))
            ring_endure(r, error);
    } while (!take_result(r, &result));
    return result == -ECANCELED ? -EINTR : result;
}

/* Until when the request may wait without being checked. */
static int64_t first_deadline(const struct io_call *c)
{
    int64_t check;

    if (!c->remembered)
        return c->deadline_ns;
    check = clock_now_ns() + CHECK_NS;
    return c->deadline_ns != FUTEX_FOREVER && c->deadline_ns < check ? c->deadline_ns : check;
}

/* The request has waited until a deadline: does that end it? Otherwise there is a later one. */
static bool is_late(struct io_call *c, int64_t *deadline_ns)
{
    if (!has_passed(*deadline_ns))
        return false;
    if (has_passed(c->deadline_ns))
        return true;
    c->remembered = false;
    *deadline_ns = c->deadline_ns;
    return io_look_again(c->user.fd) != IO_BY_REQUEST;
}

/* The end of a request: by its deadline, by a bit, or since it should not have waited at all. */
static long end_request(const struct io_call *c, const struct parker *p, struct ring *r)
{
    long result;

    if (ring_prepared(r)) {
        ring_take_back(r);
        return -EINTR;
    }
    result = call_off(r);
    return result == -EINTR && !parker_has(p, PARK_ENDS) && !has_passed(c->deadline_ns) ? -EAGAIN
                                                                                        : result;
}

/* False: the kernel has not taken the request, and will not. */
static bool by_request(struct io_call *c, struct parker *p, struct ring *r, long *result)
{
    struct io_uring_sqe *sqe = ring_prepare(r);
    int64_t deadline_ns = first_deadline(c);

    memcpy(sqe, &c->request, sizeof *sqe);
    sqe->user_data = ++last_id;
    for (;;) {
        int error = ring_enter(r, 1, deadline_ns, &p->word, PARK_ENDS);

        if (take_result(r, result))
            break;
        if (parker_has(p, PARK_ENDS) || is_late(c, &deadline_ns)) {
            *result = end_request(c, p, r);
            break;
        }
        if (ring_refused(error)) {
            if (ring_prepared(r))
                return false;
            ring_endure(r, error);
        }
    }
    if (*result == -ECANCELED)
        *result = -EINTR;
    return true;
}

/* ---- As a system call ---- */

static void set_time_left(struct io_call *c)
{
    const int64_t second = INT64_C(1000000000);
    int64_t left = c->deadline_ns - clock_now_ns();

    if (left < 0)
        left = 0;
    c->time_left->tv_sec = left / second;
    c->time_left->tv_nsec = left % second;
}

/* A deadline that the call itself does not know ends it by the signal. It is made at least once,
 * though it may be late for that. */
static long by_call(struct io_call *c, const struct parker *p)
{
    const int64_t chance_ns = 1000000;
    bool timed = c->deadline_ns != FUTEX_FOREVER && !c->time_left;
    int64_t soon = timed ? clock_now_ns() + chance_ns : 0;
    timer_t timer;
    long result;

    if (c->deadline_ns != FUTEX_FOREVER && c->time_left)
        set_time_left(c);
    result = timed ? interrupt_at(&timer, c->deadline_ns > soon ? c->deadline_ns : soon) : 0;
    if (result < 0)
        return -ENOMEM; /* -EAGAIN would say that the file is not ready */
    result = interruptible_syscall(&p->word, PARK_ENDS, c->number, c->args);
    if (timed)
        interrupt_at_end(timer);
    return result;
}

/* ---- Either ---- */

/* What the kernel says to a request where a plain call would have waited, or connected on. */
static bool is_no_answer(long result)
{
    return result == -EAGAIN || result == -EALREADY;
}

/* A request that finds its peer gone. A call that waits prefers the reason that the socket has for
 * that, and raises a signal only if there is none. */
static long broken(const struct io_call *c)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (IO_NOW(SYS_getsockopt, c->request.fd, SOL_SOCKET, SO_ERROR, (long)&error, (long)&size) ==
            0 &&
        error)
        return -error;
    if (c->sigpipe)
        syscall(SYS_tgkill, getpid(), (int)syscall(SYS_gettid), SIGPIPE);
    return -EPIPE;
}

static long request_or_call(struct io_call *c, struct parker *p)
{
    struct ring *r = c->request.opcode == IORING_OP_NOP ? NULL : io_ring(IO_RING_OF_CALLS);
    long result;

    if (!r)
        return by_call(c, p);
    if (!by_request(c, p, r, &result)) {
        io_lose_ring(IO_RING_OF_CALLS);
        return by_call(c, p);
    }
    if (is_no_answer(result))
        return by_call(c, p);
    return result == -EPIPE ? broken(c) : result;
}

long io_block(struct io_call *c, struct parker *p)
{
    long result;

    io_start_thread();
    parker_call(p);
    result = request_or_call(c, p);
    parker_called(p);
    return result;
}
