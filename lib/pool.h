/* Memory for states: items of one size, made from mmap and never unmapped.
 *
 * Invariant: an item's memory stays an item of its kind for as long as the process lives, so that
 * whoever still has a pointer to one that was given back can see that. For the same reason, what
 * was given back is used again as late as possible: in order, and not before `spare` others wait.
 *
 * The caller guards a pool, with a mutex or otherwise. */
#ifndef LIB_POOL_H
#define LIB_POOL_H

#include <stddef.h>

struct pool {
    size_t size;    /* of an item */
    size_t link;    /* where in an item given back there is room for a pointer */
    unsigned chunk; /* so many are made at a time */
    unsigned spare; /* so many given back are kept */
    char *fresh;    /* never used: the rest of a chunk */
    unsigned fresh_left;
    char *oldest, *newest; /* given back */
    unsigned given_back;
};

/* An item, all zero when it was never used, or as it was given back. NULL with errno ENOMEM. */
void *pool_take(struct pool *pool);

void pool_give(struct pool *pool, void *item);

#endif
