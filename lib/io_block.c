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
#include <sched.h>
#include <string.h>
#include <unistd.h>

/* For one call and its cancellation; and kernel threads for what a ring cannot do otherwise. */
enum { RING_ENTRIES = 2, RING_WORKERS = 2 };

/* A thread that could not have a ring tries again after so many calls. */
enum { CALLS_WITHOUT = 64 };

static _Thread_local struct {
    bool ready;     /* the thread has made such a call */
    bool has_ring;  /* made in this process */
    int calls_left; /* without a ring */
    uint32_t generation;
    uint64_t id; /* of the last request */
    struct ring ring;
} mine;

static pthread_key_t exit_key;
static bool have_key;

/* ---- The thread's ring ---- */

/* In a forked child a ring is its parent's. */
static bool is_there(void)
{
    return mine.has_ring && mine.generation == fork_generation;
}

static void thread_exit(void *arg)
{
    (void)arg;
    if (is_there())
        ring_free(&mine.ring);
    mine.has_ring = false;
}

/* A process that makes no such call has neither the handler nor the key. */
static void start_process(void)
{
    interrupt_start();
    have_key = pthread_key_create(&exit_key, thread_exit) == 0;
}

static void start_thread(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, start_process);
    interrupt_unblock();
    mine.ready = true;
}

int io_make_ring(void)
{
    int error;

    if (is_there())
        return 0;
    if (!mine.ready)
        start_thread();
    if (!have_key || pthread_setspecific(exit_key, &mine) != 0)
        return -ENOMEM;
    error = ring_make(&mine.ring, RING_ENTRIES, RING_WORKERS);
    mine.generation = fork_generation;
    mine.has_ring = !error;
    return error;
}

static bool has_ring(void)
{
    if (is_there())
        return true;
    if (mine.calls_left > 0) {
        mine.calls_left--;
        return false;
    }
    if (io_uses_rings() && io_make_ring() == 0)
        return true;
    mine.calls_left = CALLS_WITHOUT;
    return false;
}

/* The kernel does not take requests from it. */
static void lose_ring(void)
{
    ring_take_back(&mine.ring);
    ring_free(&mine.ring);
    mine.has_ring = false;
    mine.calls_left = CALLS_WITHOUT;
}

/* ---- As a request ---- */

/* Takes all completions. True: the last request's was among them. */
static bool take_result(struct ring *r, long *result)
{
    struct io_uring_cqe cqe;
    bool taken = false;

    while (ring_next(r, &cqe)) {
        if (cqe.user_data != mine.id)
            continue; /* of a cancellation, earlier on */
        *result = cqe.res;
        taken = true;
    }
    return taken;
}

static bool is_called_off(const struct io_call *c, const struct parker *p)
{
    return parker_has(p, PARK_ENDS) ||
           (c->deadline_ns != FUTEX_FOREVER && clock_now_ns() >= c->deadline_ns);
}

static long call_off(struct ring *r)
{
    long result = 0;

    ring_cancel(ring_prepare(r), mine.id, 0);
    do {
        int error = ring_enter(r, 1, FUTEX_FOREVER, NULL, 0);

        if (error && error != -EINTR)
            sched_yield(); /* the kernel is out of memory for the moment */
    } while (!take_result(r, &result));
    return result == -ECANCELED ? -EINTR : result;
}

/* False: the kernel has not taken the request, and will not. */
static bool by_request(struct io_call *c, struct parker *p, long *result)
{
    struct ring *r = &mine.ring;
    struct io_uring_sqe *sqe = ring_prepare(r);

    memcpy(sqe, &c->request, sizeof *sqe);
    sqe->user_data = ++mine.id;
    for (;;) {
        int error = ring_enter(r, 1, c->deadline_ns, &p->word, PARK_ENDS);

        if (take_result(r, result))
            break;
        if (is_called_off(c, p)) {
            if (!ring_prepared(r)) {
                *result = call_off(r);
                break;
            }
            ring_take_back(r);
            *result = -EINTR;
            return true;
        }
        if (error && error != -EINTR && error != -ETIME && ring_prepared(r))
            return false;
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
        return result;
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
    long result;

    if (c->request.opcode == IORING_OP_NOP || !has_ring())
        return by_call(c, p);
    if (!by_request(c, p, &result)) {
        lose_ring();
        return by_call(c, p);
    }
    if (is_no_answer(result))
        return by_call(c, p);
    return result == -EPIPE ? broken(c) : result;
}

long io_block(struct io_call *c, struct parker *p)
{
    long result;

    if (!mine.ready)
        start_thread();
    parker_set(p, PARK_CALLING);
    result = request_or_call(c, p);
    parker_clear(p, PARK_CALLING);
    return result;
}
