/* What all blocking calls have in common. See io_impl.h. */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include <errno.h>
#include <fcntl.h>

long io_now(long number, const long args[6])
{
    static const uint32_t never;
    long result;

    /* Some file systems look for signals though they do not wait. A file that close() was
     * interrupted for is closed. */
    do {
        result = interruptible_syscall(&never, 0, number, args);
    } while (result == -EINTR && number != SYS_close);
    return result;
}

bool io_nonblocking(int fd)
{
    long flags = IO_NOW(SYS_fcntl, fd, F_GETFL);

    return flags >= 0 && flags & O_NONBLOCK;
}

size_t io_bytes(const struct iovec *iov, int count)
{
    size_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

long io_result(long result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

long io_end(struct thread_state *ts, long result)
{
    if (threads_on()) {
        struct lock *l = lock_of(&ts->domain->lock);

        count_up(node_of(l), io_inline);
        if (unlikely(relaxed_load(&l->drop)))
            state_hand_over(ts, true);
    }
    return io_result(result);
}

/* ---- Waiting ---- */

long io_reason(struct parker *p, int64_t deadline_ns, bool interrupts)
{
    if (interrupts && parker_has(p, PARK_INTERRUPTED)) {
        parker_forget(p, PARK_INTERRUPTED);
        return -EINTR;
    }
    if (parker_has(p, PARK_INTERRUPTED | PARK_SIGNALLED))
        return -ERESTART;
    if (deadline_ns != FUTEX_FOREVER && clock_now_ns() >= deadline_ns)
        return -ETIMEDOUT;
    return 0;
}

/* Until there is a result, or a reason to end. -ERESTART: a signal has come. */
static long block(struct io_call *c, struct parker *p)
{
    long result, why;

    do {
        result = io_block(c, p);
        if (result != -EINTR)
            return result;
        /* An interrupt is for the next call when this one has done something already. */
        why = io_closing(&c->user) ? -EBADF : io_reason(p, c->deadline_ns, !c->done);
    } while (!why);
    return why;
}

bool io_rest(const struct iovec *iov, int count, size_t done, struct iovec *rest)
{
    for (int i = 0; i < count; i++) {
        char *start = iov[i].iov_base;
        size_t size = iov[i].iov_len;

        if (done < size) {
            *rest = (struct iovec){start + done, size - done};
            return true;
        }
        done -= size;
    }
    return false;
}

/* Aims the call at what is left. False: nothing is. */
static bool aim_at_rest(struct io_call *c)
{
    struct iovec rest;

    if (!io_rest(c->iov, c->iov_count, c->done, &rest))
        return false;
    c->aim(c, rest.iov_base, rest.iov_len);
    return true;
}

/* As the kernel does it: what ends the transfer early, after a part of it, is left for the next
 * call. */
static long block_for_all(struct io_call *c, struct parker *p)
{
    long result;

    if (c->done && !aim_at_rest(c))
        return (long)c->done;
    do {
        result = block(c, p);
        if (result <= 0)
            return c->done ? (long)c->done : result;
        c->done += (size_t)result;
    } while (aim_at_rest(c));
    return (long)c->done;
}

/* With the calling thread known as a user of the file. */
static long block_as_user(void *arg, struct parker *p)
{
    struct io_call *c = arg;
    long result;

    io_enlist(&c->user, p);
    result = c->aim ? block_for_all(c, p) : block(c, p);
    io_delist(&c->user);
    return result;
}

/* For the probes: which operation of io_uring does the same, or -1. */
static int operation(const struct io_call *c)
{
    if (c->number == SYS_ppoll)
        return IORING_OP_POLL_ADD;
    if (c->number == SYS_clock_nanosleep)
        return IORING_OP_TIMEOUT;
    return c->request.opcode == IORING_OP_NOP ? -1 : c->request.opcode;
}

static long block_watched(void *arg, struct parker *p)
{
    struct io_call *c = arg;
    int64_t since = PROBE_ATTACHED(io_complete) ? clock_now_ns() : 0;
    long result;

    PROBE(io_submit, c->ts, operation(c), c->user.fd);
    result = block_as_user(c, p);
    if (since)
        PROBE(io_complete, c->ts, operation(c), c->user.fd, result, clock_now_ns() - since);
    return result;
}

/* With the lock held: the call gives it up to block; and it is over, with that result. */
static void count_blocking(const struct thread_state *ts)
{
    if (threads_on())
        count_up(node_of(lock_of(&ts->domain->lock)), io_blocked);
}

static void count_interrupted(const struct thread_state *ts, long result)
{
    if (threads_on() && (result == -EINTR || result == -EBADF))
        count_up(node_of(lock_of(&ts->domain->lock)), io_interrupted);
}

long io_wait_in(const char *function, struct thread_state *ts,
                long (*fn)(void *arg, struct parker *p), void *arg)
{
    struct parker *p = parker_self();
    long result;

    count_blocking(ts);
    for (;;) {
        state_suspend(function, ts);
        result = fn(arg, p);
        state_resume(function, ts);
        count_interrupted(ts, result);
        if (result != -ERESTART)
            return result;
        parker_forget(p, PARK_SIGNALLED);
        if (gil_check_signals() != 0)
            return -EINTR;
    }
}

long io_wait(struct io_call *c, int64_t timeout_ns)
{
    if (timeout_ns == 0 && c->tried)
        return io_result(-ETIMEDOUT);
    c->deadline_ns = futex_deadline(timeout_ns);
    return io_result(io_wait_in(c->function, c->ts, block_watched, c));
}
