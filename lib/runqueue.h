/* The run queue: the waiters that an owner has taken off the arrival stack.
 *
 * Invariant: only the owner of the lock reads or writes a run queue and the queue fields of the
 * nodes in it. Every queued node is on the *arrival list* of its class (oldest first); those before
 * `fresh` on that list are also in the *heap* of their class, ordered by key, oldest first among
 * equals. New nodes enter the heaps a few at a time, so that ten thousand arrivals at once do not
 * hold the owner up.
 *
 * The heaps are leftist: intrusive, and O(log n) in the worst case for insertion and removal. */
#ifndef LIB_RUNQUEUE_H
#define LIB_RUNQUEUE_H

#include <stdint.h>

struct node;

struct runqueue_links {
    struct node *older, *newer;         /* arrival list */
    struct node *left, *right, *parent; /* heap */
    uint32_t rank; /* heap: length of the shortest way down to an empty place; 0: not in it */
};

/* See policy.c. */
enum { CLASS_COMPUTING, CLASS_SPRINTER, CLASSES };

struct runqueue {
    struct {
        struct node *oldest, *newest; /* arrival list */
        struct node *fresh;           /* first of the arrival list that is not in the heap */
        struct node *top;             /* the heap's least */
    } of[CLASSES];
    int64_t served; /* sum over all queued nodes */
    uint32_t count;
};

/* The node that has waited longest, NULL when the queue is empty. */
struct node *runqueue_oldest(const struct runqueue *q);

/* Takes over a chain of nodes linked by node->next, newest first, as it comes off the stack. */
void runqueue_append(struct runqueue *q, struct node *newest);

/* Moves a bounded number of fresh nodes into the heaps, at least one of each class that has any. */
void runqueue_settle(struct runqueue *q);

/* Removes a node that is in the queue. */
void runqueue_remove(struct runqueue *q, struct node *n);

#endif
