/* The main scenarios with everything on one CPU, where whoever spins keeps the other from running.
 *
 * What is checked is that they end at all, in time, and that nobody gets the lock out of turn. */
#include "harness.h"

static gil_lock lock;

/* ---- exclusion ---- */

static long counter;
static atomic_long expected;

static void *mixed_main(void *arg)
{
    unsigned mine = (unsigned)(intptr_t)arg;
    long entries = 0;

    for (int i = 0; i < 1500; i++) {
        mine = mine * 1103515245 + 12345;
        switch (mine >> 16 & 7) {
        case 0:
            if (gil_lock_try_acquire(&lock) != 0)
                continue;
            break;
        case 1:
            if (gil_lock_acquire_for(&lock, 50 * US) != 0)
                continue;
            break;
        default:
            gil_lock_acquire(&lock);
        }
        counter++;
        entries++;
        if ((mine >> 20 & 7) == 0)
            gil_lock_yield(&lock);
        gil_lock_checkpoint(&lock);
        if ((mine >> 24 & 1) == 0)
            gil_lock_release(&lock);
        else if (gil_lock_release_deferred(&lock) && (mine >> 25 & 1) == 0)
            gil_lock_release_complete(&lock);
    }
    gil_lock_release_complete(&lock);
    atomic_fetch_add(&expected, entries);
    return NULL;
}

START_TEST(exclusion_on_one_cpu)
{
    enum { N = 8 };
    pthread_t threads[N];

    use_one_cpu();
    gil_lock_set_interval(&lock, 500 * US);
    for (int i = 0; i < N; i++)
        threads[i] = start(mixed_main, (void *)(intptr_t)(i + 1));
    for (int i = 0; i < N; i++)
        join(threads[i]);
    ck_assert_int_eq(counter, atomic_load(&expected));
    gil_lock_destroy(&lock);
}
END_TEST

/* ---- taking turns ---- */

START_TEST(computing_threads_take_turns)
{
    enum { N = 4 };
    static team computing = {.lock = &lock};
    member members[N];

    use_one_cpu();
    gil_lock_set_interval(&lock, 5 * MS);
    team_start(&computing, members, N);
    WAIT_FOR(atomic_load(&computing.turns) >= 80);
    team_end(&computing, members, N);
    for (int i = 0; i < N; i++)
        ck_assert_uint_ge(members[i].turns, 15);
}
END_TEST

START_TEST(yield_lets_a_waiter_run)
{
    use_one_cpu();
    gil_lock_set_interval(&lock, 10000 * MS);
    gil_lock_acquire(&lock);
    for (int i = 0; i < 50; i++) {
        waiter w;

        visitor_start(&w, &lock, -1);
        gil_lock_yield(&lock);
        ck_assert_int_eq(atomic_load(&w.got), 1);
        waiter_end(&w);
    }
    gil_lock_release(&lock);
}
END_TEST

static void *ping_pong(void *arg)
{
    long *turns = arg;

    for (int i = 0; i < 2000; i++) {
        gil_lock_acquire(&lock);
        ++*turns;
        gil_lock_yield(&lock);
        ++*turns;
        gil_lock_release(&lock);
    }
    return NULL;
}

START_TEST(yield_ping_pong)
{
    pthread_t threads[3];
    long turns = 0;

    use_one_cpu();
    for (int i = 0; i < 3; i++)
        threads[i] = start(ping_pong, &turns);
    for (int i = 0; i < 3; i++)
        join(threads[i]);
    ck_assert_int_eq(turns, 3 * 4000);
}
END_TEST

/* ---- one that waits beside one that never sleeps ---- */

START_TEST(a_forced_release_grants)
{
    use_one_cpu();
    gil_lock_set_interval(&lock, 20 * MS);
    gil_lock_acquire(&lock);
    for (int i = 0; i < 5; i++) {
        int64_t until = now_ns() + LONG_NS;
        waiter w;

        visitor_start(&w, &lock, -1);
        while (!gil_lock_drop_requested(&lock))
            ck_assert_msg(now_ns() < until, "nobody asked");
        ck_assert_int_eq(atomic_load(&w.got), 0);
        gil_lock_checkpoint(&lock);
        ck_assert_int_eq(atomic_load(&w.got), 1);
        waiter_end(&w);
    }
    gil_lock_release(&lock);
}
END_TEST

START_TEST(a_passed_over_heir_runs)
{
    int64_t until;
    waiter w;

    use_one_cpu();
    gil_lock_set_interval(&lock, 10000 * MS);
    gil_lock_acquire(&lock);
    visitor_start(&w, &lock, -1);
    until = now_ns() + 1000 * MS;
    while (!atomic_load(&w.got) && now_ns() < until) {
        gil_lock_release(&lock);
        gil_lock_acquire(&lock);
    }
    gil_lock_release(&lock);
    waiter_end(&w);
    ck_assert_int_lt(w.got_ns, until);
}
END_TEST

START_TEST(a_timed_waiter_gives_up_beside_a_computing_holder)
{
    waiter timed, other;
    int64_t until;

    use_one_cpu();
    gil_lock_set_interval(&lock, 100 * MS);
    gil_lock_acquire(&lock);
    waiter_start(&timed, &lock, 20 * MS);
    visitor_start(&other, &lock, -1);
    until = now_ns() + 2000 * MS;
    while (!atomic_load(&other.got) && now_ns() < until)
        gil_lock_checkpoint(&lock);
    gil_lock_release(&lock);
    waiter_end(&timed);
    waiter_end(&other);
    ck_assert_int_eq(timed.got, -1);
    ck_assert_int_eq(other.got, 1);
    ck_assert_int_le(other.got_ns - timed.got_ns, 250 * MS);
}
END_TEST

/* ---- deferrals ---- */

/* A deferral that nobody completes, while the one that deferred spins on the only CPU. */
START_TEST(a_deferral_is_taken_over)
{
    static eager other;

    use_one_cpu();
    eager_start(&other, &lock);
    for (int i = 0; i < 20; i++) {
        int64_t until = now_ns() + LONG_NS;
        unsigned long before;

        defer_beside(&other);
        before = atomic_load(&other.got);
        if (i % 2)
            gil_lock_release_complete(&lock);
        while (atomic_load(&other.got) == before) {
            if (now_ns() > until)
                ck_abort_msg("the waiter does not run");
        }
    }
    eager_end(&other);
    gil_lock_destroy(&lock);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("single_cpu");
    TCase *tc = tcase_create("single_cpu");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, exclusion_on_one_cpu);
    tcase_add_test(tc, computing_threads_take_turns);
    tcase_add_test(tc, yield_lets_a_waiter_run);
    tcase_add_test(tc, yield_ping_pong);
    tcase_add_test(tc, a_forced_release_grants);
    tcase_add_test(tc, a_passed_over_heir_runs);
    tcase_add_test(tc, a_timed_waiter_gives_up_beside_a_computing_holder);
    tcase_add_test(tc, a_deferral_is_taken_over);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
