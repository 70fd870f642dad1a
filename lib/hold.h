/* Timing holds: see hold.c. */
#ifndef LIB_HOLD_H
#define LIB_HOLD_H

#include "lib/lock_impl.h"

/* What a release knows of the hold that it ends. */
struct hold {
    bool timed;       /* its beginning is known */
    int64_t ended;    /* when it was over */
    uint32_t waiters; /* how many waited then, as far as they had been taken off the stack */
    unsigned flags;   /* GIL_RELEASED_… */
};

/* The calling thread has got the lock `now`, after a wait (ns); granted: when it was granted the
 * lock, and by whom; or 0. */
void hold_begins(struct node *n, int64_t now, int64_t waited, int64_t granted, int32_t by);

/* The same without a wait, while somebody watches: reads the clock. */
void hold_begins_watched(struct node *n);

/* The calling thread, which has the lock, is about to release it. */
struct hold hold_ending(const struct node *n);

/* It has released it, and touches l no more: only its address is told. */
void hold_ended(const struct lock *l, struct node *n, const struct hold *hold);

#endif
