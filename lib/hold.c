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

void hold_begins(struct node *n, int64_t now, int64_t waited, bool granted)
{
    n->hold.number = hold_number(n);
    n->hold.since = now;
    n->hold.waited = waited;
    n->hold.granted = granted;
}

void hold_begins_watched(struct node *n)
{
    hold_begins(n, clock_now_ns(), 0, false);
}

/* The slice began with the grant. To look when the hold begins would cost the hand-over a cache
 * miss. */
struct hold hold_ending(const struct lock *l, const struct node *n)
{
    struct hold hold = {.timed = n->hold.number == hold_number(n), .handoff = -1};

    if (hold.timed && n->hold.granted) {
        hold.handoff = n->hold.since - l->slice_start;
        hold.granted_by = relaxed_load(&l->granted_by);
    }
    return hold;
}

/* Out of the way of those that nobody watches. */
static __attribute__((noinline)) void tell(const struct lock *l, const struct node *n,
                                           const struct hold *hold, int64_t ns)
{
    int64_t waited = hold->timed ? n->hold.waited : 0;
    unsigned flags = hold->flags | (hold->timed ? 0 : GIL_RELEASED_PARTIAL);

    if (hold->handoff >= 0)
        PROBE(handoff, l, hold->granted_by, n->tid, hold->handoff);
    PROBE(released, l, n->tstate, waited, ns, hold->waiters, flags);
}

void hold_ended(const struct lock *l, struct node *n, const struct hold *hold)
{
    int64_t ns = hold->timed ? hold->ended - n->hold.since : 0;

    if (hold->handoff >= 0)
        stats_handoff(n, hold->handoff);
    n->hold.granted = false;
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
