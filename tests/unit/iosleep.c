/* Sleeping: how long, and that others run meanwhile, however short it is. */
#include "blocking.h"

#include <limits.h>

START_TEST(a_sleep_lasts_as_long_as_it_should)
{
    int64_t from;

    begin_io(_i);
    gil_restore_thread(test_state);
    from = now_ns();
    ck_assert_int_eq(gil_sleep(3 * MS), 0);
    ck_assert_int_ge(now_ns() - from, 3 * MS);
    from = now_ns();
    ck_assert_int_eq(gil_sleep_until(from + 2 * MS), 0);
    ck_assert_int_ge(now_ns() - from, 2 * MS);
    ck_assert_int_eq(gil_sleep_until(from), 0);
    ck_assert_int_eq(gil_sleep(-1), 0);
}
END_TEST

/* At times it has only just given the lock up, and does not wait for it yet; but nothing else than
 * the sleeps gives it the lock, so that without them this goes on until the test's time is over. */
static void let_rival_run(rival *r, int64_t duration_ns)
{
    unsigned long before = atomic_load(&r->steps);

    while (atomic_load(&r->steps) == before)
        ck_assert_int_eq(gil_sleep(duration_ns), 0);
}

START_TEST(however_short_it_lets_a_waiting_thread_run)
{
    static const int64_t durations_ns[] = {0, 1, 100000};
    rival r = {0};

    begin_io(_i);
    rival_start(&r);
    gil_restore_thread(test_state);
    for (int i = 0; i < 60; i++)
        let_rival_run(&r, durations_ns[i % 3]);
    gil_save_thread();
    rival_end(&r);
}
END_TEST

static long sleep_for_ever(void *arg)
{
    (void)arg;
    return gil_sleep(INT64_MAX);
}

START_TEST(a_sleep_for_ever_can_be_ended)
{
    job j;

    begin_io(_i);
    job_start_asleep(&j, sleep_for_ever, NULL);
    job_interrupt(&j);
    job_expect(&j, -EINTR);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("iosleep");
    TCase *tc = tcase_create("iosleep");

    tcase_set_timeout(tc, 20);
    ADD_BOTH(tc, a_sleep_lasts_as_long_as_it_should);
    ADD_BOTH(tc, however_short_it_lets_a_waiting_thread_run);
    ADD_BOTH(tc, a_sleep_for_ever_can_be_ended);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
