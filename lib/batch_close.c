/* gil_close(), and what batches have going on: requests for that file end with EBADF.
 *
 * A batch is listed while it has an owner, and has a parker while its owner waits. A closer marks
 * the requests for its file, and ends the wait; the owner ends what is marked, before it starts or
 * waits for anything else. The closer goes on when no owner that waits has marks left to look at:
 * then none of them is in the kernel with that number any more, and none goes there. An owner that
 * does not wait has requests in its ring only, which know the file and not the number.
 *
 * The guard is held for a few instructions a request. In a forked child the list is empty. */
#define _GNU_SOURCE
#include "lib/batch_impl.h"

#include "lib/waiters.h"

#define CLOSER_PAUSE_NS INT64_C(1000000)

static struct {
    struct waiters guard; /* its queue is not used */
    uint32_t generation;
    gil_batch *first;
    uint32_t changes; /* counts when there may be fewer marks that are waited for */
} listed;

static void enter(void)
{
    waiters_enter(&listed.guard);
    if (listed.generation != fork_generation) {
        listed.generation = fork_generation;
        listed.first = NULL;
    }
}

static void leave(void)
{
    waiters_leave(&listed.guard);
}

/* Wakes one of them; others look again by themselves. */
static void tell_closers(void)
{
    __atomic_add_fetch(&listed.changes, 1, __ATOMIC_RELEASE);
    futex_wake(&listed.changes);
}

void batch_list(gil_batch *b)
{
    enter();
    b->closings = b->answered = 0;
    b->parker = NULL;
    b->next_listed = listed.first;
    listed.first = b;
    leave();
}

void batch_unlist(gil_batch *b)
{
    gil_batch **link = &listed.first;

    enter();
    while (*link && *link != b)
        link = &(*link)->next_listed;
    if (*link)
        *link = b->next_listed;
    leave();
}

void batch_begin_wait(gil_batch *b, struct parker *p)
{
    enter();
    b->parker = p;
    leave();
}

/* Whether the closer's word still stands in the parker, only the guard tells. */
static bool forget_closer(gil_batch *b)
{
    if (b->closings == b->answered || !b->parker)
        return false;
    parker_forget(b->parker, PARK_CLOSED);
    return true;
}

void batch_end_wait(gil_batch *b)
{
    bool closers;

    enter();
    closers = forget_closer(b);
    b->parker = NULL;
    leave();
    if (closers)
        tell_closers();
}

bool batch_closings(gil_batch *b, uint32_t *closings)
{
    *closings = __atomic_load_n(&b->closings, __ATOMIC_ACQUIRE);
    return *closings != b->answered;
}

void batch_answer(gil_batch *b, uint32_t closings)
{
    bool closers;

    enter();
    closers = closings == b->closings && forget_closer(b);
    b->answered = closings;
    leave();
    if (closers)
        tell_closers();
}

/* Marks the batch's requests for the file. */
static void mark(gil_batch *b, int fd)
{
    unsigned count = __atomic_load_n(&b->count, __ATOMIC_ACQUIRE);
    bool any = false;

    for (unsigned i = 0; i < count; i++)
        if (__atomic_load_n(&b->requests[i].fd, __ATOMIC_RELAXED) == fd) {
            __atomic_store_n(&b->requests[i].closed, true, __ATOMIC_RELAXED);
            any = true;
        }
    if (!any)
        return;
    __atomic_add_fetch(&b->closings, 1, __ATOMIC_RELEASE);
    if (b->parker)
        parker_tell(b->parker, PARK_CLOSED);
}

static bool owners_are_to_look(void)
{
    bool some = false;

    enter();
    for (const gil_batch *b = listed.first; b; b = b->next_listed)
        some |= b->parker && b->closings != b->answered;
    leave();
    return some;
}

/* A batch of the calling thread's that has marks. */
static gil_batch *own_marked(void)
{
    gil_batch *b;

    enter();
    for (b = listed.first; b; b = b->next_listed)
        if (b->owner == &this_thread && b->closings != b->answered)
            break;
    leave();
    return b;
}

void batch_close(int fd)
{
    gil_batch *own;
    uint32_t changes;

    enter();
    for (gil_batch *b = listed.first; b; b = b->next_listed)
        mark(b, fd);
    leave();
    while ((own = own_marked()))
        batch_end_closed(own);
    for (;;) {
        changes = __atomic_load_n(&listed.changes, __ATOMIC_ACQUIRE);
        if (!owners_are_to_look())
            return;
        futex_wait(&listed.changes, changes, clock_now_ns() + CLOSER_PAUSE_NS);
    }
}
