/* What the lock's timing depends on. Times are nanoseconds. The builds for the stress test put
 * tests/stress/limits.h in this file's place, which lets a run choose. */
#ifndef LIB_TUNABLES_H
#define LIB_TUNABLES_H

/* A spinner's longest stay: half of what waking an idle CPU costs. */
#define SPIN_NS 20000

/* A newcomer's first look: how many times it reads the word before it queues, about 1 µs. An owner
 * that only passes through is gone by then. */
#define GLANCES 24

/* The head wakes this much before the slice ends: about the slack that the kernel gives a timer, so
 * that it asks a few microseconds early, or spins for the last few, instead of being late. */
#define EARLY_NS 50000

/* How often the head looks for deferrals, and how soon it looks again at one that it has seen:
 * timers add 50 to 100 µs. Together they bound how long a deferral that nobody completes keeps the
 * head waiting. */
#define WATCH_NS      250000
#define LOOK_AGAIN_NS 30000

/* Slices without a deferral until heads stop watching; otherwise each slice of a thread that
 * defers would begin by waking the head. */
#define WATCH_SLICES 8

/* How long an heir may be passed over before it is granted the lock. */
#define HEIR_NS 200000

/* How long after it was due a thread that gave up the lock counts as held up: see makes_room() in
 * wait.c. */
#define LATE_NS 100000

/* What a thread is charged for interrupting the slice of another. */
#define INTERRUPTION_NS 3000

/* How far behind the owner a thread that does not sprint must be to ask at once. */
#define GRANULARITY_NS 500000

/* A sprinter's slice: short, since it gets the lock ahead of others. */
#define SPRINT_NS 125000

/* Heap insertions a step and class: a step is one release, and this many take about half a
 * microsecond. */
#define SETTLE_MAX 16

/* Nodes of the backlog that a step turns round or takes in: most of them are in no cache, and cost
 * 0.1 to 0.2 µs each. */
#define TAKE_IN_MAX 96

/* How many times longer it takes to remove one from a heap. */
#define REAP_EFFORT 16

/* With more waiters than that, a step looks at so many of the oldest: have they given up? */
#define SWEEP_ABOVE 64
#define SWEEP_MAX   4

/* Nodes are made so many at a time. */
#define CHUNK_NODES 256

#endif
