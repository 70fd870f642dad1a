/* The run queue: the waiters that an owner has taken off the arrival stack.
 *
 * Invariant: only the owner of the lock reads or writes a run queue and the queue fields of the
 * nodes in it. A node is in one of two parts.
 *
 * *Taken in* (node->queued): it is on the *arrival list* of its class, oldest first; those before
 * `fresh` on that list are also in the *heap* of their class, ordered by key, oldest first among
 * equals. Only these are counted, and only these can be next.
 *
 * The *backlog*: what came off the stack is a batch, a chain that leads from its newest node to its
 * oldest. It is turned round first, node by node, and then taken in from its oldest; after it, the
 * next batch. Nodes in the backlog whose threads have given up are let go on the way.
 *
 * A step turns, takes in and puts into the heaps a bounded number of nodes, so that ten thousand
 * arrivals at once do not hold the owner up. A batch of up to TAKE_IN_MAX / 2 is taken in at once.
 * While a longer one is being turned round, the oldest that is known so far is taken in when there
 * is nobody else: at most one for each TAKE_IN_MAX nodes of the batch, therefore, is served before
 * others that came earlier. Apart from these, the order of arrival is exact, within batches and
 * across them.
 *
 * The heaps are leftist: intrusive, and O(log n) in the worst case for insertion and removal. */
#ifndef LIB_RUNQUEUE_H
#define LIB_RUNQUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct node;

struct runqueue_links {
    struct node *older, *newer; /* arrival list; in the backlog: the next batch, the next node */
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
    struct node *turned;               /* backlog: the oldest node that is known, newer ones next */
    struct node *unturned;             /* and the rest of its batch, by node->next, newest first */
    struct node *batches, *last_batch; /* later batches, each by its newest node */
    int64_t served;                    /* sum over all that have been taken in */
    uint32_t count;
};

static inline bool runqueue_backlog(const struct runqueue *q)
{
    return q->turned || q->unturned || q->batches;
}

static inline bool runqueue_empty(const struct runqueue *q)
{
    return !q->count && !runqueue_backlog(q);
}

/* The node that has waited longest of those that have been taken in, NULL when there are none. */
struct node *runqueue_oldest(const struct runqueue *q);

/* Takes over a chain of nodes linked by node->next, newest first, as it comes off the stack: it is
 * the last batch of the backlog. */
void runqueue_append(struct runqueue *q, struct node *newest);

/* When the first of a chain began to wait; of a long one, the first of those that are looked at. */
int64_t runqueue_arrival(const struct node *newest);

/* A step: takes in a bounded number of nodes, and moves a bounded number into the heaps, at least
 * one of each class that has any. Afterwards a queue that is not empty has a node that can be next.
 * Returns how many nodes of the backlog it has turned or taken in. */
int runqueue_settle(struct runqueue *q);

/* Removes a node that has been taken in. */
void runqueue_remove(struct runqueue *q, struct node *n);

/* The same for one whose thread has given up. If that has come back, it queues again. */
void runqueue_reap(struct runqueue *q, struct node *n);

#endif
