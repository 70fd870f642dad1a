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
    struct node **top = &q->of[n->sprinter].top;

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
        q->of[n->sprinter].top = rest;
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

struct node *runqueue_oldest(const struct runqueue *q)
{
    struct node *computing = q->of[CLASS_COMPUTING].oldest;
    struct node *sprinter = q->of[CLASS_SPRINTER].oldest;

    if (!computing || (sprinter && sprinter->arrived < computing->arrived))
        return sprinter;
    return computing;
}

static void append(struct runqueue *q, struct node *n)
{
    struct node *newest = q->of[n->sprinter].newest;

    n->q.older = newest;
    n->q.newer = NULL;
    n->q.rank = 0;
    n->queued = true;
    if (newest)
        newest->q.newer = n;
    else
        q->of[n->sprinter].oldest = n;
    q->of[n->sprinter].newest = n;
    if (!q->of[n->sprinter].fresh)
        q->of[n->sprinter].fresh = n;
    q->served += n->served;
    q->count++;
}

void runqueue_append(struct runqueue *q, struct node *newest)
{
    struct node *oldest = NULL, *next;

    /* The stack's chain leads from the newest to the oldest: turn it round first. */
    for (struct node *n = newest; n; n = n->next) {
        n->q.newer = oldest;
        oldest = n;
    }
    for (struct node *n = oldest; n; n = next) {
        next = n->q.newer;
        append(q, n);
    }
}

void runqueue_settle(struct runqueue *q)
{
    for (int c = 0; c < CLASSES; c++) {
        for (int i = 0; i < SETTLE_MAX && q->of[c].fresh; i++) {
            struct node *n = q->of[c].fresh;
            q->of[c].fresh = n->q.newer;
            heap_insert(q, n);
        }
    }
}

void runqueue_remove(struct runqueue *q, struct node *n)
{
    int class = n->sprinter;

    if (q->of[class].fresh == n)
        q->of[class].fresh = n->q.newer;
    if (n->q.rank > 0)
        heap_remove(q, n);
    if (n->q.older)
        n->q.older->q.newer = n->q.newer;
    else
        q->of[class].oldest = n->q.newer;
    if (n->q.newer)
        n->q.newer->q.older = n->q.older;
    else
        q->of[class].newest = n->q.older;
    q->served -= n->served;
    q->count--;
    n->queued = false;
}
