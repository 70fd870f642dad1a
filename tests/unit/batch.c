/* Batches: what is waited for, and how waits end. How batches end, and wholes: batchends.c; that each
 * request is the plain call: batchcalls.c; misuse: batchmisuse.c. */
#include "batches.h"

#include <malloc.h>

/* ---- waiting ---- */

static void *answer_all_backwards(void *arg)
{
    for (unsigned i = N; i-- > 0;) {
        sleep_ns(MS);
        answer(i);
    }
    return arg;
}

START_TEST(all)
{
    pthread_t other;

    begin_batch(_i);
    add_receives();
    other = start(answer_all_backwards, NULL);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    for (unsigned i = 0; i < N; i++)
        expect(i, 1);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    join(other);
}
END_TEST

START_TEST(any_in_the_order_in_which_they_are_done)
{
    begin_batch(_i);
    add_receives();
    gil_batch_submit(batch);
    FAILS(gil_batch_wait_any_for(batch, MS), ETIMEDOUT);
    for (unsigned i = N; i-- > 0;) {
        answer(i);
        ck_assert_int_eq(gil_batch_wait_any(batch), i);
        expect(i, 1);
        if (i > 0)
            expect(i - 1, -EINPROGRESS);
    }
    FAILS(gil_batch_wait_any(batch), ENOENT);
}
END_TEST

START_TEST(one_is_returned_once)
{
    bool seen[N] = {false};

    begin_batch(_i);
    add_receives();
    for (unsigned i = 0; i < N; i++)
        answer(i);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    for (unsigned i = 0; i < N; i++) {
        int index = gil_batch_wait_any(batch);

        ck_assert(index >= 0 && !seen[index]);
        seen[index] = true;
    }
    FAILS(gil_batch_wait_any(batch), ENOENT);
}
END_TEST

START_TEST(a_deadline_leaves_them_going)
{
    begin_batch(_i);
    add_receives();
    answer(0);
    FAILS(gil_batch_wait_all_for(batch, 5 * MS), ETIMEDOUT);
    FAILS(gil_batch_wait_all_for(batch, 0), ETIMEDOUT);
    expect(0, 1);
    expect(1, -EINPROGRESS);
    for (unsigned i = 1; i < N; i++)
        answer(i);
    ck_assert_int_eq(gil_batch_wait_all_for(batch, LONG_NS), 0);
    expect(N - 1, 1);
}
END_TEST

START_TEST(a_timeout_of_0_finds_what_is_there)
{
    begin_batch(_i);
    add_receives();
    answer(3);
    ck_assert_int_eq(gil_batch_wait_any_for(batch, 0), 3);
    FAILS(gil_batch_wait_any_for(batch, 0), ETIMEDOUT);
    gil_batch_cancel(batch);
}
END_TEST

START_TEST(requests_can_be_added_while_others_go_on)
{
    begin_batch(_i);
    make_pair(pairs[0]);
    make_pair(pairs[1]);
    gil_batch_recv(batch, pairs[0][0], &bytes[0], 1, 0);
    FAILS(gil_batch_wait_any_for(batch, MS), ETIMEDOUT);
    gil_batch_recv(batch, pairs[1][0], &bytes[1], 1, 0);
    answer(1);
    ck_assert_int_eq(gil_batch_wait_any(batch), 1);
    answer(0);
    ck_assert_int_eq(gil_batch_wait_any(batch), 0);
}
END_TEST

START_TEST(the_lock_is_free_meanwhile)
{
    unsigned long before;
    rival r = {0};

    begin_batch(_i);
    gil_save_thread();
    rival_start(&r);
    gil_restore_thread(test_state);
    add_receives();
    before = atomic_load(&r.steps);
    FAILS(gil_batch_wait_all_for(batch, 20 * MS), ETIMEDOUT);
    ck_assert_uint_gt(atomic_load(&r.steps), before);
    ck_assert_int_eq(gil_batch_cancel(batch), N);
    gil_save_thread();
    rival_end(&r);
}
END_TEST

START_TEST(two_batches_of_a_thread)
{
    gil_batch *second;
    char c;

    begin_batch(_i);
    add_receives();
    second = gil_batch_create(1);
    gil_batch_recv(second, pairs[0][1], &c, 1, 0);
    gil_batch_submit(second);
    gil_batch_submit(batch);
    ck_assert_int_eq(send(pairs[0][0], "y", 1, 0), 1);
    for (unsigned i = 0; i < N; i++)
        answer(i);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    ck_assert_int_eq(gil_batch_wait_all(second), 0);
    ck_assert_int_eq(c, 'y');
    gil_batch_destroy(second);
    gil_batch_destroy(batch);
}
END_TEST

START_TEST(a_batch_may_go_to_another_thread)
{
    job j;

    begin_batch(_i);
    ck_assert_int_eq(wait_all_again(batch), 0);
    gil_save_thread();
    job_start(&j, wait_all_again, batch);
    job_expect(&j, 0);
    gil_restore_thread(test_state);
    ck_assert_int_eq(wait_all_again(batch), 0);
}
END_TEST

/* ---- many, and no memory for them ---- */

enum { MANY = 1000 };

START_TEST(more_requests_than_a_ring_holds)
{
    static char pages[MANY][64];
    int fd = make_file(MANY * 4096);

    begin_batch(_i);
    gil_batch_destroy(batch);
    batch = gil_batch_create(MANY);
    for (int round = 0; round < 3; round++) {
        memset(pages, -1, sizeof pages);
        for (unsigned i = 0; i < MANY; i++)
            gil_batch_pread(batch, fd, pages[i], 64, i * 4096);
        ck_assert_int_eq(gil_batch_wait_all(batch), 0);
        for (unsigned i = 0; i < MANY; i++) {
            expect(i, 64);
            ck_assert_int_eq(pages[i][63], i & 127);
        }
        gil_batch_clear(batch);
    }
}
END_TEST

START_TEST(no_allocation_once_it_is_made)
{
    size_t before = 0;

    begin_batch(_i);
    for (int round = 0; round < 50; round++) {
        ck_assert_int_eq(wait_all_again(batch), 0);
        for (unsigned i = 0; i < N; i++) {
            close(pairs[i][0]);
            close(pairs[i][1]);
        }
        if (round == 0)
            before = mallinfo2().uordblks;
    }
    ck_assert_uint_eq(mallinfo2().uordblks, before);
}
END_TEST

/* ---- interrupts and signals ---- */

static long wait_with_receives(void *arg)
{
    batch = gil_batch_create(N);
    add_receives();
    if (gil_batch_wait_all(batch) == 0 || errno != EINTR)
        return -2;
    *(bool *)arg = true;
    return gil_batch_wait_all(batch);
}

START_TEST(an_interrupt_ends_one_wait)
{
    bool ended = false;
    job j;

    begin_io(_i);
    job_start_asleep(&j, wait_with_receives, &ended);
    job_interrupt(&j);
    sleep_ns(10 * MS);
    ck_assert(!atomic_load(&j.done));
    for (unsigned i = 0; i < N; i++)
        answer(i);
    job_expect(&j, 0);
    ck_assert(ended);
}
END_TEST

static atomic_int arrivals;
static int verdict;

static int on_signal(int signum, void *arg)
{
    (void)signum, (void)arg;
    ck_assert(gil_check());
    if (atomic_fetch_add(&arrivals, 1) == 0 && verdict == 0)
        for (unsigned i = 0; i < N; i++)
            answer(i);
    return verdict;
}

static void *signal_soon(void *arg)
{
    pid_t main_tid = getpid();

    WAIT_FOR(asleep(main_tid));
    ck_assert_int_eq(syscall(SYS_tgkill, main_tid, main_tid, SIGUSR1), 0);
    return arg;
}

START_TEST(a_signals_function_runs_and_the_wait_goes_on)
{
    pthread_t sender;

    begin_batch(_i);
    add_receives();
    ck_assert_int_eq(gil_on_signal(SIGUSR1, on_signal, NULL), 0);
    sender = start(signal_soon, NULL);
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    ck_assert_int_eq(atomic_load(&arrivals), 1);
    join(sender);
}
END_TEST

START_TEST(a_signals_function_can_end_the_wait)
{
    pthread_t sender;

    begin_batch(_i);
    add_receives();
    verdict = -1;
    ck_assert_int_eq(gil_on_signal(SIGUSR1, on_signal, NULL), 0);
    sender = start(signal_soon, NULL);
    FAILS(gil_batch_wait_all(batch), EINTR);
    join(sender);
    ck_assert_int_eq(gil_batch_cancel(batch), N);
}
END_TEST

static void only_counts(int signum)
{
    (void)signum;
    atomic_fetch_add(&arrivals, 1);
}

START_TEST(other_signals_do_not_end_it)
{
    struct sigaction action = {.sa_handler = only_counts};
    job j;

    begin_io(_i);
    ck_assert_int_eq(sigaction(SIGUSR2, &action, NULL), 0);
    job_start_asleep(&j, wait_for_receives, NULL);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(pthread_kill(j.thread, i % 2 ? SIGUSR2 : GIL_IO_SIGNAL), 0);
    ck_assert(!atomic_load(&j.done));
    for (unsigned i = 0; i < N; i++)
        answer(i);
    job_expect(&j, 0);
    ck_assert_int_gt(atomic_load(&arrivals), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *tc = tcase_create("batch");

    tcase_set_timeout(tc, 30);
    ADD_BOTH(tc, all);
    ADD_BOTH(tc, any_in_the_order_in_which_they_are_done);
    ADD_BOTH(tc, one_is_returned_once);
    ADD_BOTH(tc, a_deadline_leaves_them_going);
    ADD_BOTH(tc, a_timeout_of_0_finds_what_is_there);
    ADD_BOTH(tc, requests_can_be_added_while_others_go_on);
    ADD_BOTH(tc, the_lock_is_free_meanwhile);
    ADD_BOTH(tc, two_batches_of_a_thread);
    ADD_BOTH(tc, a_batch_may_go_to_another_thread);
    ADD_BOTH(tc, more_requests_than_a_ring_holds);
    ADD_BOTH(tc, no_allocation_once_it_is_made);
    ADD_BOTH(tc, an_interrupt_ends_one_wait);
    ADD_BOTH(tc, a_signals_function_runs_and_the_wait_goes_on);
    ADD_BOTH(tc, a_signals_function_can_end_the_wait);
    ADD_BOTH(tc, other_signals_do_not_end_it);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
