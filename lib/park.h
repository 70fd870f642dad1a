/* Where a thread waits for another one: its parker, with a futex word of its own.
 *
 * Invariant: a parker's memory stays a parker for as long as the process lives, so that a late
 * wake-up does no harm. It belongs to one thread at a time, which sleeps in one wait at a time. */
#ifndef LIB_PARK_H
#define LIB_PARK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel-helpers/futex.h"

/* What is in a parker's word. */
enum {
    PARK_WOKEN = 1,       /* the wait is over: set last by whoever ends it */
    PARK_INTERRUPTED = 2, /* gil_interrupt(); cleared by the wait that returns EINTR */
    PARK_SLEEPING = 4,    /* its thread sleeps, or is about to */
};

struct waiters;

struct parker {
    uint32_t word;
    struct waiters *queue;      /* where it is queued, if so; whose guard is for the next two */
    struct parker *next, *prev; /* in the queue, or next in a chain to be woken */
    void *item;                 /* what is passed to or from the waiting thread */
    unsigned long ident;        /* whose it is; 0: nobody's */
    struct parker *next_alive, **link; /* among those of one hash, or the free ones */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct parker) == 64, "a parker is one cache line");

extern __thread struct parker *thread_parker;

/* How often this process has been forked from another since the library was loaded. */
extern uint32_t fork_generation;

/* Makes the calling thread's parker. Never fails. */
struct parker *parker_make(void);

static inline struct parker *parker_self(void)
{
    struct parker *p = thread_parker;
    return __builtin_expect(p != NULL, 1) ? p : parker_make();
}

/* Creates a thread whose parker is there before anybody can know its ident. It calls
 * parker_adopt(*p) first of all; p is written before it starts. Returns 0 or an error. */
int parker_create_thread(struct parker **p, pthread_t *thread, const pthread_attr_t *attr,
                         void *(*fn)(void *), void *arg);
void parker_adopt(struct parker *p);

/* Before the calling thread is queued anywhere: it is to be woken from now on. */
static inline void parker_prepare(struct parker *p)
{
    __atomic_fetch_and(&p->word, ~(uint32_t)PARK_WOKEN, __ATOMIC_RELAXED);
}

/* Sleeps until the calling thread is woken. False: deadline_ns (CLOCK_MONOTONIC, or FUTEX_FOREVER)
 * has passed, or, if that is asked for, it was interrupted. */
bool park(struct parker *p, int64_t deadline_ns, bool interruptible);

/* Ends a wait. The parker is not touched afterwards. */
void unpark(struct parker *p);

/* Was the calling thread interrupted? The second forgets that it was. */
static inline bool parker_interrupted(const struct parker *p)
{
    return __atomic_load_n(&p->word, __ATOMIC_RELAXED) & PARK_INTERRUPTED;
}

static inline void parker_clear_interrupt(struct parker *p)
{
    __atomic_fetch_and(&p->word, ~(uint32_t)PARK_INTERRUPTED, __ATOMIC_RELAXED);
}

/* Interrupts a thread that has not ended: gil_interrupt() by its parker. Signal handlers may. */
void parker_interrupt(struct parker *p);

#endif
