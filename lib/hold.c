/* How long holds of the lock take, and what the probes tell of a hold when it is over.
 *
 * A hold is timed only where the clock is read anyway, when it begins after a wait and ends while
 * others wait; or while somebody watches (the probe `released`), when every acquisition and release
 * takes the slow path. Nothing on the fast path says that a hold is not timed: the time of a
 * beginning is good for the hold of the same number, and both acquiring and taking back a deferral
 * count that on.
 *
 * Everything is told after the release, when the thread holds up nobody. */
#include "lib/hold.h"

#include "kernel-helpers/clock.h"

static uint64_t hold_number(const struct node *n)
{
    return n->stats->acquires + n->stats->deferred_back;
}

void hold_begins(struct node *n, int64_t now, int64_t waited, int64_t granted, int32_t by)
{
    n->hold.number = hold_number(n);
    n->hold.since = now;
    n->hold.waited = waited;
    n->hold.handoff = granted ? now - granted : -1;
    n->hold.granted_by = by;
}

void hold_begins_watched(struct node *n)
{
    hold_begins(n, clock_now_ns(), 0, 0, 0);
}

struct hold hold_ending(const struct node *n)
{
    struct hold hold = {.timed = n->hold.number == hold_number(n)};

    return hold;
}

/* Out of the way of those that nobody watches. */
static __attribute__((noinline)) void tell(const struct lock *l, const struct node *n,
                                           const struct hold *hold, int64_t ns)
{
    int64_t waited = hold->timed ? n->hold.waited : 0;
    unsigned flags = hold->flags | (hold->timed ? 0 : GIL_RELEASED_PARTIAL);

    if (hold->timed && n->hold.handoff >= 0)
        PROBE(handoff, l, n->hold.granted_by, n->tid, n->hold.handoff);
    PROBE(released, l, n->tstate, waited, ns, hold->waiters, flags);
}

void hold_ended(const struct lock *l, struct node *n, const struct hold *hold)
{
    int64_t ns = hold->timed ? hold->ended - n->hold.since : 0;

    if (hold->timed) {
        count_up(n, holds);
        count_add(n, &n->stats->hold_ns, (uint64_t)ns);
        count_max(&n->stats->hold_max_ns, (uint64_t)ns);
    } else if (PROBE_ATTACHED(released)) {
        count_up(n, holds_partial);
    }
    if (PROBE_ATTACHED(released) || PROBE_ATTACHED(handoff))
        tell(l, n, hold, ns);
}
