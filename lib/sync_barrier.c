/* Barrier. See include/gil/sync.h.
 *
 * The last one to arrive takes all others off the queue, runs the action, and wakes them. Whoever
 * comes meanwhile is the first of the next round: rounds do not meet. A waiter's parker has its
 * number, and then how its round went. */
#include <errno.h>

#include <gil/sync.h>

#include "lib/waiters.h"

struct barrier {
    struct waiters waiters;
    uint32_t parties;
    uint32_t broken; /* also read without the guard */
    uint32_t round;  /* counted on whenever the queue is emptied */
    gil_barrier_fn *action;
    void *arg;
};

_Static_assert(sizeof(struct barrier) <= sizeof(gil_barrier), "gil_barrier is large enough");

static char failed; /* its address is in a waiter's parker when its round came to nothing */

int gil_barrier_init(gil_barrier *barrier, uint32_t parties, gil_barrier_fn *action, void *arg)
{
    if (parties == 0 || parties > INT32_MAX)
        return fails(EINVAL);
    *(struct barrier *)barrier = (struct barrier){.parties = parties, .action = action, .arg = arg};
    return 0;
}

static void set_broken(struct barrier *b, bool broken)
{
    __atomic_store_n(&b->broken, broken, __ATOMIC_RELAXED);
}

/* Nobody looks at a parker's item before it is woken. */
static void fail_all(struct parker *chain)
{
    for (struct parker *p = chain; p; p = p->next)
        p->item = &failed;
    waiters_wake(chain);
}

/* The guard is held: all that wait are off the queue, and the next round begins. */
static struct parker *end_round(struct barrier *b)
{
    b->round++;
    return waiters_take_many(&b->waiters, SIZE_MAX);
}

/* Sends everybody away that waits, and leaves the barrier broken or whole. */
static void start_over(struct barrier *b, bool broken)
{
    gil_thread_state *aside = stand_aside(waiters_count(&b->waiters));
    struct parker *chain;

    waiters_enter(&b->waiters);
    set_broken(b, broken);
    chain = end_round(b);
    waiters_leave(&b->waiters);
    fail_all(chain);
    come_back(aside);
}

/* The caller has left a round. Somebody may have started over since then. */
static void break_round(struct barrier *b, uint32_t round)
{
    gil_thread_state *aside = stand_aside(waiters_count(&b->waiters));
    struct parker *chain = NULL;

    waiters_enter(&b->waiters);
    if (b->round == round) {
        set_broken(b, true);
        chain = end_round(b);
    }
    waiters_leave(&b->waiters);
    fail_all(chain);
    come_back(aside);
}

/* All are there, and `chain` are the others. The action runs under the interpreter lock. */
static int complete(struct barrier *b, struct parker *chain, gil_thread_state **aside)
{
    int number = (int)b->parties - 1, error;

    come_back(*aside);
    *aside = NULL;
    if (b->action && b->action(b->arg) < 0) {
        error = errno;
        start_over(b, true);
        fail_all(chain);
        return fails(error);
    }
    *aside = stand_aside((uint32_t)number);
    waiters_wake(chain);
    return number;
}

/* *aside: the state with which the caller will come back, if it has stood aside. */
static int arrive(struct barrier *b, int64_t timeout_ns, gil_thread_state **aside)
{
    struct parker *p = parker_self();
    uint32_t round;
    int number;

    waiters_enter(&b->waiters);
    number = (int)b->waiters.count;
    round = b->round;
    if (b->broken) {
        waiters_leave(&b->waiters);
        return fails(ECANCELED);
    }
    if ((uint32_t)number + 1 == b->parties) {
        struct parker *chain = end_round(b);

        waiters_leave(&b->waiters);
        return complete(b, chain, aside);
    }
    p->item = NULL;
    if (waiters_wait(&b->waiters, timeout_ns, true) < 0) {
        int error = errno;

        break_round(b, round);
        return fails(error);
    }
    return p->item == &failed ? fails(ECANCELED) : number;
}

int gil_barrier_wait(gil_barrier *barrier, int64_t timeout_ns)
{
    struct barrier *b = (struct barrier *)barrier;
    uint32_t waiting = waiters_count(&b->waiters);
    gil_thread_state *aside = waiting + 1 == b->parties ? stand_aside(waiting) : NULL;
    int number = arrive(b, timeout_ns, &aside);

    come_back(aside);
    return number;
}

void gil_barrier_abort(gil_barrier *barrier)
{
    start_over((struct barrier *)barrier, true);
}

void gil_barrier_reset(gil_barrier *barrier)
{
    start_over((struct barrier *)barrier, false);
}

uint32_t gil_barrier_parties(const gil_barrier *barrier)
{
    return ((const struct barrier *)barrier)->parties;
}

uint32_t gil_barrier_waiting(gil_barrier *barrier)
{
    struct waiters *w = &((struct barrier *)barrier)->waiters;
    uint32_t count;

    waiters_enter(w);
    count = w->count;
    waiters_leave(w);
    return count;
}

bool gil_barrier_broken(const gil_barrier *barrier)
{
    return __atomic_load_n(&((const struct barrier *)barrier)->broken, __ATOMIC_RELAXED);
}
