/* Random use of a few locks by many threads, for a while: every way to acquire and release,
 * settings that change, threads that come and go, forks, signals. Checks that
 *  - there is one owner at a time (a plain counter and an owner variable that only the lock
 *    guards);
 *  - no entry is lost: the counters add up to what the threads did, and so do the lock's own;
 *  - nobody waits for ever, or for long: a watchdog prints the lock's counters and aborts when a
 *    thread makes no progress for ten seconds. It counts time by its own ticks, which do not come
 *    while the whole process is stopped;
 *  - the threads get about as far as each other;
 *  - a forked child can use every lock that the forking thread does not own, and owns those.
 *
 * Environment: SEED (default: from the clock; printed, for a repetition), SECONDS (3), THREADS (1
 * to 256; default: from the seed); see steps.h for STEPS. What a thread does depends on the seed
 * alone, when it does it on the machine. Prints TAP. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gil.h>

#include "tests/stress/steps.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)

enum {
    LOCKS = 3,
    THREADS_MAX = 256,
    TICK_MS = 20,
    HANG_SECONDS = 10,
    HANG_TICKS = HANG_SECONDS * 1000 / TICK_MS,
    FAIR_OPERATIONS = 1500, /* with fewer a thread, chance decides who does more */
};

/* A lock and what it guards. */
static struct guarded {
    gil_lock lock;
    int owner; /* slot + 1, or 0; plain on purpose, as the counter */
    uint64_t counter;
    atomic_ulong entries; /* what the counter ought to be; added up by threads that end */
    atomic_ulong deferrals;
} guarded[LOCKS];

static struct slot {
    pthread_t thread;
    uint64_t seed;
    atomic_bool live;
    atomic_bool done;
    atomic_int tid;
    atomic_int doing;      /* the last operation begun, for the watchdog */
    atomic_ulong progress; /* operations, and how long the longest took, in ticks */
    atomic_uint longest;
} slots[THREADS_MAX];

/* A thread's private state. */
typedef struct worker {
    struct slot *slot;
    int id;
    uint64_t random;
    uint64_t entries[LOCKS];
    uint64_t deferrals[LOCKS];
} worker;

static atomic_bool stop, over;
static atomic_ulong overlaps, forks, bad_children;
static atomic_uint ticks; /* of the watchdog */

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void sleep_ns(int64_t ns)
{
    struct timespec ts = {ns / 1000000000, ns % 1000000000};

    nanosleep(&ts, NULL);
}

static void spin_ns(int64_t ns)
{
    int64_t until = now_ns() + ns;

    while (now_ns() < until)
        ;
}

static uint64_t pick(worker *w, uint64_t below)
{
    return next_random(&w->random) % below;
}

/* ---- what the lock guards ---- */

static void enter(worker *w, int l)
{
    struct guarded *g = &guarded[l];

    if (g->owner != 0 || !gil_lock_held(&g->lock))
        atomic_fetch_add(&overlaps, 1);
    g->owner = w->id;
    g->counter++;
    w->entries[l]++;
}

static void leave(worker *w, int l)
{
    struct guarded *g = &guarded[l];

    if (g->owner != w->id)
        atomic_fetch_add(&overlaps, 1);
    g->owner = 0;
}

/* ---- operations ---- */

static bool take(worker *w, int l)
{
    gil_lock *lock = &guarded[l].lock;
    bool got = true;

    switch (pick(w, 8)) {
    case 0:
        got = gil_lock_try_acquire(lock) == 0;
        break;
    case 1:
        got = gil_lock_acquire_for(lock, 0) == 0;
        break;
    case 2:
        got = gil_lock_acquire_for(lock, (int64_t)pick(w, 200) * US) == 0;
        break;
    case 3:
        got = gil_lock_acquire_for(lock, (int64_t)pick(w, 5) * MS) == 0;
        break;
    default:
        gil_lock_acquire(lock);
    }
    if (got)
        enter(w, l);
    return got;
}

static void take_back(worker *w, int l)
{
    gil_lock_acquire(&guarded[l].lock);
    enter(w, l);
}

static void checkpoint(worker *w, int l)
{
    leave(w, l);
    gil_lock_checkpoint(&guarded[l].lock);
    enter(w, l);
}

static void hold(worker *w, int l)
{
    int rounds;

    switch (pick(w, 16)) {
    case 0:
        sleep_ns((int64_t)pick(w, 1000) * US);
        break;
    case 1:
    case 2:
        for (rounds = (int)pick(w, 300); rounds > 0; rounds--) {
            spin_ns(2 * US);
            checkpoint(w, l);
        }
        break;
    case 3:
    case 4:
        leave(w, l);
        gil_lock_yield(&guarded[l].lock);
        enter(w, l);
        break;
    case 5:
        spin_ns((int64_t)pick(w, 100) * US);
        break;
    default:
        checkpoint(w, l);
    }
}

/* Defers a number of times in a row, as calls that do not block, and ends in one of the ways. */
static void give_up_deferred(worker *w, int l)
{
    gil_lock *lock = &guarded[l].lock;

    for (int n = (int)pick(w, 6); n >= 0; n--) {
        bool pending;

        leave(w, l);
        pending = gil_lock_release_deferred(lock);
        w->deferrals[l] += pending;
        switch (pick(w, 8)) {
        case 0:
            spin_ns((int64_t)pick(w, 50) * US);
            break;
        case 1:
            if (pick(w, 8) == 0)
                sleep_ns((int64_t)pick(w, 2000) * US);
            break;
        }
        if (n == 0) {
            gil_lock_release_complete(lock);
            return;
        }
        if (pick(w, 8) == 0)
            gil_lock_release_complete(lock);
        take_back(w, l);
    }
}

static void give_up(worker *w, int l)
{
    if (pick(w, 2)) {
        leave(w, l);
        gil_lock_release(&guarded[l].lock);
    } else {
        give_up_deferred(w, l);
    }
}

/* Anybody may change them, at any time. An interval that never ends is harmless where everybody
 * releases. */
static void change_settings(worker *w, int l)
{
    static const int64_t intervals[] = {US, 50 * US, MS, 5 * MS, 1000 * 1000 * MS};

    gil_lock_set_policy(&guarded[l].lock, pick(w, 3) ? GIL_FAIR : GIL_FIFO);
    gil_lock_set_interval(&guarded[l].lock, intervals[pick(w, 5)]);
}

/* In the child, which must not use what another thread of the parent may have locked: stdio. */
static void use_in_child(const worker *w)
{
    steps_off();
    alarm(20);
    for (int l = 0; l < LOCKS; l++) {
        gil_lock *lock = &guarded[l].lock;

        if (gil_lock_held(lock) != (guarded[l].owner == w->id))
            _exit(1);
        if (!gil_lock_held(lock) && gil_lock_try_acquire(lock) != 0)
            _exit(2);
        gil_lock_yield(lock);
        gil_lock_release(lock);
        if (gil_lock_acquire_for(lock, MS) != 0 || gil_lock_release_deferred(lock))
            _exit(3);
        gil_lock_release_complete(lock);
    }
    _exit(0);
}

static void fork_child(const worker *w)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        use_in_child(w);
    atomic_fetch_add(&forks, 1);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || status != 0)
        atomic_fetch_add(&bad_children, 1);
}

static void one_operation(worker *w)
{
    int l = pick(w, 4) ? 0 : (int)pick(w, LOCKS);
    bool nested;

    atomic_store_explicit(&w->slot->doing, l, memory_order_relaxed);
    if (pick(w, 1000) == 0)
        fork_child(w);
    if (pick(w, 256) == 0)
        change_settings(w, l);
    if (!take(w, l))
        return;
    hold(w, l);
    if (pick(w, 256) == 0)
        change_settings(w, l);
    if (pick(w, 1000) == 0)
        fork_child(w);
    nested = l + 1 < LOCKS && pick(w, 16) == 0 && take(w, l + 1);
    if (nested) {
        hold(w, l + 1);
        give_up(w, l + 1);
    }
    give_up(w, l);
    if (pick(w, 64) == 0)
        sleep_ns((int64_t)pick(w, 3000) * US);
}

static int slot_of(const struct slot *slot)
{
    return (int)(slot - slots);
}

static void *worker_main(void *arg)
{
    struct slot *slot = arg;
    worker w = {.slot = slot, .id = slot_of(slot) + 1, .random = slot->seed};
    uint64_t lifetime;

    atomic_store(&slot->tid, (int)syscall(SYS_gettid));
    steps_thread(slot_of(slot), slot->seed);
    lifetime = 1 + pick(&w, pick(&w, 4) ? 20 : 2000);
    for (uint64_t i = 0; i < lifetime && !atomic_load(&stop); i++) {
        unsigned from = atomic_load(&ticks), took;

        one_operation(&w);
        took = atomic_load(&ticks) - from;
        atomic_fetch_add_explicit(&slot->progress, 1, memory_order_relaxed);
        if (took > atomic_load(&slot->longest))
            atomic_store(&slot->longest, took);
    }
    for (int l = 0; l < LOCKS; l++) {
        atomic_fetch_add(&guarded[l].entries, w.entries[l]);
        atomic_fetch_add(&guarded[l].deferrals, w.deferrals[l]);
    }
    atomic_store(&slot->done, true);
    return NULL;
}

/* ---- the watchdog ---- */

static void print_stats(const gil_lock *lock)
{
    static gil_thread_stats all[2 * THREADS_MAX];
    size_t n = gil_lock_stats(lock, all, 2 * THREADS_MAX);

    for (size_t i = 0; i < n && i < 2 * THREADS_MAX; i++) {
        const gil_thread_stats *s = &all[i];

        fprintf(stderr,
                "#  tid %d (%u): acquires %lu contended %lu forced %lu handovers %lu deferred "
                "%lu=%lu+%lu+%lu requests %lu waits %lu wakes %lu wait_ns %lu max %lu\n",
                s->tid, s->threads, s->acquires, s->contended, s->forced, s->handovers, s->deferred,
                s->deferred_back, s->deferred_taken, s->deferred_ended, s->requests, s->futex_waits,
                s->futex_wakes, s->wait_ns, s->wait_max_ns);
    }
}

static void report_hang(int stuck)
{
    printf("Bail out! thread %d made no progress for %d s\n", stuck, HANG_SECONDS);
    fflush(stdout);
    for (int i = 0; i < THREADS_MAX; i++) {
        if (atomic_load(&slots[i].live))
            fprintf(stderr, "# slot %d: tid %d, lock %d, %lu operations%s\n", i,
                    atomic_load(&slots[i].tid), atomic_load(&slots[i].doing),
                    atomic_load(&slots[i].progress), atomic_load(&slots[i].done) ? ", done" : "");
    }
    for (int l = 0; l < LOCKS; l++) {
        fprintf(stderr, "# lock %d: owner %d, drop requested %d\n", l, guarded[l].owner,
                gil_lock_drop_requested(&guarded[l].lock));
        for (int i = 0; i < 16; i++)
            fprintf(stderr, "%s%016lx%s", i % 4 ? " " : "#  ", guarded[l].lock.opaque[i],
                    i % 4 == 3 ? "\n" : "");
        print_stats(&guarded[l].lock);
    }
    abort();
}

static void *watchdog_main(void *arg)
{
    unsigned long seen[THREADS_MAX] = {0};
    int still[THREADS_MAX] = {0};

    while (!atomic_load(&over)) {
        sleep_ns(TICK_MS * MS);
        atomic_fetch_add(&ticks, 1);
        for (int i = 0; i < THREADS_MAX; i++) {
            unsigned long now = atomic_load(&slots[i].progress);

            if (now != seen[i] || !atomic_load(&slots[i].live) || atomic_load(&slots[i].done))
                still[i] = 0;
            else if (++still[i] >= HANG_TICKS)
                report_hang(atomic_load(&slots[i].tid));
            seen[i] = now;
        }
    }
    return arg;
}

/* ---- running ---- */

static void on_signal(int sig)
{
    (void)sig;
}

static void begin(struct slot *slot, uint64_t seed)
{
    slot->seed = seed;
    atomic_store(&slot->done, false);
    atomic_fetch_add(&slot->progress, 1);
    if (pthread_create(&slot->thread, NULL, worker_main, slot) != 0) {
        printf("Bail out! cannot start a thread\n");
        exit(1);
    }
    atomic_store(&slot->live, true);
}

/* Keeps all slots filled until the time is up. Now and then a signal interrupts a wait. */
static unsigned long run(int threads, int64_t until, uint64_t *random)
{
    unsigned long lives = 0;
    unsigned rounds = 0;

    for (int i = 0; i < threads; i++, lives++)
        begin(&slots[i], next_random(random));
    while (now_ns() < until && !steps_tick(++rounds)) {
        struct slot *some = &slots[next_random(random) % (unsigned)threads];

        pthread_kill(some->thread, SIGUSR1);
        for (int i = 0; i < threads; i++) {
            if (!atomic_load(&slots[i].done))
                continue;
            pthread_join(slots[i].thread, NULL);
            begin(&slots[i], next_random(random));
            lives++;
        }
        sleep_ns(MS);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < threads; i++) {
        pthread_join(slots[i].thread, NULL);
        atomic_store(&slots[i].live, false);
    }
    return lives;
}

static int failures;

static void result(int number, bool ok, const char *name)
{
    printf("%sok %d - %s\n", ok ? "" : "not ", number, name);
    failures += !ok;
}

static bool lock_adds_up(int l)
{
    gil_thread_stats all[2 * THREADS_MAX], sum = {0};
    size_t n = gil_lock_stats(&guarded[l].lock, all, 2 * THREADS_MAX);
    bool ok;

    for (size_t i = 0; i < n && i < 2 * THREADS_MAX; i++) {
        sum.acquires += all[i].acquires;
        sum.deferred += all[i].deferred;
        sum.deferred_back += all[i].deferred_back;
        sum.deferred_taken += all[i].deferred_taken;
        sum.deferred_ended += all[i].deferred_ended;
        sum.handovers += all[i].handovers;
        sum.contended += all[i].contended;
    }
    ok = sum.deferred == atomic_load(&guarded[l].deferrals) &&
         sum.deferred == sum.deferred_back + sum.deferred_taken + sum.deferred_ended &&
         sum.acquires + sum.deferred_back <= atomic_load(&guarded[l].entries);
    printf("# lock %d: entries %lu, acquires %lu, contended %lu, handovers %lu, deferred %lu = "
           "%lu back + %lu taken + %lu ended\n",
           l, atomic_load(&guarded[l].entries), sum.acquires, sum.contended, sum.handovers,
           sum.deferred, sum.deferred_back, sum.deferred_taken, sum.deferred_ended);
    return ok;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void set_up(uint64_t *random)
{
    static const int64_t intervals[] = {US, 50 * US, MS, 5 * MS, 1000 * 1000 * MS};
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGUSR1, &action, NULL);
    for (int l = 0; l < LOCKS; l++) {
        gil_lock_set_policy(&guarded[l].lock, next_random(random) % 3 ? GIL_FAIR : GIL_FIFO);
        gil_lock_set_interval(&guarded[l].lock, intervals[next_random(random) % 5]);
    }
}

/* How far the slowest got, in hundredths of the mean; and the longest operation. */
static bool fair(int threads)
{
    unsigned long sum = 0, least = ~0ul;
    unsigned longest = 0;

    for (int i = 0; i < threads; i++) {
        unsigned long did = atomic_load(&slots[i].progress);
        unsigned took = atomic_load(&slots[i].longest);

        sum += did;
        least = did < least ? did : least;
        longest = took > longest ? took : longest;
    }
    printf("# %lu operations, the slowest thread's %lu %% of the mean; longest %u ms; %lu forks\n",
           sum, least * 100 * (unsigned)threads / sum, longest * TICK_MS, atomic_load(&forks));
    return sum < (unsigned)threads * FAIR_OPERATIONS || least * 10 * (unsigned)threads >= sum;
}

int main(void)
{
    uint64_t seed = number_from("SEED", (uint64_t)now_ns() % 1000000);
    uint64_t seconds = number_from("SECONDS", 3), random = seed, threads;
    bool counted = true, added_up = true, free_again = true;
    pthread_t watchdog;
    unsigned long lives;

    threads = number_from("THREADS", 1 + next_random(&random) % THREADS_MAX);
    if (threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "lock_stress: THREADS must be 1 to %d\n", THREADS_MAX);
        return 2;
    }
    printf("1..6\n# SEED=%lu THREADS=%lu SECONDS=%lu\n", seed, threads, seconds);
    fflush(stdout);
    set_up(&random);
    steps_begin(random);
    pthread_create(&watchdog, NULL, watchdog_main, NULL);
    lives = run((int)threads, now_ns() + (int64_t)seconds * 1000 * MS, &random);
    for (int l = 0; l < LOCKS; l++) {
        counted &= guarded[l].counter == atomic_load(&guarded[l].entries);
        added_up &= lock_adds_up(l);
        free_again &= gil_lock_try_acquire(&guarded[l].lock) == 0;
        gil_lock_release(&guarded[l].lock);
        gil_lock_destroy(&guarded[l].lock);
    }
    atomic_store(&over, true);
    pthread_join(watchdog, NULL);
    steps_end();
    printf("# %lu threads lived\n", lives);
    result(1, atomic_load(&overlaps) == 0, "one owner at a time");
    result(2, counted, "no entry is lost");
    result(3, added_up, "the lock's counters add up");
    result(4, free_again, "the locks are free at the end");
    result(5, fair((int)threads), "no thread gets a tenth of its share or less");
    result(6, atomic_load(&bad_children) == 0, "forked children find the locks as they ought to");
    return failures ? 1 : 0;
}
