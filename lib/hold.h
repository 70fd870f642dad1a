/* Timing holds: see hold.c. */
#ifndef LIB_HOLD_H
#define LIB_HOLD_H

#include "lib/lock_impl.h"

/* What a release knows of the hold that it ends. */
struct hold {
    bool timed;         /* its beginning is known */
    int64_t ended;      /* when it was over */
    int64_t handoff;    /* how long before it the lock was granted, ns; -1: it was not */
    int32_t granted_by; /* kernel thread id */
    uint32_t waiters; /* how many waited at the end, as far as they had been taken off the stack */
    unsigned flags;   /* GIL_RELEASED_… */
};

/* The calling thread has got the lock `now`, after a wait (ns), at the end of which it was granted,
 * or not. */
void hold_begins(struct node *n, int64_t now, int64_t waited, bool granted);

/* The same without a wait, while somebody watches: reads the clock. */
void hold_begins_watched(struct node *n);

/* The calling thread, which has the lock, is about to release it. */
struct hold hold_ending(const struct lock *l, const struct node *n);

/* It has released it, and touches l no more: only its address is told. */
void hold_ended(const struct lock *l, struct node *n, const struct hold *hold);

#endif
