/* What is asked of the main thread: pending calls, and functions for signals. */
#include "states.h"

#include <signal.h>

/* ---- pending calls ---- */

static int order[64];
static int called;
static int result;
static int caller;

static int note(void *arg)
{
    caller = my_tid();
    order[called++] = (int)(intptr_t)arg;
    return result;
}

static int look(void)
{
    for (int i = 0; i < 100; i++)
        if (gil_checkpoint() != 0)
            return -1;
    return 0;
}

START_TEST(calls_run_at_a_checkpoint_in_order)
{
    begin_runtime();
    look();
    for (intptr_t i = 0; i < 5; i++)
        ck_assert_int_eq(gil_add_pending_call(note, (void *)i), 0);
    ck_assert_int_eq(called, 0);
    ck_assert_int_eq(look(), 0);
    ck_assert_int_eq(called, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(order[i], i);
    look();
    ck_assert_int_eq(called, 5);
    gil_finalize();
}
END_TEST

START_TEST(a_full_queue_says_so)
{
    begin_runtime();
    for (int round = 0; round < 3; round++) {
        called = 0;
        for (intptr_t i = 0; i < GIL_PENDING_CALLS_MAX; i++)
            ck_assert_int_eq(gil_add_pending_call(note, (void *)i), 0);
        errno = 0;
        ck_assert_int_eq(gil_add_pending_call(note, NULL), -1);
        ck_assert_int_eq(errno, EAGAIN);
        ck_assert_int_eq(gil_make_pending_calls(), 0);
        ck_assert_int_eq(called, GIL_PENDING_CALLS_MAX);
        ck_assert_int_eq(order[GIL_PENDING_CALLS_MAX - 1], GIL_PENDING_CALLS_MAX - 1);
    }
    gil_finalize();
}
END_TEST

START_TEST(a_call_that_fails_leaves_the_others_queued)
{
    begin_runtime();
    for (intptr_t i = 0; i < 3; i++)
        gil_add_pending_call(note, (void *)i);
    result = -1;
    ck_assert_int_eq(look(), -1);
    ck_assert_int_eq(called, 1);
    result = 0;
    ck_assert_int_eq(look(), 0);
    ck_assert_int_eq(called, 3);
    gil_finalize();
}
END_TEST

static int add_again(void *arg)
{
    int before = called;

    called++;
    ck_assert_int_eq(gil_add_pending_call(add_again, arg), 0);
    ck_assert_int_eq(gil_make_pending_calls(), 0); /* inside a call: nothing */
    look();
    ck_assert_int_eq(called, before + 1);
    return 0;
}

START_TEST(a_call_that_adds_itself_comes_back_later)
{
    begin_runtime();
    gil_add_pending_call(add_again, NULL);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(gil_make_pending_calls(), 0);
        ck_assert_int_eq(called, i);
    }
    gil_finalize();
    ck_assert_int_eq(called, 4);
}
END_TEST

static void *adder_main(void *arg)
{
    gil_state state;

    ck_assert_int_eq(gil_add_pending_call(note, arg), 0); /* without the lock */
    state = gil_ensure();
    ck_assert_int_eq(gil_add_pending_call(note, arg), 0);
    ck_assert_int_eq(gil_make_pending_calls(), 0); /* not the main thread */
    look();
    ck_assert_int_eq(called, 0);
    gil_release(state);
    return NULL;
}

START_TEST(other_threads_add_and_the_main_thread_calls)
{
    begin_runtime();
    GIL_BEGIN_ALLOW_THREADS
    join(start(adder_main, NULL));
    GIL_END_ALLOW_THREADS
    ck_assert_int_eq(called, 0);
    ck_assert_int_eq(look(), 0);
    ck_assert_int_eq(called, 2);
    ck_assert_int_eq(caller, my_tid());
    gil_finalize();
}
END_TEST

START_TEST(calls_that_wait_run_before_the_end)
{
    begin_runtime();
    gil_add_pending_call(note, NULL);
    gil_finalize();
    ck_assert_int_eq(called, 1);
    gil_initialize(0);
    look();
    ck_assert_int_eq(called, 1);
    gil_finalize();
}
END_TEST

/* ---- signals ---- */

static int signals[64];
static int arrived;

static int note_signal(int signum, void *arg)
{
    signals[arrived++] = signum;
    return *(int *)arg;
}

START_TEST(signals_are_noticed_at_a_checkpoint)
{
    begin_runtime();
    ck_assert_int_eq(gil_on_signal(SIGUSR1, note_signal, &result), 0);
    ck_assert_int_eq(gil_on_signal(SIGUSR2, note_signal, &result), 0);
    look();
    raise(SIGUSR2);
    raise(SIGUSR1);
    raise(SIGUSR1);
    ck_assert_int_eq(arrived, 0);
    ck_assert_int_eq(look(), 0);
    ck_assert_int_eq(arrived, 2); /* once for each kind */
    ck_assert(signals[0] == SIGUSR1 && signals[1] == SIGUSR2);
    look();
    ck_assert_int_eq(arrived, 2);

    raise(SIGUSR1);
    raise(SIGUSR2);
    result = -1;
    ck_assert_int_eq(gil_check_signals(), -1);
    ck_assert_int_eq(arrived, 3);
    ck_assert_int_eq(look(), -1);
    ck_assert_int_eq(arrived, 4);
    result = 0;
    ck_assert_int_eq(look(), 0);
    gil_finalize();
}
END_TEST

START_TEST(as_if_a_signal_had_arrived)
{
    begin_runtime();
    errno = 0;
    ck_assert_int_eq(gil_set_signal(SIGUSR1), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(gil_set_signal(0), -1);
    ck_assert_int_eq(gil_set_signal(1000), -1);
    gil_on_signal(SIGUSR1, note_signal, &result);
    ck_assert_int_eq(gil_set_signal(SIGUSR1), 0);
    ck_assert_int_eq(gil_check_signals(), 0);
    ck_assert_int_eq(arrived, 1);
    gil_finalize();
}
END_TEST

static int plain_handled;

static void plain(int signum)
{
    plain_handled = signum;
}

START_TEST(what_the_signal_did_before_comes_back)
{
    struct sigaction action = {.sa_handler = plain}, now;

    sigaction(SIGUSR1, &action, NULL);
    begin_runtime();
    errno = 0;
    ck_assert_int_eq(gil_on_signal(SIGKILL, note_signal, &result), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(gil_on_signal(-1, note_signal, &result), -1);
    ck_assert_int_eq(gil_on_signal(SIGUSR1, NULL, NULL), 0); /* nothing was there */
    for (int by_end = 0; by_end < 2; by_end++) {
        ck_assert_int_eq(gil_on_signal(SIGUSR1, note_signal, &result), 0);
        ck_assert_int_eq(gil_on_signal(SIGUSR1, note_signal, &result), 0);
        raise(SIGUSR1);
        ck_assert_int_eq(plain_handled, 0);
        if (by_end)
            gil_finalize();
        else
            ck_assert_int_eq(gil_on_signal(SIGUSR1, NULL, NULL), 0);
        sigaction(SIGUSR1, NULL, &now);
        ck_assert(now.sa_handler == plain);
        raise(SIGUSR1);
        ck_assert_int_eq(plain_handled, SIGUSR1);
        plain_handled = 0;
    }
    gil_initialize(0);
    look();
    ck_assert_int_eq(arrived, 0);
    gil_finalize();
}
END_TEST

/* A signal that comes while another thread runs waits for the main thread. */
static void *signalled_main(void *arg)
{
    gil_state state = gil_ensure();

    raise(SIGUSR1);
    look();
    ck_assert_int_eq(gil_check_signals(), 0);
    ck_assert_int_eq(arrived, 0);
    gil_release(state);
    return arg;
}

START_TEST(only_the_main_thread_runs_them)
{
    begin_runtime();
    gil_on_signal(SIGUSR1, note_signal, &result);
    GIL_BEGIN_ALLOW_THREADS
    join(start(signalled_main, NULL));
    GIL_END_ALLOW_THREADS
    look();
    ck_assert_int_eq(arrived, 1);
    gil_finalize();
}
END_TEST

/* The handler makes a blocking call of the main thread return, and keeps errno. */
START_TEST(a_signal_interrupts_the_main_thread)
{
    gil_thread_event never = {{0}};

    begin_runtime();
    gil_on_signal(SIGUSR1, note_signal, &result);
    errno = 5;
    raise(SIGUSR1);
    ck_assert_int_eq(errno, 5);
    ck_assert_int_eq(gil_thread_event_wait(&never, -1), -1);
    ck_assert_int_eq(errno, EINTR);
    gil_finalize();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pending");
    TCase *tc = tcase_create("pending");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, calls_run_at_a_checkpoint_in_order);
    tcase_add_test(tc, a_full_queue_says_so);
    tcase_add_test(tc, a_call_that_fails_leaves_the_others_queued);
    tcase_add_test(tc, a_call_that_adds_itself_comes_back_later);
    tcase_add_test(tc, other_threads_add_and_the_main_thread_calls);
    tcase_add_test(tc, calls_that_wait_run_before_the_end);
    tcase_add_test(tc, signals_are_noticed_at_a_checkpoint);
    tcase_add_test(tc, as_if_a_signal_had_arrived);
    tcase_add_test(tc, what_the_signal_did_before_comes_back);
    tcase_add_test(tc, only_the_main_thread_runs_them);
    tcase_add_test(tc, a_signal_interrupts_the_main_thread);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
