/* Batches: starting requests, waiting for them, and calling them off. See batch_impl.h.
 *
 * All batches of a thread use its second ring: a completion carries the address of its request, and
 * is taken whichever of them is waited for. */
#define _GNU_SOURCE
#include "lib/batch_impl.h"

#include <errno.h>
#include <string.h>

/* What the calling thread has going on, in this process. */
static _Thread_local struct {
    uint32_t generation;
    unsigned batches;
    unsigned in_ring; /* requests, prepared or in the kernel */
} mine;

static void come_to_life(void)
{
    if (mine.generation == fork_generation)
        return;
    mine.generation = fork_generation;
    mine.batches = mine.in_ring = 0;
}

void batch_thread_exit(void)
{
    come_to_life();
    if (mine.batches)
        state_misuse("gil_batch_submit", NULL,
                     "the thread ends while requests of its batch are going on");
}

/* ---- With the lock held ---- */

static void own(gil_batch *b)
{
    if (b->owner)
        return;
    come_to_life();
    io_start_thread();
    b->owner = &this_thread;
    b->generation = fork_generation;
    b->by_calls = !io_ring(IO_RING_OF_BATCHES);
    mine.batches++;
    batch_list(b);
}

void batch_disown(gil_batch *b)
{
    if (!b->owner || b->going)
        return;
    batch_unlist(b);
    b->owner = NULL;
    mine.batches--;
}

/* ---- In the ring ---- */

static void take_completions(struct ring *ring)
{
    struct io_uring_cqe cqe;

    while (ring_next(ring, &cqe)) {
        if (!cqe.user_data)
            continue; /* of a cancellation */
        mine.in_ring--;
        request_answered((struct request *)(uintptr_t)cqe.user_data, cqe.res);
    }
}

/* The kernel takes no request now. If there is none whose completion will bring a change, requests
 * become calls. */
static void refused(gil_batch *b, struct ring *ring, int error)
{
    while (ring_prepared(ring)) {
        struct request *r = (struct request *)(uintptr_t)ring_take_back_last(ring);

        mine.in_ring--;
        request_set_state(r, ADDED);
    }
    if (mine.in_ring) {
        ring_endure(ring, error);
        return;
    }
    io_lose_ring(IO_RING_OF_BATCHES);
    b->by_calls = true;
}

/* Submits what was prepared, and waits for so many completions: until deadline_ns, or until the
 * thread of p (NULL: nobody) is told to end its wait. */
static void enter(gil_batch *b, struct ring *ring, unsigned completions, int64_t deadline_ns,
                  const struct parker *p)
{
    int error = ring_enter(ring, completions, deadline_ns, p ? &p->word : NULL, p ? PARK_ENDS : 0);

    take_completions(ring);
    if (ring_refused(error))
        refused(b, ring, error);
}

static void submit_prepared(gil_batch *b, struct ring *ring)
{
    while (!b->by_calls && ring_prepared(ring))
        enter(b, ring, 0, FUTEX_FOREVER, NULL);
}

/* ---- Starting ---- */

/* False: there is no room in the ring now. */
static bool put_into_ring(struct request *r, struct ring *ring)
{
    struct io_uring_sqe *sqe = ring_prepare(ring);

    if (!sqe)
        return false;
    memcpy(sqe, &r->sqe, sizeof *sqe);
    request_set_state(r, IN_RING);
    mine.in_ring++;
    return true;
}

/* Starts what was added, as far as there is room in the ring. */
static void start(gil_batch *b, struct ring *ring)
{
    for (; b->unstarted < b->count && b->added; b->unstarted++) {
        struct request *r = &b->requests[b->unstarted];

        if (r->state != ADDED)
            continue;
        if (!b->by_calls && r->sqe.opcode != IORING_OP_NOP) {
            if (!put_into_ring(r, ring))
                return;
        } else {
            request_set_state(r, TO_CALL);
            r->is_ready = true;
        }
    }
}

/* NULL: the batch is done by calls. */
static struct ring *ring_of(gil_batch *b)
{
    struct ring *ring = b->by_calls ? NULL : io_ring(IO_RING_OF_BATCHES);

    b->by_calls = !ring;
    return ring;
}

static void start_all(gil_batch *b)
{
    while (b->added) {
        struct ring *ring = ring_of(b);

        start(b, ring);
        if (ring)
            submit_prepared(b, ring);
    }
}

void gil_batch_submit(gil_batch *b)
{
    struct thread_state *ts = batch_need("gil_batch_submit", b);

    own(b);
    batch_end_closed(b);
    start_all(b);
    batch_disown(b);
    io_end(ts, 0);
}

/* ---- Waiting ---- */

struct wait {
    gil_batch *b;
    bool all; /* or any */
    int64_t deadline_ns;
};

static bool is_over(const struct wait *w)
{
    return w->all ? !w->b->added && !w->b->going : w->b->first_done != NULL;
}

/* The file cannot be tried (RWF_NOWAIT), or the kernel or a filter knows no such call. */
static bool make_plain(struct request *r, long result)
{
    if (result != -EOPNOTSUPP && result != -ENOSYS)
        return false;
    if (r->number == SYS_preadv2)
        r->number = SYS_readv;
    else if (r->number == SYS_pwritev2)
        r->number = SYS_writev;
    else
        return false;
    return true;
}

static void make_call(struct request *r, const struct parker *p)
{
    long result = interruptible_syscall(&p->word, PARK_ENDS, r->number, r->args);

    if (result == -EINTR)
        return;
    if (r->events && (result == -EAGAIN || make_plain(r, result)))
        r->is_ready = false;
    else
        request_answered(r, result);
}

static void make_calls(const struct wait *w, const struct parker *p)
{
    gil_batch *b = w->b;

    for (unsigned i = 0; i < b->count && b->to_call; i++) {
        struct request *r = &b->requests[i];

        while (r->state == TO_CALL && r->is_ready) {
            if (is_over(w) || parker_has(p, PARK_ENDS))
                return;
            make_call(r, p);
        }
    }
}

static void poll_files(const struct wait *w, const struct parker *p)
{
    gil_batch *b = w->b;
    int64_t left = w->deadline_ns == FUTEX_FOREVER ? -1 : w->deadline_ns - clock_now_ns();
    struct timespec time = {left / INT64_C(1000000000), left % INT64_C(1000000000)};
    nfds_t n = 0;

    if (left < 0)
        time.tv_sec = time.tv_nsec = 0;
    for (unsigned i = 0; i < b->count; i++) {
        const struct request *r = &b->requests[i];

        if (r->state == TO_CALL)
            b->polled[n++] = (struct pollfd){.fd = (int)r->args[0], .events = r->events};
    }
    if (interruptible_syscall(&p->word, PARK_ENDS, SYS_ppoll,
                              (const long[6]){(long)b->polled, (long)n,
                                              w->deadline_ns == FUTEX_FOREVER ? 0 : (long)&time}) <=
        0)
        return;
    for (unsigned i = b->count; i-- > 0;) {
        struct request *r = &b->requests[i];

        if (r->state == TO_CALL)
            r->is_ready = b->polled[--n].revents != 0;
    }
}

/* How many completions it takes until there may be something to do. */
static unsigned completions(const struct wait *w, const struct ring *ring)
{
    unsigned going = w->b->going;

    if (!w->all || w->b->in_parts || w->b->added)
        return 1;
    return going < ring->cq_entries ? going : ring->cq_entries;
}

/* Starts what there is to start, and waits once. */
static void step(const struct wait *w, const struct parker *p)
{
    gil_batch *b = w->b;
    struct ring *ring = ring_of(b);

    start(b, ring);
    if (b->to_call) {
        if (ring)
            submit_prepared(b, ring);
        make_calls(w, p);
    }
    if (is_over(w) || (b->by_calls && b->added))
        return;
    if (b->by_calls)
        poll_files(w, p);
    else if (mine.in_ring)
        enter(b, ring, completions(w, ring), w->deadline_ns, p);
}

/* Called by io_wait_in(). What was started before the wait has ended goes on. */
static long wait_for(void *arg, struct parker *p)
{
    struct wait *w = arg;
    long why;

    parker_call(p);
    batch_begin_wait(w->b, p);
    do {
        batch_end_closed(w->b);
        step(w, p);
        why = is_over(w) ? 0 : io_reason(p, w->deadline_ns, true);
    } while (!is_over(w) && !why);
    parker_called(p);
    batch_end_wait(w->b);
    if (!w->b->by_calls)
        submit_prepared(w->b, ring_of(w->b));
    return why;
}

static long await(const char *function, struct thread_state *ts, gil_batch *b, bool all,
                  int64_t timeout_ns)
{
    struct wait w = {b, all, futex_deadline(timeout_ns)};
    long result;

    own(b);
    result = io_wait_in(function, ts, wait_for, &w);
    batch_disown(b);
    return result;
}

int gil_batch_wait_all_for(gil_batch *b, int64_t timeout_ns)
{
    struct thread_state *ts = batch_need("gil_batch_wait_all", b);

    if (!b->added && !b->going)
        return (int)io_end(ts, 0);
    return (int)io_result(await("gil_batch_wait_all", ts, b, true, timeout_ns));
}

int gil_batch_wait_all(gil_batch *b)
{
    return gil_batch_wait_all_for(b, -1);
}

static int return_first(gil_batch *b)
{
    struct request *r = b->first_done;

    b->first_done = r->next;
    r->state = RETURNED;
    return (int)(r - b->requests);
}

int gil_batch_wait_any_for(gil_batch *b, int64_t timeout_ns)
{
    struct thread_state *ts = batch_need("gil_batch_wait_any", b);
    long error;

    if (b->first_done) {
        if (b->added)
            gil_batch_submit(b);
        return (int)io_end(ts, return_first(b));
    }
    if (!b->added && !b->going)
        return (int)io_end(ts, -ENOENT);
    error = await("gil_batch_wait_any", ts, b, false, timeout_ns);
    return error ? (int)io_result(error) : return_first(b);
}

int gil_batch_wait_any(gil_batch *b)
{
    return gil_batch_wait_any_for(b, -1);
}

/* ---- Calling off ---- */

static void enter_to_call_off(struct ring *ring, unsigned completions)
{
    int error = ring_enter(ring, completions, FUTEX_FOREVER, NULL, 0);

    take_completions(ring);
    if (ring_refused(error))
        ring_endure(ring, error);
}

static struct io_uring_sqe *prepare_surely(struct ring *ring)
{
    struct io_uring_sqe *sqe;

    while (!(sqe = ring_prepare(ring)))
        enter_to_call_off(ring, 0);
    return sqe;
}

static void call_off_in_ring(gil_batch *b)
{
    struct ring *ring = ring_of(b);

    for (unsigned i = 0; i < b->count; i++)
        if (b->requests[i].state == IN_RING)
            ring_cancel(prepare_surely(ring), (uintptr_t)&b->requests[i], 0);
    while (b->going)
        enter_to_call_off(ring, 1);
    ring_take_back(ring);
}

static bool is_closed(const struct request *r)
{
    return __atomic_load_n(&r->closed, __ATOMIC_RELAXED);
}

/* Those in the ring that were closed are called off; the rest goes on. */
static void end_closed_in_ring(gil_batch *b)
{
    struct ring *ring = ring_of(b);
    unsigned left = 0;

    for (unsigned i = 0; i < b->count; i++)
        if (b->requests[i].state == IN_RING && is_closed(&b->requests[i]))
            ring_cancel(prepare_surely(ring), (uintptr_t)&b->requests[i], 0);
    do {
        left = 0;
        for (unsigned i = 0; i < b->count; i++)
            left += b->requests[i].state == IN_RING && is_closed(&b->requests[i]);
        if (left)
            enter_to_call_off(ring, 1);
    } while (left);
}

void batch_end_closed(gil_batch *b)
{
    uint32_t closings;

    if (!batch_closings(b, &closings))
        return;
    for (unsigned i = 0; i < b->count; i++) {
        struct request *r = &b->requests[i];

        if (is_closed(r) && (r->state == ADDED || r->state == TO_CALL))
            request_answered(r, -ECANCELED);
    }
    if (!b->by_calls && b->going)
        end_closed_in_ring(b);
    batch_answer(b, closings);
}

static int count_cancelled(const gil_batch *b)
{
    int n = 0;

    for (unsigned i = 0; i < b->count; i++)
        n += b->requests[i].state >= DONE && b->requests[i].result == -ECANCELED;
    return n;
}

int gil_batch_cancel(gil_batch *b)
{
    struct thread_state *ts = batch_need("gil_batch_cancel", b);
    int before = count_cancelled(b);

    b->cancels = true;
    for (unsigned i = 0; i < b->count; i++)
        if (b->requests[i].state == ADDED || b->requests[i].state == TO_CALL)
            request_answered(&b->requests[i], -ECANCELED);
    if (b->going) {
        state_suspend("gil_batch_cancel", ts);
        call_off_in_ring(b);
        state_resume("gil_batch_cancel", ts);
    }
    b->cancels = false;
    batch_disown(b);
    return count_cancelled(b) - before;
}
