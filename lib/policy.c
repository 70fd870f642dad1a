/* Who is next, and who asks the owner to drop the lock before its slice ends.
 *
 * fair: the waiter that has had the lock for the least time. Served time is compared with the
 * *floor*, the least served time among the owner and the waiters, which only ever grows. Whoever
 * begins to wait is brought within [floor - two intervals, floor + one interval]: a thread that
 * slept for long comes back with a bounded lead, one that held the lock through a long C call with
 * a bounded debt. Threads that keep coming back with a lead could keep one that computes waiting
 * for as long as they please; therefore a waiter older than an interval for each waiter goes first.
 *
 * A *sprinter* has used less than an interval since it last gave the lock up by itself: it calls
 * things that may block. It is let in as soon as it has had no more than the average (asking the
 * owner at once), but for a short slice; so it gets its share in small pieces, often, while
 * threads that compute keep their long slices. Sprinters that have had less than the average are
 * equals: otherwise one with a long lead, having slept, would keep the others waiting until it has
 * used it up. Since the average moves both ways while they wait, later ones may pass; one that has
 * waited for half an interval is next. A new thread, which may be there to answer a request, waits
 * among them for its first turn, but does not ask for it; it starts with a debt of a quarter of an
 * interval, so that a thread per request does not starve the others.
 *
 * Among themselves sprinters do not hurry: each has mostly given the lock up by the time that
 * another is awake, and a request would only turn that into a hand-over. While no other thread
 * waits, a sprinter asks when it finds that the owner has stayed for longer than a sprint, and
 * otherwise after an interval: for one that sleeps, a deadline before the next tick costs more than
 * the hand-over that it waits for.
 *
 * Another thread asks before the end of a slice only when nobody else would get the lock, and it
 * is behind the owner by more than a granularity; or by more than an interval and a granularity,
 * if it was dropped itself: equals would end up with slices of a granularity.
 *
 * fifo: the oldest waiter; nobody asks before the end of the slice.
 *
 * The policy may change at any time: what waiters and the queue carry is the same under both, and
 * is kept up to date under both. */
#include "lib/lock_impl.h"

/* Average served time of the waiters and the owner, its running slice included: a waiter that asked
 * because it would be let in at this moment must not find that it is not. */
static int64_t average_now(const struct lock *l, int64_t now)
{
    int64_t running = l->slice_start && now > l->slice_start ? now - l->slice_start : 0;

    return (l->queue.served + l->owner->served + running) / (int64_t)(l->queue.count + 1);
}

static struct node *choose(struct lock *l, int64_t now)
{
    const struct runqueue *q = &l->queue;
    struct node *oldest = runqueue_oldest(q), *computing, *sprinter;
    int64_t interval = lock_interval(l), most;

    if (!oldest || relaxed_load(&l->policy) == GIL_FIFO)
        return oldest;
    if (now - oldest->arrived > (int64_t)(q->count + 1) * interval)
        return oldest;
    computing = q->of[CLASS_COMPUTING].top;
    sprinter = q->of[CLASS_SPRINTER].top;
    if (!sprinter)
        return computing;
    most = average_now(l, now);
    if (!computing || computing->served > most)
        most = computing ? computing->served : INT64_MAX;
    oldest = q->of[CLASS_SPRINTER].oldest;
    if (now - oldest->arrived > interval / 2 && oldest->served <= most)
        return oldest;
    return sprinter->served <= most ? sprinter : computing;
}

struct node *policy_next(struct lock *l, int64_t now)
{
    for (int effort = 0;; effort += REAP_EFFORT) {
        struct node *n;

        effort += runqueue_settle(&l->queue);
        n = choose(l, now);
        if (!n || effort >= TAKE_IN_MAX ||
            !is_abandoned(__atomic_load_n(&n->state, __ATOMIC_SEQ_CST)))
            return n;
        runqueue_reap(&l->queue, n);
    }
}

/* How far behind the owner a thread must be to ask: a granularity of the interval. */
int64_t policy_granularity(const struct lock *l)
{
    int64_t tenth = lock_interval(l) / 10;

    return tenth < GRANULARITY_NS ? tenth : GRANULARITY_NS;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

void policy_join(struct lock *l, struct node *n)
{
    int64_t interval = lock_interval(l);
    int64_t floor = relaxed_load(&l->floor);
    int64_t average = relaxed_load(&l->average);
    int64_t served = relaxed_load(&n->served);
    bool sprinter = policy_sprints(l, n) || n->newcomer;

    if (relaxed_load(&n->charged))
        served += __atomic_exchange_n(&n->charged, 0, __ATOMIC_RELAXED);
    if (average < floor)
        average = floor;
    if (n->newcomer)
        served = average + interval / 4;
    else if (sprinter)
        served = clamp(served, average - 2 * interval, average + policy_granularity(l));
    else
        served = clamp(served, floor - 2 * interval, floor + interval);
    relaxed_store(&n->served, served);
    n->key = sprinter && served < average ? average : served;
    relaxed_store(&n->sprinter, sprinter);
    n->patient = n->dropped && !sprinter;
    n->newcomer = n->dropped = false;
}

int64_t policy_slice(const struct lock *l, const struct node *owner)
{
    int64_t interval = lock_interval(l);

    if (relaxed_load(&l->policy) == GIL_FAIR && interval > SPRINT_NS && policy_sprints(l, owner))
        return SPRINT_NS;
    return interval;
}

/* For a thread that is no sprinter: when the owner is ahead of it by too much. */
static int64_t ask_when_behind(const struct lock *l, const struct node *n, const struct node *owner,
                               int64_t slice)
{
    int64_t floor = relaxed_load(&l->floor);
    int64_t least = relaxed_load(&l->least);
    int64_t used = relaxed_load(&owner->served);
    int64_t at = NEVER;

    if (used < floor)
        used = floor;
    if (!least || n->served <= least)
        at = slice + n->served + policy_granularity(l) - used + (n->patient ? lock_interval(l) : 0);
    /* A sprinter that has interrupted a thread may not stay for longer than its short slice. */
    if (n->patient && relaxed_load(&owner->sprinter) && at > relaxed_load(&l->slice_end))
        at = relaxed_load(&l->slice_end);
    return at;
}

/* Does n wait for one of its kind, and nobody else with it? */
static bool among_sprinters(const struct lock *l, const struct node *n)
{
    const struct node *owner = relaxed_load(&l->owner);

    return n->sprinter && owner && relaxed_load(&owner->sprinter) && !relaxed_load(&l->computing) &&
           relaxed_load(&l->policy) == GIL_FAIR;
}

bool policy_passed_over(const struct lock *l, const struct node *n, int64_t now)
{
    return among_sprinters(l, n) && now - n->arrived >= policy_granularity(l);
}

int64_t policy_slice_end(const struct lock *l, const struct node *n)
{
    int64_t end = relaxed_load(&l->slice_end);
    int64_t start = relaxed_load(&l->slice_start);
    int64_t latest = start + lock_interval(l); /* the interval may be shorter by now */

    if (among_sprinters(l, n) || end > latest)
        end = latest;
    /* An owner that was alone starts a slice with the first arrival. */
    return start && end > n->arrived ? end : n->arrived + lock_interval(l);
}

/* For a sprinter: when it has had no more than the average. That grows by the slice's time divided
 * by those who share it. What is published is of the last slice that began: an owner that was alone
 * has begun none, and nothing there counts it. */
static int64_t ask_when_average(const struct lock *l, const struct node *n,
                                const struct node *owner, int64_t slice)
{
    int64_t average = relaxed_load(&l->average), sharers = relaxed_load(&l->sharers);

    if (!relaxed_load(&l->slice_start)) {
        average = (n->served + relaxed_load(&owner->served)) / 2;
        sharers = 2;
    }
    return slice + (n->served - average) * (sharers ? sharers : 1);
}

int64_t policy_ask_at(const struct lock *l, const struct node *n, int64_t now)
{
    int64_t slice = relaxed_load(&l->slice_start), at;
    const struct node *owner = relaxed_load(&l->owner);

    if (relaxed_load(&l->policy) == GIL_FIFO || !owner || owner == n)
        return NEVER;
    if (!slice || slice > now)
        slice = now; /* the owner was alone, or has changed just now */
    if (n->sprinter && !policy_sprints(l, n))
        return NEVER; /* a new thread */
    at = n->sprinter ? ask_when_average(l, n, owner, slice) : ask_when_behind(l, n, owner, slice);
    if (among_sprinters(l, n) && at < slice + SPRINT_NS)
        at = slice + SPRINT_NS;
    if (at <= now)
        return now;
    return !among_sprinters(l, n) && at <= policy_slice_end(l, n) ? at : NEVER;
}
