/* Inside the lock: its fields, a waiter's node, and the functions that the files of lib/ share.
 * The protocol is explained at the head of lock.c. */
#ifndef LIB_LOCK_IMPL_H
#define LIB_LOCK_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/single_threaded.h>

#include <gil/lock.h>
#include <gil/stats.h>

#include "kernel-helpers/futex.h"
#include "kernel-helpers/probe.h"
#include "lib/runqueue.h"
#include "lib/tunables.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define NEVER INT64_MAX /* as a time, ns */

#define relaxed_load(p)     __atomic_load_n(p, __ATOMIC_RELAXED)
#define relaxed_store(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)

/* ---- The lock word: flags in the low bits, a node in the others. ---- */
enum {
    WORD_LOCKED = 1, /* somebody owns the lock; the node is the top of the arrival stack */
    WORD_HASQ = 2,   /* nobody does, and the run queue is not empty; no node */
    WORD_DEFERRED =
        4, /* nobody does, the queue is not empty, and nobody was woken: the node is the deferrer */
    WORD_FLAGS = 63,
};

/* ---- What a node is doing. Its owner thread and the owner of the lock change it by CAS. ---- */
enum {
    NODE_IDLE = 0,  /* nothing */
    NODE_HELD,      /* its thread owns the lock */
    NODE_DEFERRING, /* its thread has deferred a release */
    NODE_WAITING,   /* waits; sleeps without a deadline unless it asked for a drop itself */
    NODE_HEAD,      /* waits, responsible: asks at the end of the slice */
    NODE_WATCH,     /* waits, responsible: also looks for a deferral every WATCH_NS */
    NODE_HEIR,      /* waits, responsible: the lock was freed for it, and it competes for it */
    NODE_GRANTED,   /* owns the lock, and has not noticed yet */
    NODE_ABANDONED, /* its thread gave up waiting; still linked */
    NODE_ORPHAN,    /* and that thread has ended: whoever unlinks it puts it back into the pool */
    NODE_ROLE = 255,
    NODE_SLEEPING = 256, /* with a waiting role: sleeps on the state word, or is about to */
};

struct node {
    /* A waiter spins on its state: on this line an owner that hands the lock over writes that only. */
    uint32_t state; /* futex word */
    int32_t tid;
    struct node *next;    /* stack; written by the waiter before it pushes */
    struct lock *lock;    /* which lock it is for; NULL: none */
    struct node *sibling; /* the thread's next node */
    uint32_t index;       /* pool: which node it is; never changes */
    uint32_t pool_next;   /* pool: index + 1 of the next free node */
    int64_t left;         /* when it last gave the lock up while others waited, or 0: it is back */
    gil_thread_stats *stats; /* where its thread counts, in the page of counters */
    int cpu;                 /* where its thread last got the lock after waiting; -1 unknown */
    /* What the owner of the lock needs to find the next one. */
    struct runqueue_links q __attribute__((aligned(64))); /* owner of the lock */
    int64_t served; /* GIL time used, clamped on joining; fixed while queued */
    int64_t key;    /* its place in the run queue: served, see policy.c; fixed while queued */
    bool queued;    /* owner of the lock: taken into the run queue */
    bool newcomer;  /* has never waited for this lock */
    bool dropped;   /* was asked to when it last released the lock */
    bool sprinter, patient; /* see policy.c; fixed while queued */
    bool shares_counters;   /* with other threads: the page has no entry for it */
    int64_t since_call;     /* GIL time used since it last released the lock unasked */
    int64_t charged;        /* GIL time that others found it had used; added to served on joining */
    int64_t arrived;        /* when it began to wait */
    int64_t heir_since;     /* owner of the lock: when it was first passed over, or 0 */
    int64_t absence;        /* how long it is typically away after it has given the lock up */
    /* Its thread's own: for counters and probes, on slow paths only. */
    gil_stats_histograms *histograms; /* perhaps shared */
    void *tstate; /* thread state with which it waits or releases; NULL: the lock is used alone */
    struct {
        uint64_t number; /* which hold this is about: see hold_number() */
        int64_t since;   /* when it began */
        int64_t waited;  /* how long the wait before took, ns */
        bool granted;    /* and whether the lock was granted */
    } hold;
} __attribute__((aligned(64)));

struct lock {
    /* What a thread that comes along reads and writes. */
    uintptr_t word;
    struct node *owner; /* who has it, or had it last */
    struct node *head;  /* the responsible waiter that an owner has named; NULL: the next to push */
    uint32_t drop;      /* somebody asked the owner to drop the lock */
    int32_t granted_by; /* kernel thread id of who granted it last */
    struct node *asker; /* who asked last */
    struct node *absent; /* who gave it up last of its own accord, while others waited */
    int64_t made_room;   /* `left` of the absent thread that the head last made room for */
    uint32_t watch;      /* releases are being deferred: a head looks every WATCH_NS */
    int64_t slice_start; /* since when the owner's time is charged; 0: since the first arrival */
    int64_t slice_end;   /* how long it may keep the lock when others want it */
    int64_t least;       /* when the slice began: served time of the least served waiter; 0: none */
    int64_t average;     /* and the average over the owner and the waiters, */
    uint32_t sharers;    /* and how many these were, */
    bool computing;      /* and whether one of the waiters is no sprinter */
    int64_t floor;       /* GIL time served by the least served; never lowered */
    /* Settings. */
    int64_t interval_ns; /* 0: the default */
    gil_drop_request_fn *on_drop;
    void *on_drop_arg;
    uint32_t policy;
    bool owner_may_end; /* a thread that ends while it owns the lock leaves it taken, for ever */
    /* The owner's own. */
    struct runqueue queue __attribute__((aligned(64)));
    bool deferred_in_slice; /* a deferral was tried since slice_start */
    /* Waiters that spin at the moment: away from what an owner reads when it hands the lock over. */
    uint32_t spinners __attribute__((aligned(64)));
};

_Static_assert(sizeof(struct lock) <= sizeof(gil_lock), "gil_lock is large enough");
_Static_assert(_Alignof(struct lock) <= _Alignof(gil_lock), "gil_lock is aligned enough");
_Static_assert(_Alignof(struct node) > WORD_FLAGS, "a node's address leaves the flag bits free");

static inline struct lock *lock_of(gil_lock *lock)
{
    return (struct lock *)lock;
}

static inline int64_t lock_interval(const struct lock *l)
{
    int64_t ns = relaxed_load(&l->interval_ns);
    return ns ? ns : GIL_INTERVAL_DEFAULT_NS;
}

static inline bool is_waiting(uint32_t state)
{
    uint32_t role = state & NODE_ROLE;
    return role >= NODE_WAITING && role <= NODE_HEIR;
}

static inline bool is_abandoned(uint32_t state)
{
    return state == NODE_ABANDONED || state == NODE_ORPHAN;
}

/* On the stack or in the run queue, by its thread's own account. */
static inline bool is_linked(uint32_t state)
{
    return is_waiting(state) || is_abandoned(state);
}

static inline struct node *word_node(uintptr_t word)
{
    return (struct node *)(word & ~(uintptr_t)WORD_FLAGS);
}

/* ---- Counters: see statspage.c. ---- */

/* Those of a thread's own entry have one writer, their thread, and are read by others. */
static inline void count_add(const struct node *n, uint64_t *counter, uint64_t by)
{
    if (unlikely(n->shares_counters))
        __atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
    else
        relaxed_store(counter, *counter + by);
}

/* count_up(n, forced): n's thread counts one, by the name in gil_thread_stats. */
#define count_up(n, name) count_add(n, &(n)->stats->name, 1)

/* Raises a maximum. */
static inline void count_max(uint64_t *maximum, uint64_t value)
{
    uint64_t old = relaxed_load(maximum);

    while (old < value && !__atomic_compare_exchange_n(maximum, &old, value, false,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* An acquisition, by the owner: the lock keeps two threads from counting in one entry at a time. */
static inline void count_acquire(const struct node *n)
{
    relaxed_store(&n->stats->acquires, n->stats->acquires + 1);
}

/* The calling thread counts in an entry of its own from now on, for n and the lock l, as from zero;
 * makes the page when there is none yet. Where there is no room, it counts in l's entry. */
void stats_start(struct node *n, const struct lock *l);

/* n's thread has ended, or uses another lock now (l: NULL if its own was destroyed): what it has
 * counted is added up in l's entry. */
void stats_end(struct node *n, const struct lock *l);

/* What `from` has counted becomes what `to` has, which was started for the same lock. */
void stats_move(struct node *to, struct node *from);

/* A wait of that many nanoseconds is over; a hand-off has taken that long. */
void stats_wait(struct node *n, int64_t ns);
void stats_handoff(struct node *n, int64_t ns);

/* Forgets what the ended threads of l have counted. */
void stats_forget_ended(const struct lock *l);

/* l is no more: what was counted for it is counted for the process. */
void stats_forget_lock(const struct lock *l);

/* The entry of l's ended threads, and its histograms (NULL: not wanted); NULL if there is none. */
gil_stats_entry *stats_of_ended(const struct lock *l, gil_stats_histograms **histograms);

/* In a forked child: the counters that are shared with the parent are replaced by new ones. Entries
 * of the calling thread have to be started again. */
void stats_after_fork(void);

/* A step of the protocol is about to be done on n, by its tag in the table at the head of lock.c.
 * Builds for the tests define LOCK_STEPS and look on there, wait, or raise a signal. */
#ifdef LOCK_STEPS
void lock_step(const char *tag, const struct lock *l, const struct node *n);
#define STEP(tag, l, n) lock_step(#tag, l, n)
#else
#define STEP(tag, l, n) ((void)(l), (void)(n))
#endif

/* ---- node.c ---- */

/* The calling thread's nodes, the one used last first. */
extern _Thread_local struct node *thread_nodes;

/* The calling thread's node for l, made or taken from the pool when there is none. Never fails. */
struct node *node_find(struct lock *l);

/* The node of the lock that the thread used last, if l is that one; otherwise NULL. */
static inline struct node *node_at_hand(const struct lock *l)
{
    struct node *n = thread_nodes;
    return likely(n && relaxed_load(&n->lock) == l) ? n : NULL;
}

static inline struct node *node_of(struct lock *l)
{
    struct node *n = node_at_hand(l);
    return likely(n != NULL) ? n : node_find(l);
}

/* The calling thread leaves its node n where it is linked, as one that ends leaves it, and goes on
 * with another, which is returned. */
struct node *node_leave(struct node *n);

/* Puts a node that is not linked anywhere back into the pool. */
void node_recycle(struct node *n);

/* Calls fn for every node that was ever made, whoever has it now. */
void node_each(void (*fn)(struct node *n, void *arg), void *arg);

/* Waits until the threads that are ending have written what they write to their locks. */
void node_await_exits(void);

/* In a forked child: keeps the calling thread's nodes, and returns all others to the pool. */
void node_after_fork(void);

/* A CAS of the word, without the bus while the process has a single thread. */
static inline bool word_fast_cas(struct lock *l, uintptr_t from, uintptr_t to, int order)
{
    if (likely(__libc_single_threaded)) { /* if not, a jump more is the least that it costs */
        if (unlikely(relaxed_load(&l->word) != from))
            return false;
        relaxed_store(&l->word, to);
        return true;
    }
    return __atomic_compare_exchange_n(&l->word, &from, to, false, order, __ATOMIC_RELAXED);
}

/* Takes the lock if it is free and nobody waits for it. The node says HELD before the lock is
 * taken: see fork.c. */
static inline bool lock_take_free(struct lock *l, struct node *n)
{
    if (unlikely(relaxed_load(&n->state) != NODE_IDLE))
        return false;
    relaxed_store(&n->state, NODE_HELD);
    STEP(T1, l, n);
    if (likely(word_fast_cas(l, 0, WORD_LOCKED, __ATOMIC_ACQUIRE))) {
        relaxed_store(&l->owner, n);
        count_acquire(n);
        return true;
    }
    relaxed_store(&n->state, NODE_IDLE);
    return false;
}

/* The same, unless holds are being watched. */
static inline bool lock_acquire_fast(struct lock *l, struct node *n)
{
    return !PROBE_ATTACHED(released) && lock_take_free(l, n);
}

/* Releases the lock if nobody waits for it or has asked for it, and nobody watches. The caller owns
 * it. */
static inline bool lock_release_fast(struct lock *l, struct node *n)
{
    STEP(T5, l, n);
    /* While anybody is queued, a slice is running. */
    if (unlikely(relaxed_load(&l->drop) | relaxed_load(&l->slice_start) |
                 PROBE_WATCHERS(released)) ||
        unlikely(!word_fast_cas(l, WORD_LOCKED, 0, __ATOMIC_RELEASE)))
        return false;
    relaxed_store(&n->state, NODE_IDLE);
    return true;
}

/* Does anybody wait for the lock that the caller owns, or has asked for it? */
static inline bool lock_wanted(const struct lock *l)
{
    return !runqueue_empty(&l->queue) || relaxed_load(&l->word) != WORD_LOCKED ||
           relaxed_load(&l->drop);
}

/* ---- policy.c ---- */

/* Has n given the lock up by itself lately? For the owner, and for n's own thread. */
static inline bool policy_sprints(const struct lock *l, const struct node *n)
{
    return n->since_call < lock_interval(l);
}

/* How long a new owner may keep the lock when others want it. */
int64_t policy_slice(const struct lock *l, const struct node *owner);

/* How far behind the owner a thread must be to ask before the end of a slice. */
int64_t policy_granularity(const struct lock *l);

/* The waiter that runs next, NULL when there is none. Reaps abandoned nodes on the way; after
 * a step's worth of them, the next one may have given up, too. Any other was live when looked at,
 * and may still give up. The owner calls it, with the stack drained. */
struct node *policy_next(struct lock *l, int64_t now);

/* Sets the served time of a thread that begins to wait. */
void policy_join(struct lock *l, struct node *n);

/* When the owner's slice ends, as far as n is concerned. */
int64_t policy_slice_end(const struct lock *l, const struct node *n);

/* Have others been let past n, which watches their deferrals, for too long? */
bool policy_passed_over(const struct lock *l, const struct node *n, int64_t now);

/* When a waiter should ask the owner to drop the lock because it is behind it by too much: now, or
 * later in this slice, or NEVER in this slice. A hint, from what the owner has published. */
int64_t policy_ask_at(const struct lock *l, const struct node *n, int64_t now);

/* ---- lock.c ---- */
enum lock_release_how { RELEASE_PLAIN, RELEASE_DEFER, RELEASE_GRANT };

/* Releases a lock that others (may) wait for; returns true when the release was deferred. */
bool lock_release_slow(struct lock *l, struct node *n, enum lock_release_how how);

/* Takes the lock if it is free in any way. Afterwards node_of(l) is the caller's node: n may have
 * been in the backlog, and is left there. */
bool lock_try_take(struct lock *l, struct node *n);

/* Makes sure that after a release the next waiter gets to run: if nobody has the lock yet, it is
 * granted. For a thread that has released the lock and is about to do nothing. */
void lock_hand_on(struct lock *l);

/* Completes n's deferred release, if it is still pending: wakes the head. */
void lock_complete(struct lock *l, struct node *n);

/* ---- wait.c ---- */
enum {
    WAIT_NO_ASK = 1, /* the caller has just yielded: it does not ask at once */
    WAIT_GRACE = 4,  /* the owner has probably just woken the caller: it asks a granularity later */
    WAIT_ASK = 2,    /* it asks at the end of a slice, whoever else is responsible */
};

/* Acquires the lock by all means. False: deadline_ns (CLOCK_MONOTONIC, FUTEX_FOREVER: none) passed,
 * or `give_up` (may be NULL) returned true, which is looked at after every sleep. */
bool lock_acquire_slow(struct lock *l, struct node *n, int64_t deadline_ns, unsigned flags,
                       bool (*give_up)(void));

/* Makes every thread that waits for l look around once: for give_up. */
void lock_wake_all(struct lock *l);

/* ---- fork.c ---- */

/* In a forked child: the lock belongs to the calling thread if it owned it, otherwise it is free.
 */
void lock_after_fork(void);

/* Frees the lock whatever its state, for a host that starts over in a forked child. */
void lock_reset(struct lock *l);

/* ---- misuse.c ---- */

/* Writes a line to standard error, and aborts. */
_Noreturn void abort_saying(const char *line, int length);

/* Prints one line that names the function, the calling thread and the lock's owner, and aborts. */
_Noreturn void misuse(const char *function, const struct lock *l, const char *what);

#endif
