/* Batches: calling off, wholes that are moved in parts, and forks and exits with requests in flight. */
#include "batches.h"

#include <sys/stat.h>

/* ---- calling off ---- */

START_TEST(cancel_says_who_won)
{
    char c = 0;

    begin_batch(_i);
    add_receives();
    gil_batch_submit(batch);
    answer(1);
    answer(5);
    ck_assert_int_ge(gil_batch_wait_any(batch), 0);
    ck_assert_int_ge(gil_batch_wait_any(batch), 0);
    ck_assert_int_eq(gil_batch_cancel(batch), N - 2);
    for (unsigned i = 0; i < N; i++)
        expect(i, i == 1 || i == 5 ? 1 : -ECANCELED);
    ck_assert_int_eq(gil_batch_cancel(batch), 0);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);

    /* Nothing that comes later is taken, or written to a buffer. */
    answer(0);
    FAILS(gil_read_for(pairs[2][0], &c, 1, MS), ETIMEDOUT);
    ck_assert_int_eq(bytes[0], '-');
    ck_assert_int_eq(recv(pairs[0][0], &c, 1, MSG_DONTWAIT), 1);
    gil_batch_destroy(batch);
}
END_TEST

START_TEST(cancel_of_what_was_not_started)
{
    begin_batch(_i);
    add_receives();
    answer(0);
    ck_assert_int_eq(gil_batch_cancel(batch), N);
    expect(0, -ECANCELED);
    ck_assert_int_eq(recv(pairs[0][0], bytes, 1, MSG_DONTWAIT), 1);
}
END_TEST

static void *send_at_random(void *arg)
{
    unsigned seed = 1;

    for (int i = 0; i < *(int *)arg; i++) {
        spin_ns(rand_r(&seed) % 100 * US);
        ck_assert_int_eq(send(pairs[i % N][1], "x", 1, 0), 1);
    }
    return NULL;
}

/* No byte is lost or counted twice, whether it or the cancellation comes first. */
START_TEST(cancel_that_races_with_completion)
{
    int count = 2000, got = 0, from;
    pthread_t sender;

    begin_batch(_i);
    add_receives();
    gil_batch_cancel(batch);
    sender = start(send_at_random, &count);
    for (from = 0; got < count && from < 100 * count; from++) {
        gil_batch_clear(batch);
        for (unsigned i = 0; i < N; i++)
            gil_batch_recv(batch, pairs[i][0], &bytes[i], 1, 0);
        gil_batch_wait_any_for(batch, 100 * US);
        gil_batch_cancel(batch);
        for (unsigned i = 0; i < N; i++)
            got += gil_batch_result(batch, i) == 1;
    }
    join(sender);
    ck_assert_int_eq(got, count);
    for (unsigned i = 0; i < N; i++)
        ck_assert_int_eq(recv(pairs[i][0], bytes, 1, MSG_DONTWAIT), -1);
}
END_TEST

/* ---- a whole ---- */

static char large[1 << 20];

static void *read_slowly(void *arg)
{
    static char away[65536];
    long sum = 0;

    while (sum < 3 * (long)sizeof large) {
        ssize_t n = read(*(int *)arg, away, sizeof away);

        ck_assert_int_gt(n, 0);
        sum += n;
        if (sum % 7 == 0)
            sleep_ns(100 * US);
    }
    return NULL;
}

static void whole(int ends[2])
{
    struct iovec parts[3] = {{large, 1000}, {NULL, 0}, {large + 1000, sizeof large - 1000}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    pthread_t reader = start(read_slowly, &ends[0]);
    struct stat about;

    fstat(ends[0], &about);
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            gil_batch_write(batch, ends[1], large, sizeof large);
        else if (i == 1)
            gil_batch_writev(batch, ends[1], parts, 3);
        else if (S_ISSOCK(about.st_mode))
            gil_batch_sendmsg(batch, ends[1], &message, 0);
        else
            gil_batch_write(batch, ends[1], large, sizeof large);
        ck_assert_int_eq(gil_batch_wait_all(batch), 0);
        expect((unsigned)i, sizeof large);
    }
    join(reader);
    gil_batch_clear(batch);
}

START_TEST(writes_are_done_as_a_whole)
{
    begin_batch(_i);
    make_pipe(pairs[0]);
    whole(pairs[0]);
    make_pair(pairs[0]);
    whole(pairs[0]);
    make_tcp_pair(pairs[0]);
    whole(pairs[0]);
}
END_TEST

static void *send_in_pieces(void *arg)
{
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(send(*(int *)arg, "ab", 2, 0), 2);
        sleep_ns(MS);
    }
    return NULL;
}

START_TEST(a_whole_is_received)
{
    pthread_t sender;
    char some[8] = "", rest[16];

    begin_batch(_i);
    make_pair(pairs[0]);
    gil_batch_recv(batch, pairs[0][0], some, sizeof some, MSG_WAITALL);
    sender = start(send_in_pieces, &pairs[0][1]);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    expect(0, sizeof some);
    ck_assert_mem_eq(some, "abababab", 8);
    join(sender);

    /* When it ends early, a part. */
    gil_batch_recv(batch, pairs[0][0], rest, sizeof rest, MSG_WAITALL);
    ck_assert_int_eq(send(pairs[0][1], "abc", 3, 0), 3);
    FAILS(gil_batch_wait_all_for(batch, 2 * MS), ETIMEDOUT);
    ck_assert_int_eq(gil_batch_cancel(batch), 0);
    expect(1, 3);
}
END_TEST

/* ---- fork ---- */

START_TEST(fork_with_a_batch_in_flight)
{
    pid_t pid;

    begin_batch(_i);
    ck_assert_int_eq(gil_install_fork_handlers(), 0);
    add_receives();
    answer(1);
    ck_assert_int_eq(gil_batch_wait_any(batch), 1);
    pid = fork();
    if (pid == 0) {
        for (unsigned i = 0; i < N; i++)
            expect(i, i == 1 ? 1 : -ECANCELED);
        ck_assert_int_eq(gil_batch_wait_all(batch), 0);
        ck_assert_int_eq(wait_all_again(batch), 0);
        gil_batch_destroy(batch);
        _exit(0);
    }
    check_child(pid);
    for (unsigned i = 0; i < N; i++)
        answer(i);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    for (unsigned i = 0; i < N; i++)
        expect(i, 1);
}
END_TEST

START_TEST(fork_while_another_thread_waits_for_a_batch)
{
    pid_t pid;
    job j;

    begin_io(_i);
    ck_assert_int_eq(gil_install_fork_handlers(), 0);
    job_start_asleep(&j, wait_for_receives, NULL);
    gil_restore_thread(test_state);
    pid = fork();
    if (pid == 0) {
        for (unsigned i = 0; i < N; i++)
            expect(i, -ECANCELED);
        gil_batch_destroy(batch);
        _exit(0);
    }
    gil_save_thread();
    check_child(pid);
    for (unsigned i = 0; i < N; i++)
        answer(i);
    job_expect(&j, 0);
}
END_TEST

START_TEST(process_exit_with_a_batch_in_flight)
{
    pid_t pid = fork();

    if (pid == 0) {
        begin_batch(_i);
        add_receives();
        gil_batch_submit(batch);
        exit(0);
    }
    check_child(pid);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batchends");
    TCase *tc = tcase_create("batchends");

    tcase_set_timeout(tc, 30);
    ADD_BOTH(tc, cancel_says_who_won);
    ADD_BOTH(tc, cancel_of_what_was_not_started);
    ADD_BOTH(tc, cancel_that_races_with_completion);
    ADD_BOTH(tc, writes_are_done_as_a_whole);
    ADD_BOTH(tc, a_whole_is_received);
    ADD_BOTH(tc, fork_with_a_batch_in_flight);
    ADD_BOTH(tc, fork_while_another_thread_waits_for_a_batch);
    ADD_BOTH(tc, process_exit_with_a_batch_in_flight);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
