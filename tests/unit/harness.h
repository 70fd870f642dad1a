/* Shared by the unit tests of the lock: time, threads, counters, and two kinds of actors.
 *
 * A *waiter* asks for the lock once, and keeps it until it is told to let go. A *team* is a number
 * of threads that compute: they hold the lock, look for a drop request after every few
 * microseconds, and note whose turn it was. Whatever is not atomic in a team is written by the
 * owner of the lock only, so that a fault of the lock also shows as a data race.
 *
 * Every wait in here has a limit, so that a test that goes wrong fails instead of hanging. */
#ifndef TESTS_UNIT_HARNESS_H
#define TESTS_UNIT_HARNESS_H

#define _GNU_SOURCE

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gil.h>

#define HARNESS __attribute__((unused)) static

#define US INT64_C(1000)
#define MS INT64_C(1000000)

/* How long anything may take that ought to happen at once. */
#define LONG_NS (5000 * MS)

HARNESS int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

HARNESS void sleep_ns(int64_t ns)
{
    struct timespec ts = {ns / 1000000000, ns % 1000000000};

    clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

HARNESS void spin_ns(int64_t ns)
{
    int64_t until = now_ns() + ns;

    while (now_ns() < until)
        ;
}

#define WAIT_FOR(cond)                                                                             \
    do {                                                                                           \
        int64_t until_ = now_ns() + LONG_NS;                                                       \
        while (!(cond)) {                                                                          \
            if (now_ns() > until_)                                                                 \
                ck_abort_msg("waited too long for: %s", #cond);                                    \
            sleep_ns(50 * US);                                                                     \
        }                                                                                          \
    } while (0)

/* ---- a child ---- */

/* It ends, and was content. */
HARNESS void check_child(pid_t pid)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's wait status is %#x",
                  status);
}

/* ---- threads ---- */

HARNESS int my_tid(void)
{
    return (int)syscall(SYS_gettid);
}

HARNESS pthread_t start(void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, fn, arg), 0);
    return thread;
}

HARNESS void join(pthread_t thread)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    ck_assert_msg(pthread_timedjoin_np(thread, NULL, &until) == 0, "a thread does not end");
}

HARNESS void use_one_cpu(void)
{
    cpu_set_t set;
    int cpu = 0;

    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ck_assert_int_eq(sched_setaffinity(0, sizeof set, &set), 0);
}

/* A thread of class SCHED_BATCH does not preempt the one that wakes it. */
HARNESS void set_class(int tid, int policy)
{
    struct sched_param none = {0};

    ck_assert_int_eq(sched_setscheduler(tid, policy, &none), 0);
}

HARNESS size_t read_task_file(int tid, const char *file, char *buf, size_t size)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, buf, size - 1);
    close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* Does the kernel have this thread asleep? */
HARNESS bool asleep(int tid)
{
    char buf[512];
    char *end;

    if (!read_task_file(tid, "stat", buf, sizeof buf))
        return false;
    end = strrchr(buf, ')');
    return end && end[1] == ' ' && end[2] == 'S';
}

/* How often the thread has gone to sleep so far. */
HARNESS long sleeps_of(int tid)
{
    static const char key[] = "\nvoluntary_ctxt_switches:";
    char buf[4096];
    char *at;

    ck_assert(read_task_file(tid, "status", buf, sizeof buf) > 0);
    at = strstr(buf, key);
    ck_assert_ptr_nonnull(at);
    return strtol(at + sizeof key - 1, NULL, 10);
}

/* ---- counters ---- */

/* The counters of one thread (of the ended ones: 0), all zero when it has none. */
HARNESS gil_thread_stats stats_of(const gil_lock *lock, int tid)
{
    gil_thread_stats all[256], none = {.tid = tid};
    size_t n = gil_lock_stats(lock, all, 256);

    ck_assert_msg(n <= 256, "%zu entries", n);
    for (size_t i = 0; i < n; i++) {
        if (all[i].tid == tid)
            return all[i];
    }
    return none;
}

HARNESS gil_thread_stats stats_sum(const gil_lock *lock)
{
    gil_thread_stats all[256], sum = {0};
    size_t n = gil_lock_stats(lock, all, 256);

    ck_assert_msg(n <= 256, "%zu entries", n);
    for (size_t i = 0; i < n; i++) {
        sum.threads += all[i].threads;
        sum.acquires += all[i].acquires;
        sum.contended += all[i].contended;
        sum.forced += all[i].forced;
        sum.handovers += all[i].handovers;
        sum.deferred += all[i].deferred;
        sum.deferred_back += all[i].deferred_back;
        sum.deferred_taken += all[i].deferred_taken;
        sum.deferred_ended += all[i].deferred_ended;
        sum.requests += all[i].requests;
        sum.futex_waits += all[i].futex_waits;
        sum.futex_wakes += all[i].futex_wakes;
    }
    return sum;
}

/* ---- waiters ---- */

typedef struct waiter {
    gil_lock *lock;
    int64_t timeout_ns; /* -1: none */
    pthread_t thread;
    atomic_int tid;     /* set just before it asks for the lock */
    atomic_int got;     /* 1: it has or had the lock; -1: it gave up */
    atomic_bool let_go; /* it keeps the lock until this is set */
    int64_t asked_ns;
    int64_t got_ns; /* when it got the lock, or gave up */
} waiter;

HARNESS void *waiter_main(void *arg)
{
    waiter *w = arg;

    w->asked_ns = now_ns();
    atomic_store(&w->tid, my_tid());
    if (gil_lock_acquire_for(w->lock, w->timeout_ns) == 0) {
        w->got_ns = now_ns();
        atomic_store(&w->got, 1);
        while (!atomic_load(&w->let_go))
            sleep_ns(50 * US);
        gil_lock_release(w->lock);
    } else {
        w->got_ns = now_ns();
        atomic_store(&w->got, -1);
    }
    return NULL;
}

HARNESS void waiter_begin(waiter *w, gil_lock *lock, int64_t timeout_ns, bool let_go)
{
    memset(w, 0, sizeof *w);
    w->lock = lock;
    w->timeout_ns = timeout_ns;
    w->let_go = let_go;
    w->thread = start(waiter_main, w);
    WAIT_FOR(atomic_load(&w->tid) != 0);
    WAIT_FOR(asleep(atomic_load(&w->tid)) || atomic_load(&w->got));
}

/* Starts a waiter on a lock that is held, and returns once it is queued and asleep. */
HARNESS void waiter_start(waiter *w, gil_lock *lock, int64_t timeout_ns)
{
    waiter_begin(w, lock, timeout_ns, false);
}

/* Starts one that gives the lock up as soon as it has it. */
HARNESS void visitor_start(waiter *w, gil_lock *lock, int64_t timeout_ns)
{
    waiter_begin(w, lock, timeout_ns, true);
}

HARNESS void waiter_end(waiter *w)
{
    atomic_store(&w->let_go, true);
    join(w->thread);
}

/* ---- computing threads ---- */

typedef struct team {
    gil_lock *lock;
    atomic_bool stop;
    atomic_int ready;   /* tid of the member that started last */
    atomic_ulong turns; /* how often the lock went from one member to another */
    int last;           /* who computed last */
    int64_t last_ns;    /* until when */
} team;

typedef struct member {
    team *team;
    int id; /* from 1 */
    pthread_t thread;
    unsigned long turns;
    int64_t held_ns;
} member;

/* The lock is held: computes a little, and notes for whom. */
HARNESS void compute(member *m)
{
    team *t = m->team;
    int64_t now, interval;

    if (t->last != m->id) {
        t->last = m->id;
        t->last_ns = now_ns();
        m->turns++;
        atomic_fetch_add_explicit(&t->turns, 1, memory_order_relaxed);
    }
    spin_ns(2 * US);
    now = now_ns();
    /* The lock forgives what goes beyond an interval, such as a hole in which the CPU was away. */
    interval = gil_lock_get_interval(t->lock);
    m->held_ns += now - t->last_ns < interval ? now - t->last_ns : interval;
    t->last_ns = now;
}

HARNESS void *member_main(void *arg)
{
    member *m = arg;
    team *t = m->team;

    atomic_store(&t->ready, my_tid());
    gil_lock_acquire(t->lock);
    while (!atomic_load_explicit(&t->stop, memory_order_relaxed)) {
        compute(m);
        gil_lock_checkpoint(t->lock);
    }
    gil_lock_release(t->lock);
    return NULL;
}

/* The first one computes on return, the others have queued in order. */
HARNESS void team_start(team *t, member *members, int n)
{
    int last = 0;

    for (int i = 0; i < n; i++) {
        members[i] = (member){.team = t, .id = i + 1};
        members[i].thread = start(member_main, &members[i]);
        WAIT_FOR(atomic_load(&t->ready) != last);
        last = atomic_load(&t->ready);
        WAIT_FOR(i == 0 ? atomic_load(&t->turns) > 0 : asleep(last));
    }
}

HARNESS void team_end(team *t, member *members, int n)
{
    atomic_store(&t->stop, true);
    for (int i = 0; i < n; i++)
        join(members[i].thread);
}

/* ---- deferrals ---- */

/* A thread that computes, for others to defer beside: it has used more of the lock than they have,
 * so it does not ask at once. */
typedef struct eager {
    gil_lock *lock;
    pthread_t thread;
    atomic_bool stop;
    atomic_int tid;
    atomic_ulong got;
} eager;

HARNESS void *eager_main(void *arg)
{
    eager *e = arg;

    atomic_store(&e->tid, my_tid());
    gil_lock_acquire(e->lock);
    while (!atomic_load(&e->stop)) {
        int64_t until = now_ns() + 300 * US;

        atomic_fetch_add(&e->got, 1);
        while (now_ns() < until)
            gil_lock_checkpoint(e->lock);
        gil_lock_yield(e->lock);
    }
    gil_lock_release(e->lock);
    return NULL;
}

HARNESS void eager_start(eager *e, gil_lock *lock)
{
    e->lock = lock;
    e->thread = start(eager_main, e);
    WAIT_FOR(atomic_load(&e->got) > 0);
}

HARNESS void eager_end(eager *e)
{
    atomic_store(&e->stop, true);
    join(e->thread);
}

/* Defers a release beside the eager thread, which is asleep then. Tries until that works: the first
 * release that asks for a deferral wakes the other, and only if that one then finds the lock taken
 * again does it go over to looking for deferrals. */
HARNESS void defer_beside(eager *e)
{
    int64_t until = now_ns() + LONG_NS;
    int tid = atomic_load(&e->tid);

    set_class(tid, SCHED_BATCH);
    do {
        if (now_ns() > until)
            ck_abort_msg("no release was ever deferred");
        gil_lock_acquire(e->lock);
        WAIT_FOR(asleep(tid));
    } while (!gil_lock_release_deferred(e->lock));
    set_class(tid, SCHED_OTHER);
}

/* ---- running ---- */

HARNESS int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int run, failed;

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    run = srunner_ntests_run(runner);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return run > 0 && failed == 0 ? 0 : 1;
}

#endif
