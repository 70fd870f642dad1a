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
    PARK_SIGNALLED = 4,   /* a signal for gil_check_signals(); cleared likewise, or by a retry */
    PARK_CLOSED = 8,      /* gil_close() of a file that its thread waits for */
    PARK_ENDS = PARK_INTERRUPTED | PARK_SIGNALLED | PARK_CLOSED, /* a blocking system call */
    /* What its thread does, or is about to: what wakes it then. */
    PARK_SLEEPING = 16,    /* it sleeps on the word */
    PARK_CALLING = 32,     /* it is in an interruptible system call */
    PARK_ELSEWHERE = 64,   /* it is in a function that can be called back: `unblock` */
    PARK_UNBLOCKING = 128, /* and another thread is about to do that */
    /* Above: how many threads are about to send it the signal that ends its call. */
    PARK_SENDER = 256,
};

struct waiters;

/* What ends a function of the host's in which a thread is. */
struct unblock {
    void (*fn)(void *arg);
    void *arg;
};

struct parker {
    uint32_t word;
    int32_t tid;                   /* of its thread */
    struct waiters *queue;         /* where it is queued, if so; whose guard is for the next two */
    struct parker *next, *prev;    /* in the queue, or next in a chain to be woken */
    void *item;                    /* what is passed to or from the waiting thread */
    unsigned long ident;           /* whose it is; 0: nobody's */
    struct parker *next_alive;     /* among those of one hash, or the free ones */
    const struct unblock *unblock; /* set while the word says ELSEWHERE */
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

/* Which of these bits are set in the calling thread's word? The other two set and clear some. A set
 * is a release: whoever finds the bit there looks for the thread's number. */
static inline uint32_t parker_has(const struct parker *p, uint32_t bits)
{
    return __atomic_load_n(&p->word, __ATOMIC_RELAXED) & bits;
}

static inline void parker_set(struct parker *p, uint32_t bits)
{
    __atomic_fetch_or(&p->word, bits, __ATOMIC_RELEASE);
}

static inline void parker_clear(struct parker *p, uint32_t bits)
{
    __atomic_fetch_and(&p->word, ~bits, __ATOMIC_RELAXED);
}

/* The calling thread goes into an interruptible system call, and has come back. Whoever was about
 * to send it the signal has done so by then, and the signal has arrived: it ends no call of the
 * host's. */
void parker_call(struct parker *p);
void parker_called(struct parker *p);

/* Clears some of PARK_ENDS: what they told has been noticed. */
void parker_forget(struct parker *p, uint32_t bits);

/* Sets one of PARK_ENDS in the word of a thread that has not ended, and ends what that thread waits
 * in. Signal handlers may. */
void parker_tell(struct parker *p, uint32_t what);

/* The calling thread goes into a function that `u` ends, and has come back: true when u was called.
 */
void parker_leave(struct parker *p, const struct unblock *u);
bool parker_return(struct parker *p);

#endif
