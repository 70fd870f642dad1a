/* The counters of blocking calls: done at once, blocked, ended by somebody. */
#include "blocking.h"

static int ends[2];

/* Of all threads, those that have ended included; with the lock held. */
static gil_thread_stats counted(void)
{
    gil_thread_stats all[16], sum = {0};
    gil_lock *lock = gil_interpreter_state_lock(gil_interpreter_state_main());

    for (size_t i = gil_lock_stats(lock, all, 16); i-- > 0;) {
        sum.io_inline += all[i].io_inline;
        sum.io_blocked += all[i].io_blocked;
        sum.io_interrupted += all[i].io_interrupted;
    }
    return sum;
}

static void expect(uint64_t at_once, uint64_t blocked, uint64_t interrupted)
{
    gil_thread_stats sum = counted();

    ck_assert_uint_eq(sum.io_inline, at_once);
    ck_assert_uint_eq(sum.io_blocked, blocked);
    ck_assert_uint_eq(sum.io_interrupted, interrupted);
}

START_TEST(a_call_that_does_not_block_is_counted_as_such)
{
    begin_io(_i);
    make_pipe(ends);
    gil_restore_thread(test_state);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(gil_write(ends[1], "x", 1), 1);
        ck_assert_int_eq(read_one(&ends[0]), 1);
    }
    expect(6, 0, 0);
}
END_TEST

START_TEST(a_call_that_blocks_is_counted_once)
{
    job j;

    begin_io(_i);
    make_pipe(ends);
    job_start_asleep(&j, read_one, &ends[0]);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    job_expect(&j, 1);
    gil_restore_thread(test_state);
    expect(0, 1, 0);
}
END_TEST

START_TEST(an_interrupt_is_counted)
{
    job j;

    begin_io(_i);
    make_pipe(ends);
    job_start_asleep(&j, read_one, &ends[0]);
    job_interrupt(&j);
    job_expect(&j, -EINTR);
    gil_restore_thread(test_state);
    expect(0, 1, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("iostats");
    TCase *tc = tcase_create("iostats");

    tcase_set_timeout(tc, 20);
    ADD_BOTH(tc, a_call_that_does_not_block_is_counted_as_such);
    ADD_BOTH(tc, a_call_that_blocks_is_counted_once);
    ADD_BOTH(tc, an_interrupt_is_counted);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
