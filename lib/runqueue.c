/* See runqueue.h. */
#include "lib/runqueue.h"

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

static void take_in(struct runqueue *q, struct node *n)
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
    if (!newest->next && !runqueue_backlog(q)) { /* as mostly */
        take_in(q, newest);
        return;
    }
    newest->q.older = NULL;
    if (q->batches)
        q->last_batch->q.older = newest;
    else
        q->batches = newest;
    q->last_batch = newest;
}

int64_t runqueue_arrival(const struct node *newest)
{
    const struct node *n = newest;

    for (int i = 1; i < TAKE_IN_MAX && n->next; i++)
        n = n->next;
    return n->arrived;
}

/* T24. Lets a node go that has been unlinked, before its state says so: from then on it may be in
 * another queue. False: its thread has come back in the meantime, and waits. */
static bool let_go(struct node *n)
{
    uint32_t state = NODE_ABANDONED;

    STEP(T24, relaxed_load(&n->lock), n);
    if (__atomic_compare_exchange_n(&n->state, &state, NODE_IDLE, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return true;
    if (state != NODE_ORPHAN)
        return false;
    relaxed_store(&n->state, NODE_IDLE);
    node_recycle(n);
    return true;
}

static bool has_given_up(const struct node *n)
{
    return is_abandoned(relaxed_load(&n->state));
}

/* Goes on with the backlog by one node: turns it round, or takes it in. May let go one whose thread
 * has given up, if `drop`. */
static void advance(struct runqueue *q, bool drop)
{
    struct node *n = q->unturned;
    bool turn = n;

    if (turn) {
        q->unturned = n->next;
    } else {
        n = q->turned;
        q->turned = n->q.newer;
    }
    if (drop && has_given_up(n) && let_go(n))
        return;
    if (turn) {
        n->q.newer = q->turned;
        q->turned = n;
    } else {
        take_in(q, n);
    }
}

static bool next_batch(struct runqueue *q)
{
    q->unturned = q->batches;
    if (q->batches)
        q->batches = q->batches->q.older;
    return q->unturned;
}

static int settle_backlog(struct runqueue *q)
{
    struct node *n;
    int done = 0;

    while (done < TAKE_IN_MAX && (q->unturned || q->turned || next_batch(q)))
        advance(q, ++done < TAKE_IN_MAX);
    if (!q->count && (n = q->turned)) {
        q->turned = n->q.newer;
        take_in(q, n);
    }
    return done;
}

static void settle_class(struct runqueue *q, int c)
{
    struct node *n;

    /* Those that give up after a time are the oldest: not all are left for the day of reckoning. The
     * last one stays, here and below: with a backlog an owner must find somebody. */
    for (int i = 0; i < SWEEP_MAX && q->count > SWEEP_ABOVE && q->count > 1; i++) {
        n = q->of[c].oldest;
        if (!n || !has_given_up(n))
            break;
        runqueue_reap(q, n);
    }
    for (int i = 1; i <= SETTLE_MAX && (n = q->of[c].fresh); i++) {
        if (i < SETTLE_MAX && q->count > 1 && has_given_up(n)) {
            runqueue_reap(q, n);
            continue;
        }
        q->of[c].fresh = n->q.newer;
        heap_insert(q, n);
    }
}

int runqueue_settle(struct runqueue *q)
{
    int done = runqueue_backlog(q) ? settle_backlog(q) : 0;

    for (int c = 0; c < CLASSES; c++)
        settle_class(q, c);
    return done;
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

void runqueue_reap(struct runqueue *q, struct node *n)
{
    runqueue_remove(q, n);
    if (!let_go(n))
        take_in(q, n);
}
