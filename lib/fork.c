/* After a fork, in the child: only the calling thread is left.
 *
 * A lock that it owned stays its own; any other lock that was in use is free; queues are empty and
 * a deferral that was pending in the parent is void. Locks are found through the nodes of the
 * threads that were using them at the moment of the fork, so that no memory of a lock that was
 * given back without being destroyed is touched. For this, a thread's node says HELD from before it
 * takes the lock until after it has released it. */
#include <string.h>

#include "lib/lock_impl.h"

static bool in_use(const struct node *n)
{
    return n->lock && relaxed_load(&n->state) != NODE_IDLE;
}

void lock_reset(struct lock *l)
{
    relaxed_store(&l->word, 0);
    relaxed_store(&l->owner, NULL);
    relaxed_store(&l->head, NULL);
    relaxed_store(&l->drop, 0);
    relaxed_store(&l->absent, NULL);
    relaxed_store(&l->watch, 0);
    relaxed_store(&l->slice_start, 0);
    relaxed_store(&l->slice_end, 0);
    relaxed_store(&l->least, 0);
    relaxed_store(&l->sharers, 0);
    relaxed_store(&l->computing, false);
    relaxed_store(&l->spinners, 0);
    l->deferred_in_slice = false;
    memset(&l->queue, 0, sizeof l->queue);
    stats_forget_ended(l);
}

static void reset_lock_of(struct node *n, void *arg)
{
    (void)arg;
    if (in_use(n))
        lock_reset(n->lock);
}

void lock_after_fork(void)
{
    stats_after_fork();
    node_each(reset_lock_of, NULL);
    for (struct node *n = thread_nodes; n; n = n->sibling) {
        n->queued = false;
        if (!in_use(n))
            continue;
        if (relaxed_load(&n->state) == NODE_HELD) {
            relaxed_store(&n->lock->owner, n);
            relaxed_store(&n->lock->word, WORD_LOCKED);
        } else {
            relaxed_store(&n->state, NODE_IDLE);
        }
    }
    node_after_fork();
}
