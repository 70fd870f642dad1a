/* Batches: making and ending them, their results. See include/gil/batch.h. */
#define _GNU_SOURCE
#include "lib/batch_impl.h"

#include <errno.h>
#include <stdlib.h>

/* ---- Who may use it ---- */

/* In a forked child. Another thread may have been at the list and the counts when it was made. */
static void forget_parents(gil_batch *b)
{
    b->first_done = b->last_done = NULL;
    for (unsigned i = 0; i < b->count; i++) {
        struct request *r = &b->requests[i];

        if (r->state == IN_RING || r->state == TO_CALL)
            request_end(r, -ECANCELED);
        else if (r->state == DONE)
            request_list(r);
    }
    b->going = b->to_call = 0;
    b->owner = NULL;
}

struct thread_state *batch_need(const char *function, gil_batch *b)
{
    struct thread_state *ts = need_to_run(function);

    if (b->owner && b->generation != fork_generation)
        forget_parents(b);
    if (b->owner && b->owner != &this_thread)
        state_misuse(function, ts, "another thread has started requests of the batch");
    batch_disown(b);
    return ts;
}

static void need_idle(const char *function, gil_batch *b)
{
    struct thread_state *ts = batch_need(function, b);

    if (b->going)
        state_misuse(function, ts, "requests of the batch are going on");
}

/* ---- Life ---- */

gil_batch *gil_batch_create(unsigned bound)
{
    const size_t each = sizeof(struct request) + sizeof(struct pollfd);
    gil_batch *b;

    need_to_run("gil_batch_create");
    if (bound == 0 || bound > GIL_BATCH_MAX) {
        errno = EINVAL;
        return NULL;
    }
    b = calloc(1, sizeof *b + bound * each);
    if (!b)
        return NULL;
    b->bound = bound;
    b->polled = (struct pollfd *)(void *)&b->requests[bound];
    return b;
}

void gil_batch_destroy(gil_batch *b)
{
    if (!b) {
        need_to_run("gil_batch_destroy");
        return;
    }
    need_idle("gil_batch_destroy", b);
    free(b);
}

void gil_batch_clear(gil_batch *b)
{
    need_idle("gil_batch_clear", b);
    b->count = b->added = b->unstarted = 0;
    b->in_parts = false;
    b->first_done = b->last_done = NULL;
}

/* ---- Results ---- */

ssize_t gil_batch_result(gil_batch *b, unsigned index)
{
    struct thread_state *ts = batch_need("gil_batch_result", b);

    if (index >= b->count)
        state_misuse("gil_batch_result", ts, "no request of the batch has this index");
    if (b->requests[index].state < DONE)
        return io_result(-EINPROGRESS);
    return io_result(b->requests[index].result);
}
