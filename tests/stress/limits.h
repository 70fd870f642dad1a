/* Stands in for lib/tunables.h in the builds with LOCK_STEPS (-include): a run of the stress test
 * chooses the limits, small ones, so that what is rare otherwise happens all the time. It
 * includes nothing, since it comes before any _GNU_SOURCE. */
#ifndef LIB_TUNABLES_H
#define LIB_TUNABLES_H

extern struct limits {
    long spin, early, watch, look_again, heir, late, interruption, granularity, sprint;
    int glances, settle;
    unsigned watch_slices;
} limits;

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
#define CHUNK_NODES     4

#endif
