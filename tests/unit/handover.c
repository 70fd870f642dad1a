/* How the lock changes hands: drop requests, direct grants to one named waiter, yield, heirs.
 *
 * The holder here never sleeps on the lock by chance: waiters are known to be asleep before it
 * acts, and what it caused is read from the counters. */
#include "harness.h"

static gil_lock lock;

/* Holds the lock and looks for drop requests until the condition is true. */
#define COMPUTE_UNTIL(cond, limit_ns)                                                              \
    do {                                                                                           \
        int64_t until_ = now_ns() + (limit_ns);                                                    \
        while (!(cond) && now_ns() < until_)                                                       \
            gil_lock_checkpoint(&lock);                                                            \
    } while (0)

/* ---- forced release ---- */

/* The lock has been granted when release returns: nobody can come between, and only the one that
 * got it (and the next head, which has to set itself a deadline) was woken. */
START_TEST(a_forced_release_grants_to_one)
{
    enum { N = 6 };
    waiter w[N];
    long slept[N];
    gil_thread_stats before, after;
    int got = 0, woken = 0;

    ck_assert_int_eq(gil_lock_set_policy(&lock, _i ? GIL_FIFO : GIL_FAIR), 0);
    gil_lock_set_interval(&lock, 200 * MS);
    gil_lock_acquire(&lock);
    for (int i = 0; i < N; i++)
        waiter_start(&w[i], &lock, -1);
    WAIT_FOR(gil_lock_drop_requested(&lock));
    sleep_ns(10 * MS);
    for (int i = 0; i < N; i++)
        slept[i] = sleeps_of(w[i].tid);
    before = stats_of(&lock, my_tid());
    gil_lock_release(&lock);
    errno = 0;
    ck_assert_int_eq(gil_lock_try_acquire(&lock), -1);
    ck_assert_int_eq(errno, EBUSY);
    ck_assert(!gil_lock_held(&lock));
    after = stats_of(&lock, my_tid());
    ck_assert_uint_eq(after.forced - before.forced, 1);
    ck_assert_uint_eq(after.handovers - before.handovers, 1);
    ck_assert_uint_le(after.futex_wakes - before.futex_wakes, 2);
    sleep_ns(20 * MS);
    for (int i = 0; i < N; i++) {
        got += atomic_load(&w[i].got);
        /* The one that has the lock sleeps between looks at let_go. */
        woken += !atomic_load(&w[i].got) && sleeps_of(w[i].tid) != slept[i];
    }
    ck_assert_int_eq(got, 1);
    ck_assert_int_le(woken, 1);
    for (int i = 0; i < N; i++)
        atomic_store(&w[i].let_go, true);
    for (int i = 0; i < N; i++)
        waiter_end(&w[i]);
    gil_lock_destroy(&lock);
}
END_TEST

START_TEST(a_checkpoint_on_request_lets_the_waiter_run)
{
    gil_lock_set_interval(&lock, 5 * MS);
    gil_lock_acquire(&lock);
    for (int i = 0; i < 20; i++) {
        gil_thread_stats before, after;
        waiter w;

        visitor_start(&w, &lock, -1);
        WAIT_FOR(gil_lock_drop_requested(&lock));
        ck_assert_int_eq(atomic_load(&w.got), 0);
        before = stats_of(&lock, my_tid());
        gil_lock_checkpoint(&lock);
        ck_assert_int_eq(atomic_load(&w.got), 1);
        ck_assert(gil_lock_held(&lock));
        ck_assert(!gil_lock_drop_requested(&lock));
        after = stats_of(&lock, my_tid());
        ck_assert_uint_eq(after.forced - before.forced, 1);
        ck_assert_uint_eq(after.handovers - before.handovers, 1);
        waiter_end(&w);
    }
    gil_lock_release(&lock);
}
END_TEST

START_TEST(a_checkpoint_without_request_keeps_the_lock)
{
    gil_thread_stats s;
    waiter w;

    gil_lock_set_interval(&lock, 10000 * MS);
    gil_lock_acquire(&lock);
    visitor_start(&w, &lock, -1);
    for (int i = 0; i < 1000; i++)
        gil_lock_checkpoint(&lock);
    ck_assert_int_eq(atomic_load(&w.got), 0);
    s = stats_of(&lock, my_tid());
    ck_assert_uint_eq(s.acquires, 1);
    ck_assert_uint_eq(s.forced, 0);
    gil_lock_release(&lock);
    waiter_end(&w);
}
END_TEST

/* Nobody asked: the lock goes free and a waiter is woken for it, so that a thread that comes right
 * back need not wait for that one. */
START_TEST(a_voluntary_release_grants_to_nobody)
{
    gil_thread_stats s;
    waiter w;

    gil_lock_set_interval(&lock, 10000 * MS);
    gil_lock_acquire(&lock);
    visitor_start(&w, &lock, -1);
    ck_assert(!gil_lock_drop_requested(&lock));
    gil_lock_release(&lock);
    s = stats_of(&lock, my_tid());
    ck_assert_uint_eq(s.forced, 0);
    ck_assert_uint_eq(s.handovers, 0);
    ck_assert_uint_eq(s.futex_wakes, 1);
    waiter_end(&w);
    ck_assert_int_eq(w.got, 1);
}
END_TEST

/* ---- yield ---- */

START_TEST(yield_lets_a_waiter_run)
{
    ck_assert_int_eq(gil_lock_set_policy(&lock, _i ? GIL_FIFO : GIL_FAIR), 0);
    gil_lock_set_interval(&lock, 10000 * MS);
    gil_lock_acquire(&lock);
    for (int i = 0; i < 100; i++) {
        waiter w;

        visitor_start(&w, &lock, -1);
        gil_lock_yield(&lock);
        ck_assert(gil_lock_held(&lock));
        ck_assert_int_eq(atomic_load(&w.got), 1);
        waiter_end(&w);
    }
    gil_lock_release(&lock);
}
END_TEST

START_TEST(each_yield_lets_one_of_many_run)
{
    enum { N = 8 };
    waiter w[N];
    int got;

    gil_lock_set_interval(&lock, 10000 * MS);
    gil_lock_acquire(&lock);
    for (int i = 0; i < N; i++)
        visitor_start(&w[i], &lock, -1);
    for (int i = 0; i < N; i++) {
        gil_lock_yield(&lock);
        got = 0;
        for (int j = 0; j < N; j++)
            got += atomic_load(&w[j].got);
        ck_assert_int_ge(got, i + 1);
    }
    gil_lock_release(&lock);
    for (int i = 0; i < N; i++)
        waiter_end(&w[i]);
}
END_TEST

START_TEST(yield_alone_keeps_the_lock)
{
    gil_lock_acquire(&lock);
    for (int i = 0; i < 100; i++)
        gil_lock_yield(&lock);
    ck_assert(gil_lock_held(&lock));
    gil_lock_release(&lock);
    ck_assert_uint_eq(stats_of(&lock, my_tid()).futex_waits, 0);
}
END_TEST

/* ---- there is always one that asks ---- */

static void check_soon(const waiter *w, int64_t from, int64_t interval)
{
    ck_assert_int_eq(w->got, 1);
    ck_assert_msg(w->got_ns - from <= 2 * interval, "ran after %.1f ms, the interval is %.1f ms",
                  (double)(w->got_ns - from) / 1e6, (double)interval / 1e6);
}

/* The first waiter is the one that has a deadline. When it gives up before that, beside a holder
 * that computes, somebody else has to ask. */
START_TEST(the_only_timed_waiter_gives_up)
{
    const int64_t interval = 60 * MS;
    waiter timed, other;

    gil_lock_set_interval(&lock, interval);
    gil_lock_acquire(&lock);
    waiter_start(&timed, &lock, (_i % 2 ? 10 : 30) * MS);
    visitor_start(&other, &lock, -1);
    if (_i < 2)
        COMPUTE_UNTIL(atomic_load(&timed.got), 1000 * MS);
    else
        WAIT_FOR(atomic_load(&timed.got)); /* without looking at the lock meanwhile */
    ck_assert_int_eq(atomic_load(&timed.got), -1);
    COMPUTE_UNTIL(atomic_load(&other.got), 1000 * MS);
    gil_lock_release(&lock);
    waiter_end(&timed);
    waiter_end(&other);
    check_soon(&other, timed.got_ns, interval);
}
END_TEST

/* As before, but the one that gives up is in the middle of others, and several do. */
START_TEST(several_timed_waiters_give_up)
{
    enum { N = 6 };
    const int64_t interval = 60 * MS;
    waiter timed[N], other;

    gil_lock_set_interval(&lock, interval);
    gil_lock_acquire(&lock);
    for (int i = 0; i < N / 2; i++)
        visitor_start(&timed[i], &lock, 20 * MS);
    visitor_start(&other, &lock, -1);
    for (int i = N / 2; i < N; i++)
        visitor_start(&timed[i], &lock, 20 * MS);
    COMPUTE_UNTIL(atomic_load(&other.got), 1000 * MS);
    gil_lock_release(&lock);
    for (int i = 0; i < N; i++)
        waiter_end(&timed[i]);
    waiter_end(&other);
    check_soon(&other, other.asked_ns, interval);
}
END_TEST

/* The barger releases and takes the lock back many times, so that a woken heir finds it taken, and
 * then computes. */
START_TEST(a_passed_over_heir_runs_soon)
{
    const int64_t interval = 50 * MS;

    gil_lock_set_interval(&lock, interval);
    for (int i = 0; i < 8; i++) {
        int rounds = 1 << (2 * (i % 6));
        int64_t from;
        waiter w;

        gil_lock_acquire(&lock);
        visitor_start(&w, &lock, -1);
        for (int j = 0; j < rounds; j++) {
            gil_lock_release(&lock);
            gil_lock_acquire(&lock);
        }
        from = now_ns();
        COMPUTE_UNTIL(atomic_load(&w.got), 1000 * MS);
        gil_lock_release(&lock);
        waiter_end(&w);
        check_soon(&w, from, interval);
    }
}
END_TEST

/* A barger that never computes long, never looks, and never asks: the heir gets it all the same,
 * long before the interval ends. */
START_TEST(an_heir_is_not_passed_over_for_ever)
{
    waiter w;
    int64_t from;
    unsigned long rounds = 0;

    gil_lock_set_interval(&lock, 10000 * MS);
    gil_lock_acquire(&lock);
    visitor_start(&w, &lock, -1);
    from = now_ns();
    while (!atomic_load(&w.got) && now_ns() < from + LONG_NS) {
        gil_lock_release(&lock);
        gil_lock_acquire(&lock);
        rounds++;
    }
    gil_lock_release(&lock);
    waiter_end(&w);
    ck_assert_int_eq(w.got, 1);
    ck_assert_msg(w.got_ns - from < 100 * MS, "ran after %.1f ms and %lu releases",
                  (double)(w.got_ns - from) / 1e6, rounds);
}
END_TEST

/* ---- the drop-request callback ---- */

static struct {
    atomic_ulong calls;
    atomic_int tid;
    gil_lock *lock;
    void *arg;
} asked;

static void on_request(gil_lock *which, void *arg)
{
    asked.lock = which;
    asked.arg = arg;
    atomic_store(&asked.tid, my_tid());
    atomic_fetch_add(&asked.calls, 1);
}

/* The holder never reacts: as a host whose request was erased, it is asked again each interval. */
START_TEST(the_callback_is_called_each_interval)
{
    waiter w;
    unsigned long calls;
    int64_t took;

    gil_lock_set_interval(&lock, 20 * MS);
    gil_lock_on_drop_request(&lock, on_request, &w);
    gil_lock_acquire(&lock);
    ck_assert(!gil_lock_drop_requested(&lock));
    took = now_ns();
    visitor_start(&w, &lock, -1);
    WAIT_FOR(atomic_load(&asked.calls) >= 10);
    took = now_ns() - took;
    ck_assert(gil_lock_drop_requested(&lock));
    ck_assert_int_eq(atomic_load(&asked.tid), w.tid);
    ck_assert_ptr_eq(asked.lock, &lock);
    ck_assert_ptr_eq(asked.arg, &w);
    ck_assert_msg(took > 9 * 10 * MS, "asked 10 times in %.1f ms", (double)took / 1e6);
    gil_lock_checkpoint(&lock);
    waiter_end(&w);
    calls = atomic_load(&asked.calls);
    sleep_ns(60 * MS);
    ck_assert_uint_eq(atomic_load(&asked.calls), calls);
    gil_lock_release(&lock);
    ck_assert_uint_ge(stats_of(&lock, 0).requests, 10);
}
END_TEST

START_TEST(a_removed_callback_is_not_called)
{
    waiter w;

    gil_lock_set_interval(&lock, 5 * MS);
    gil_lock_on_drop_request(&lock, on_request, NULL);
    gil_lock_on_drop_request(&lock, NULL, NULL);
    gil_lock_acquire(&lock);
    visitor_start(&w, &lock, -1);
    WAIT_FOR(gil_lock_drop_requested(&lock));
    gil_lock_release(&lock);
    waiter_end(&w);
    ck_assert_uint_eq(atomic_load(&asked.calls), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handover");
    TCase *tc = tcase_create("handover");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, a_forced_release_grants_to_one, 0, 2);
    tcase_add_test(tc, a_checkpoint_on_request_lets_the_waiter_run);
    tcase_add_test(tc, a_checkpoint_without_request_keeps_the_lock);
    tcase_add_test(tc, a_voluntary_release_grants_to_nobody);
    tcase_add_loop_test(tc, yield_lets_a_waiter_run, 0, 2);
    tcase_add_test(tc, each_yield_lets_one_of_many_run);
    tcase_add_test(tc, yield_alone_keeps_the_lock);
    tcase_add_loop_test(tc, the_only_timed_waiter_gives_up, 0, 4);
    tcase_add_test(tc, several_timed_waiters_give_up);
    tcase_add_test(tc, a_passed_over_heir_runs_soon);
    tcase_add_test(tc, an_heir_is_not_passed_over_for_ever);
    tcase_add_test(tc, the_callback_is_called_each_interval);
    tcase_add_test(tc, a_removed_callback_is_not_called);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
