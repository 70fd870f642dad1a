/* Deferred releases and the four ways in which they end: taken back, taken over by a thread that
 * comes along, taken over by the waiter whose turn it is, completed.
 *
 * When a release is deferred is the lock's own decision, so a test asks for one until it gets one,
 * beside a thread that always wants the lock. What then happens is read from the counters. */
#include "harness.h"

static gil_lock lock;

static eager other;

static gil_thread_stats mine(void)
{
    return stats_of(&lock, my_tid());
}

static void defer(void)
{
    uint64_t before = mine().deferred;

    defer_beside(&other);
    ck_assert(!gil_lock_held(&lock));
    ck_assert_uint_eq(mine().deferred, before + 1);
}

static void end_and_add_up(void)
{
    gil_thread_stats s;

    eager_end(&other);
    s = stats_sum(&lock);
    ck_assert_uint_eq(s.deferred, s.deferred_back + s.deferred_taken + s.deferred_ended);
    gil_lock_destroy(&lock);
}

/* ---- when nothing is deferred ---- */

START_TEST(with_nobody_waiting_it_is_a_release)
{
    for (int i = 0; i < 100; i++) {
        gil_lock_acquire(&lock);
        ck_assert(!gil_lock_release_deferred(&lock));
        ck_assert(!gil_lock_held(&lock));
        gil_lock_release_complete(&lock);
    }
    ck_assert_uint_eq(mine().deferred, 0);
    ck_assert_uint_eq(mine().acquires, 100);
    ck_assert_uint_eq(mine().futex_wakes, 0);
}
END_TEST

START_TEST(with_a_request_pending_it_is_a_grant)
{
    gil_thread_stats before;
    waiter w;

    gil_lock_set_interval(&lock, 5 * MS);
    gil_lock_acquire(&lock);
    waiter_start(&w, &lock, -1);
    WAIT_FOR(gil_lock_drop_requested(&lock));
    before = mine();
    ck_assert(!gil_lock_release_deferred(&lock));
    ck_assert_int_eq(gil_lock_try_acquire(&lock), -1);
    ck_assert_uint_eq(mine().deferred, before.deferred);
    ck_assert_uint_eq(mine().forced, before.forced + 1);
    ck_assert_uint_eq(mine().handovers, before.handovers + 1);
    WAIT_FOR(atomic_load(&w.got) == 1);
    waiter_end(&w);
}
END_TEST

/* ---- the ways it ends ---- */

/* The head looks at the lock now and then, and may come first: then it is tried again. */
START_TEST(taken_back)
{
    gil_thread_stats s;

    eager_start(&other, &lock);
    for (int i = 0; i < 1000 && mine().deferred_back < 20; i++) {
        uint64_t acquires;

        defer();
        acquires = mine().acquires;
        s = mine();
        gil_lock_acquire(&lock);
        ck_assert(gil_lock_held(&lock));
        if (mine().deferred_back > s.deferred_back)
            ck_assert_uint_eq(mine().acquires, acquires);
        else
            ck_assert_uint_gt(mine().acquires, acquires);
        gil_lock_release(&lock);
    }
    ck_assert_uint_ge(mine().deferred_back, 20);
    end_and_add_up();
}
END_TEST

/* A taken back deferral is one slice and no context switch: the waiter has to sleep on. */
START_TEST(taken_back_wakes_nobody)
{
    int undisturbed = 0;

    eager_start(&other, &lock);
    for (int i = 0; i < 200; i++) {
        gil_thread_stats before;
        unsigned long got;

        defer();
        before = mine();
        got = atomic_load(&other.got);
        gil_lock_acquire(&lock);
        if (mine().deferred_back > before.deferred_back) {
            ck_assert_uint_eq(mine().futex_wakes, before.futex_wakes);
            undisturbed += atomic_load(&other.got) == got;
        }
        gil_lock_release(&lock);
    }
    ck_assert_int_ge(undisturbed, 20);
    end_and_add_up();
}
END_TEST

static struct {
    atomic_int go; /* 1: take the lock by try; 2: by acquire; 3: by timed acquire; -1: end */
    atomic_int took;
    unsigned long eager_got; /* while it held the lock */
} newcomer;

static void *newcomer_main(void *arg)
{
    for (;;) {
        int how = atomic_load(&newcomer.go);
        bool took = false;

        if (how == -1)
            return arg;
        if (how == 0)
            continue;
        if (how == 1) {
            took = gil_lock_try_acquire(&lock) == 0;
        } else if (how == 2) {
            gil_lock_acquire(&lock);
            took = true;
        } else {
            took = gil_lock_acquire_for(&lock, LONG_NS) == 0;
        }
        if (took) {
            newcomer.eager_got = atomic_load(&other.got);
            gil_lock_release(&lock);
        }
        atomic_store(&newcomer.go, 0);
        atomic_store(&newcomer.took, took ? 1 : -1);
    }
}

/* A thread that is awake gets the lock without anybody being woken for it. Which of the two, it or
 * the head, comes first is open; that the deferral counts as taken over is not. */
START_TEST(taken_over_by_a_newcomer)
{
    int64_t until = now_ns() + LONG_NS;
    int taken = 0;
    pthread_t thread;

    eager_start(&other, &lock);
    thread = start(newcomer_main, NULL);
    while (taken < 10) {
        gil_thread_stats before;
        unsigned long got;

        if (now_ns() > until)
            ck_abort_msg("a newcomer took over only %d times", taken);
        atomic_store(&newcomer.took, 0);
        defer();
        got = atomic_load(&other.got);
        before = mine();
        atomic_store(&newcomer.go, 1 + _i);
        WAIT_FOR(atomic_load(&newcomer.took) != 0);
        if (atomic_load(&newcomer.took) == 1 && newcomer.eager_got == got)
            taken++;
        gil_lock_release_complete(&lock);
        gil_lock_acquire(&lock);
        ck_assert_uint_eq(mine().deferred_back, before.deferred_back);
        ck_assert_uint_eq(mine().deferred_taken + mine().deferred_ended,
                          before.deferred_taken + before.deferred_ended + 1);
        ck_assert_uint_gt(mine().acquires, before.acquires);
        gil_lock_release(&lock);
    }
    atomic_store(&newcomer.go, -1);
    join(thread);
    ck_assert_uint_ge(mine().deferred_taken, 10);
    end_and_add_up();
}
END_TEST

/* Nobody completes it, and no interval ends soon: the head looks by itself, after 300 µs. On a busy
 * machine it may have to wait for a CPU; the shortest time tells. */
START_TEST(taken_over_by_the_head)
{
    int64_t took, shortest = INT64_MAX;

    gil_lock_set_interval(&lock, 2000 * MS);
    eager_start(&other, &lock);
    for (int i = 0; i < 15; i++) {
        unsigned long got;
        int64_t from;

        defer();
        got = atomic_load(&other.got);
        from = now_ns();
        while (atomic_load(&other.got) == got && now_ns() < from + 1000 * MS)
            sleep_ns(20 * US);
        took = now_ns() - from;
        shortest = took < shortest ? took : shortest;
        ck_assert_msg(took < 500 * MS, "the head waited %.1f ms", (double)took / 1e6);
        ck_assert_uint_eq(mine().deferred_back, 0);
        ck_assert_uint_eq(mine().deferred_ended, 0);
    }
    ck_assert_msg(shortest < 3 * MS, "never before %.1f ms", (double)shortest / 1e6);
    gil_lock_release_complete(&lock); /* finds it taken, as each defer() did */
    ck_assert_uint_eq(mine().deferred_taken, mine().deferred);
    end_and_add_up();
}
END_TEST

START_TEST(completed)
{
    eager_start(&other, &lock);
    for (int i = 0; i < 50; i++) {
        unsigned long got;

        defer();
        got = atomic_load(&other.got);
        gil_lock_release_complete(&lock);
        ck_assert(!gil_lock_held(&lock));
        WAIT_FOR(atomic_load(&other.got) > got);
        gil_lock_release_complete(&lock); /* a second one is harmless */
    }
    ck_assert_uint_eq(mine().deferred_back, 0);
    ck_assert_uint_ge(mine().deferred_ended, 10);
    end_and_add_up();
}
END_TEST

/* The one that completes it must not have to wait for the head's own look. */
START_TEST(completed_wakes_at_once)
{
    eager_start(&other, &lock);
    gil_lock_set_interval(&lock, 10000 * MS);
    for (int i = 0; i < 100 && mine().deferred_ended < 10; i++) {
        gil_thread_stats before, after;

        defer();
        before = mine();
        gil_lock_release_complete(&lock);
        after = mine();
        if (after.deferred_ended > before.deferred_ended)
            ck_assert_uint_le(after.futex_wakes - before.futex_wakes, 1);
        else
            ck_assert_uint_eq(after.futex_wakes, before.futex_wakes);
    }
    ck_assert_uint_ge(mine().deferred_ended, 10);
    end_and_add_up();
}
END_TEST

START_TEST(completing_nothing_is_harmless)
{
    waiter w;

    gil_lock_release_complete(&lock);
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    gil_lock_release_complete(&lock);
    waiter_start(&w, &lock, -1); /* takes it: somebody else holds the lock now */
    WAIT_FOR(atomic_load(&w.got) == 1);
    gil_lock_release_complete(&lock);
    ck_assert_int_eq(gil_lock_try_acquire(&lock), -1);
    waiter_end(&w);
    ck_assert_int_eq(gil_lock_try_acquire(&lock), 0);
    gil_lock_release(&lock);
}
END_TEST

/* ---- beside others ---- */

/* As a server does: defers around each call, beside threads that compute. Nobody starves. */
START_TEST(a_deferring_loop_beside_computing_threads)
{
    enum { N = 2 };
    static team computing = {.lock = &lock};
    member members[N];
    unsigned long turns;
    int64_t until;
    int rounds = 0;

    gil_lock_set_interval(&lock, 2 * MS);
    team_start(&computing, members, N);
    turns = atomic_load(&computing.turns);
    until = now_ns() + LONG_NS;
    for (; atomic_load(&computing.turns) < turns + 50 && now_ns() < until; rounds++) {
        gil_lock_acquire(&lock);
        if (gil_lock_release_deferred(&lock) && rounds % 4 == 0)
            gil_lock_release_complete(&lock);
    }
    gil_lock_release_complete(&lock);
    team_end(&computing, members, N);
    turns = atomic_load(&computing.turns) - turns;
    ck_assert_msg(turns >= 50, "only %lu turns beside %d deferrals", turns, rounds);
    ck_assert_int_ge(rounds, 50);
    gil_lock_destroy(&lock);
}
END_TEST

/* Two that defer all the time, each taking over what the other deferred. */
static atomic_ulong deferrals;

static void *deferrer_main(void *arg)
{
    long *counter = arg;

    for (int i = 0; i < 20000; i++) {
        gil_lock_acquire(&lock);
        ++*counter;
        if (gil_lock_release_deferred(&lock)) {
            atomic_fetch_add(&deferrals, 1);
            if (i % 3 == 0)
                gil_lock_release_complete(&lock);
        }
    }
    gil_lock_release_complete(&lock);
    return NULL;
}

START_TEST(deferrals_taken_from_each_other)
{
    enum { N = 4 };
    pthread_t threads[N];
    long counter = 0;
    gil_thread_stats s;

    for (int i = 0; i < N; i++)
        threads[i] = start(deferrer_main, &counter);
    for (int i = 0; i < N; i++)
        join(threads[i]);
    ck_assert_int_eq(counter, N * 20000L);
    s = stats_sum(&lock);
    ck_assert_uint_eq(s.deferred, atomic_load(&deferrals));
    ck_assert_uint_eq(s.deferred, s.deferred_back + s.deferred_taken + s.deferred_ended);
    gil_lock_destroy(&lock);
}
END_TEST

static void *defers_and_ends(void *arg)
{
    (void)arg;
    defer();
    return NULL;
}

START_TEST(completed_by_the_end_of_its_thread)
{
    eager_start(&other, &lock);
    for (int i = 0; i < 10; i++) {
        unsigned long got = atomic_load(&other.got);

        join(start(defers_and_ends, NULL));
        WAIT_FOR(atomic_load(&other.got) > got);
    }
    end_and_add_up();
}
END_TEST

/* Its thread never comes back for it: the lock can be destroyed all the same, and used again. */
START_TEST(taken_over_and_left_at_that)
{
    unsigned long got;

    eager_start(&other, &lock);
    defer();
    got = atomic_load(&other.got);
    WAIT_FOR(atomic_load(&other.got) > got);
    eager_end(&other);
    gil_lock_destroy(&lock);
    gil_lock_acquire(&lock);
    ck_assert(gil_lock_held(&lock));
    gil_lock_release(&lock);
    gil_lock_destroy(&lock);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deferred");
    TCase *tc = tcase_create("deferred");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, with_nobody_waiting_it_is_a_release);
    tcase_add_test(tc, with_a_request_pending_it_is_a_grant);
    tcase_add_test(tc, taken_back);
    tcase_add_test(tc, taken_back_wakes_nobody);
    tcase_add_loop_test(tc, taken_over_by_a_newcomer, 0, 3);
    tcase_add_test(tc, taken_over_by_the_head);
    tcase_add_test(tc, completed);
    tcase_add_test(tc, completed_wakes_at_once);
    tcase_add_test(tc, completed_by_the_end_of_its_thread);
    tcase_add_test(tc, taken_over_and_left_at_that);
    tcase_add_test(tc, completing_nothing_is_harmless);
    tcase_add_test(tc, a_deferring_loop_beside_computing_threads);
    tcase_add_test(tc, deferrals_taken_from_each_other);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
