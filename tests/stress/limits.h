/* Stands in for lib/tunables.h in the builds with LOCK_STEPS (-include): a run of the stress test
 * chooses the limits, small ones, so that what is rare otherwise happens all the time. It
 * includes nothing of libc, since it comes before any _GNU_SOURCE. */
#ifndef STRESS_LIMITS_H
#define STRESS_LIMITS_H

#include "lib/tunables.h"

extern struct limits {
    long spin, early, watch, look_again, heir, late, interruption, granularity, sprint;
    int glances, settle, take_in;
    unsigned sweep_above;
    unsigned watch_slices;
} limits;

/* Those of lib/tunables.h. */
static const struct limits as_built __attribute__((unused)) = {
    .spin = SPIN_NS,
    .early = EARLY_NS,
    .watch = WATCH_NS,
    .look_again = LOOK_AGAIN_NS,
    .heir = HEIR_NS,
    .late = LATE_NS,
    .interruption = INTERRUPTION_NS,
    .granularity = GRANULARITY_NS,
    .sprint = SPRINT_NS,
    .glances = GLANCES,
    .settle = SETTLE_MAX,
    .take_in = TAKE_IN_MAX,
    .sweep_above = SWEEP_ABOVE,
    .watch_slices = WATCH_SLICES,
};

#undef SPIN_NS
#undef EARLY_NS
#undef WATCH_NS
#undef LOOK_AGAIN_NS
#undef HEIR_NS
#undef LATE_NS
#undef INTERRUPTION_NS
#undef GRANULARITY_NS
#undef SPRINT_NS
#undef GLANCES
#undef SETTLE_MAX
#undef TAKE_IN_MAX
#undef SWEEP_ABOVE
#undef WATCH_SLICES
#undef CHUNK_NODES

#define SPIN_NS         limits.spin
#define GLANCES         limits.glances
#define EARLY_NS        limits.early
#define WATCH_NS        limits.watch
#define LOOK_AGAIN_NS   limits.look_again
#define WATCH_SLICES    limits.watch_slices
#define HEIR_NS         limits.heir
#define LATE_NS         limits.late
#define INTERRUPTION_NS limits.interruption
#define GRANULARITY_NS  limits.granularity
#define SPRINT_NS       limits.sprint
#define SETTLE_MAX      limits.settle
#define TAKE_IN_MAX     limits.take_in
#define SWEEP_ABOVE     limits.sweep_above
#define CHUNK_NODES     4

#endif
