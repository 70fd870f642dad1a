/* See runqueue.h. */
#include "lib/runqueue.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/lock_impl.h"

static uint32_t rank(const struct node *n)
{
    return n ? n->q.rank : 0;
}

static bool before(const struct node *a, const struct node *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->arrived < b->arrived;
}

/* Restores the leftist order of n's children and n's rank. */
static void rebalance(struct node *n)
{
    if (rank(n->q.left) < rank(n->q.right)) {
        struct node *swap = n->q.left;
        n->q.left = n->q.right;
        n->q.right = swap;
    }
    n->q.rank = rank(n->q.right) + 1;
}

/* Merges two heaps. The depth of the recursion is the rank, at most log2 of the size. */
static struct node *merge(struct node *a, struct node *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (before(b, a)) {
        struct node *swap = a;
        a = b;
        b = swap;
    }
    a->q.right = merge(a->q.right, b);
    a->q.right->q.parent = a;
    rebalance(a);
    return a;
}

static void heap_insert(struct runqueue *q, struct node *n)
{
    struct node **top = &q->top[n->sprinter];

    n->q.left = n->q.right = n->q.parent = NULL;
    n->q.rank = 1;
    *top = merge(*top, n);
    (*top)->q.parent = NULL;
}

static void heap_remove(struct runqueue *q, struct node *n)
{
    struct node *parent = n->q.parent;
    struct node *rest = merge(n->q.left, n->q.right);

    if (rest)
        rest->q.parent = parent;
    if (!parent)
        q->top[n->sprinter] = rest;
    else if (parent->q.left == n)
        parent->q.left = rest;
    else
        parent->q.right = rest;
    n->q.rank = 0;
    /* Ranks above can only have shrunk; stop where one did not. */
    for (struct node *p = parent; p; p = p->q.parent) {
        uint32_t old = p->q.rank;
        rebalance(p);
        if (p->q.rank == old)
            break;
    }
}

void runqueue_append(struct runqueue *q, struct node *newest)
{
    struct node *last = newest, *first = newest;
    uint32_t count = 1;

    /* The stack's chain leads from the newest to the oldest: link it backwards, then hang it on. */
    newest->q.newer = NULL;
    newest->q.rank = 0;
    newest->queued = true;
    q->served += newest->served;
    for (struct node *n = newest->next; n; n = n->next, count++) {
        first->q.older = n;
        n->q.newer = first;
        n->q.rank = 0;
        n->queued = true;
        q->served += n->served;
        first = n;
    }
    first->q.older = q->newest;
    if (q->newest)
        q->newest->q.newer = first;
    else
        q->oldest = first;
    q->newest = last;
    if (!q->fresh)
        q->fresh = first;
    q->count += count;
}

void runqueue_settle(struct runqueue *q)
{
    for (int i = 0; i < SETTLE_MAX && q->fresh; i++) {
        struct node *n = q->fresh;
        q->fresh = n->q.newer;
        heap_insert(q, n);
    }
}

void runqueue_remove(struct runqueue *q, struct node *n)
{
    if (q->fresh == n)
        q->fresh = n->q.newer;
    if (n->q.rank > 0)
        heap_remove(q, n);
    if (n->q.older)
        n->q.older->q.newer = n->q.newer;
    else
        q->oldest = n->q.newer;
    if (n->q.newer)
        n->q.newer->q.older = n->q.older;
    else
        q->newest = n->q.older;
    q->served -= n->served;
    q->count--;
    n->queued = false;
}
