/* gil_close() and batches: requests for that file end with EBADF, and only they, whether their owner
 * waits, does not wait, or is who closes the file. */
#include "batches.h"

static long close_it(void *arg)
{
    return gil_close(*(int *)arg);
}

/* Another thread closes the file that the request of this index is for. */
static void close_elsewhere(unsigned i)
{
    job closer;

    job_start(&closer, close_it, &pairs[i][0]);
    job_expect(&closer, 0);
}

static void expect_all_but(unsigned closed)
{
    for (unsigned i = 0; i < N; i++)
        expect(i, i == closed ? -EBADF : 1);
}

static void answer_all_but(unsigned closed)
{
    for (unsigned i = 0; i < N; i++)
        if (i != closed)
            answer(i);
}

START_TEST(the_owner_waits)
{
    job j;

    begin_io(_i);
    job_start_asleep(&j, wait_for_receives, NULL);
    close_elsewhere(2);
    answer_all_but(2);
    job_expect(&j, 0);
    gil_restore_thread(test_state);
    expect_all_but(2);
}
END_TEST

static long wait_any_of_receives(void *arg)
{
    int first;

    (void)arg;
    batch = gil_batch_create(N);
    add_receives();
    first = gil_batch_wait_any(batch);
    gil_batch_cancel(batch);
    return first;
}

START_TEST(a_closed_request_is_the_first_that_is_done)
{
    job j;

    begin_io(_i);
    job_start_asleep(&j, wait_any_of_receives, NULL);
    close_elsewhere(5);
    job_expect(&j, 5);
    gil_restore_thread(test_state);
    expect(5, -EBADF);
    expect(0, -ECANCELED);
}
END_TEST

START_TEST(the_owner_does_not_wait)
{
    begin_batch(_i);
    add_receives();
    gil_batch_submit(batch);
    gil_save_thread();
    close_elsewhere(3);
    gil_restore_thread(test_state);
    answer_all_but(3);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    expect_all_but(3);
}
END_TEST

START_TEST(the_owner_closes)
{
    begin_batch(_i);
    add_receives();
    gil_batch_submit(batch);
    ck_assert_int_eq(gil_close(pairs[4][0]), 0);
    answer_all_but(4);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    expect_all_but(4);
}
END_TEST

/* What is made of system calls must not go on with the number. */
START_TEST(fd_reuse)
{
    int other[2];
    char c;

    begin_batch(_i);
    add_receives();
    gil_batch_submit(batch);
    gil_save_thread();
    close_elsewhere(0);
    make_pair(other);
    ck_assert_int_eq(dup2(other[0], pairs[0][0]), pairs[0][0]);
    ck_assert_int_eq(send(other[1], "y", 1, 0), 1);
    gil_restore_thread(test_state);
    answer_all_but(0);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    expect_all_but(0);
    ck_assert_int_eq(bytes[0], '-');
    ck_assert_int_eq(recv(other[0], &c, 1, MSG_DONTWAIT), 1);
}
END_TEST

static long wait_again_and_again(void *arg)
{
    atomic_bool *stop = arg;
    long closed = 0;

    while (!atomic_load(stop)) {
        gil_batch *own = gil_batch_create(1);
        char c;
        int fds[2];

        make_pair(fds);
        gil_batch_recv(own, fds[0], &c, 1, 0);
        pairs[0][0] = fds[0];
        if (gil_batch_wait_all(own) == 0 && gil_batch_result(own, 0) < 0)
            closed += errno == EBADF;
        gil_batch_destroy(own);
        close(fds[1]);
    }
    return closed;
}

/* Whatever the owner is at. */
START_TEST(close_at_any_time)
{
    atomic_bool stop = false;
    long count = 0;
    job j;

    begin_io(_i);
    pairs[0][0] = -1;
    job_start(&j, wait_again_and_again, &stop);
    for (int i = 0; i < 500; i++) {
        int fd;

        gil_restore_thread(test_state);
        while ((fd = pairs[0][0]) < 0) {
            gil_save_thread();
            sleep_ns(20 * US);
            gil_restore_thread(test_state);
        }
        pairs[0][0] = -1;
        gil_save_thread();
        spin_ns(i % 40 * US);
        gil_restore_thread(test_state);
        atomic_store(&stop, i == 499);
        ck_assert_int_eq(gil_close(fd), 0);
        gil_save_thread();
        count++;
    }
    job_expect(&j, count);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batchclose");
    TCase *tc = tcase_create("batchclose");

    tcase_set_timeout(tc, 30);
    ADD_BOTH(tc, the_owner_waits);
    ADD_BOTH(tc, a_closed_request_is_the_first_that_is_done);
    ADD_BOTH(tc, the_owner_does_not_wait);
    ADD_BOTH(tc, the_owner_closes);
    ADD_BOTH(tc, fd_reuse);
    ADD_BOTH(tc, close_at_any_time);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
