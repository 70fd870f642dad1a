/* Counters of a lock, per thread: always on, and no clock is read for them on an uncontended path.
 *
 * A thread's counters live as long as the thread; those of threads that have ended are added up in
 * one entry, whose tid is 0. Reading while other threads run gives values that may be a moment old,
 * each counter by itself consistent.
 *
 * The counters of a whole process are also a file that others may read: see gil_stats_page below.
 */
#ifndef GIL_STATS_H
#define GIL_STATS_H

#include <stddef.h>
#include <stdint.h>

#include <gil/export.h>
#include <gil/lock.h>
#include <gil/trace.h>

GIL_BEGIN_DECLS

typedef struct gil_thread_stats {
    int32_t tid;             /* kernel thread id; 0: all threads without an entry of their own */
    uint32_t threads;        /* how many threads this entry adds up */
    uint64_t acquires;       /* times the lock was taken, take-backs of a deferral not counted */
    uint64_t contended;      /* of these: times somebody else had it, so that the thread waited */
    uint64_t forced;         /* releases with a drop request pending */
    uint64_t handovers;      /* releases that granted the lock to a named waiter */
    uint64_t deferred;       /* releases that were deferred */
    uint64_t deferred_back;  /* of these: taken back by the thread */
    uint64_t deferred_taken; /* of these: taken over by somebody else */
    uint64_t deferred_ended; /* of these: completed because the call had to block */
    uint64_t requests;       /* times the thread asked the owner to drop the lock */
    uint64_t futex_waits;    /* futex calls made by the lock in this thread: sleeping */
    uint64_t futex_wakes;    /* and waking others */
    uint64_t wait_ns;        /* nanoseconds spent waiting for the lock */
    uint64_t handoffs;       /* holds, now over, that began with a grant by another thread */
    uint64_t handoff_ns;     /* nanoseconds from these grants until the thread ran with the lock */
    uint64_t holds;          /* holds that were timed: those that began with a wait and ended while
                                 others waited, and all while the probe `released` is attached */
    uint64_t hold_ns;        /* how long these were, nanoseconds */
    uint64_t holds_partial;  /* holds that were under way when a probe was attached: not timed */
    uint64_t io_inline;      /* calls that did not block: done without giving the lock up */
    uint64_t io_blocked;     /* calls that gave the lock up, and blocked. In CPython both are counted
                                where another thread wanted the lock, and of calls that are tried */
    uint64_t io_interrupted; /* of these: ended by another thread */
    uint64_t wait_max_ns;    /* the longest single wait */
    uint64_t handoff_max_ns; /* the longest of the hand-offs */
    uint64_t hold_max_ns;    /* the longest of the timed holds */
} gil_thread_stats;

/* Fills at most `count` entries with the counters of the threads that have used the lock, the
 * entry for ended threads last, and returns how many there are (which may be more than count).
 * From the 64th lock of a process on, ended threads are counted in its page only, without an entry
 * here. Anyone may call it, with or without the lock. What a thread has counted that is ending at the
 * moment may be in two entries, its own and that for ended threads; it is in one at least. */
GIL_API size_t gil_lock_stats(const gil_lock *lock, gil_thread_stats *stats, size_t count);

/* What a histogram is of: waits for the lock, and hand-offs (from a grant until the waiter ran). */
typedef enum gil_histogram { GIL_HISTOGRAM_WAIT = 0, GIL_HISTOGRAM_HANDOFF = 1 } gil_histogram;

/* Fills `counts` with how many waits (or hand-offs) of all threads that have used the lock fell
 * into each slot of gil_slot(). Returns 0, or -1 with errno EINVAL when there is no such histogram.
 * Anyone may call it, with or without the lock. */
GIL_API int gil_lock_histogram(const gil_lock *lock, gil_histogram which,
                               uint64_t counts[GIL_SLOTS]);

/* Releases that nobody asked for. They are not counted, since they follow from what is: each
 * acquisition and each take-back ends in a release of one kind. A hold that is not over yet is
 * counted as one. */
static inline uint64_t gil_stats_voluntary(const gil_thread_stats *stats)
{
    return stats->acquires + stats->deferred_back - stats->forced - stats->deferred;
}

/* ---- The counters of a process, for others ----
 *
 * A process that uses a lock has a memory file named GIL_STATS_NAME, which others find among its
 * open files (/proc/PID/fd, a link to "/memfd:libgil-stats (deleted)") and may read at any time,
 * if they may look at the process at all; nothing is stopped for that. It holds one gil_stats_page.
 * A forked child has a file of its own, and a program that is executed starts a new one. A program
 * that closes the file goes on counting, where nobody else can see it. When the process
 * ends, whoever has the file open can still read it.
 *
 * A reader compares magic, version and size first. With another version, all that follows may be
 * different. It should read (pread), not map: reading a part of a mapping that was never
 * written makes the kernel provide memory for it. It reads entries of threads before those of locks,
 * and likewise the histograms: then it misses nothing of a thread that ends meanwhile. */

#define GIL_STATS_NAME       "libgil-stats"
#define GIL_STATS_MAGIC      UINT64_C(0x73746174736c6967) /* "gilstats", on a little-endian machine */
#define GIL_STATS_VERSION    1
#define GIL_STATS_THREADS    4096 /* entries for a thread's use of a lock */
#define GIL_STATS_HISTOGRAMS 1024 /* the first so many of them have histograms of their own */
#define GIL_STATS_LOCKS      64   /* entries for all other threads, a lock */

typedef struct gil_stats_entry {
    gil_thread_stats stats; /* threads is 0: not in use */
    uint64_t lock;          /* the lock's address in that process; 0: of several */
    uint64_t reserved[6];
} gil_stats_entry;

typedef struct gil_stats_histograms {
    uint64_t counts[2][GIL_SLOTS]; /* by gil_histogram and gil_slot() */
} gil_stats_histograms;

typedef struct gil_stats_page {
    uint64_t magic;
    uint32_t version;
    int32_t pid;      /* as the process sees it itself */
    uint64_t size;    /* of all this, in bytes */
    uint64_t started; /* CLOCK_MONOTONIC when the file was made, nanoseconds */
    uint32_t used;    /* the entries of `threads` from this one on have never been used */
    uint32_t reserved[7];
    /* For each lock, threads that have ended, and those that had no room in `threads` (these share
     * the histograms as well). The first entry is for the locks that had no room here, and for those
     * that were destroyed. */
    uint64_t lock_of[GIL_STATS_LOCKS]; /* 0: not in use */
    gil_stats_entry locks[GIL_STATS_LOCKS];
    gil_stats_entry threads[GIL_STATS_THREADS];
    gil_stats_histograms lock_histograms[GIL_STATS_LOCKS];
    gil_stats_histograms thread_histograms[GIL_STATS_HISTOGRAMS];
} gil_stats_page;

GIL_END_DECLS

#endif
