/* Interrupts and the place where a thread waits: who can be interrupted, by whom, and what a thread
 * that has ended, or the next one in its place, has to do with it. */
#include "callers.h"

static gil_thread_event never;

START_TEST(a_thread_that_never_used_the_library_is_not_found)
{
    ck_assert_int_eq(gil_interrupt((unsigned long)pthread_self()), -1);
    ck_assert_int_eq(errno, ESRCH);
    ck_assert_int_eq(gil_interrupt(0), -1);
    ck_assert_int_eq(gil_interrupt(GIL_NO_THREAD), -1);
    gil_thread_ident();
    errno = ERRNO_KEPT;
    ck_assert_int_eq(gil_interrupt((unsigned long)pthread_self()), 0);
    ck_assert_int_eq(errno, ERRNO_KEPT);
}
END_TEST

START_TEST(a_thread_with_a_state_is_found)
{
    caller c = {.with_state = true};
    unsigned long ident;

    begin();
    ident = gil_thread_state_thread(begun);
    ck_assert_uint_eq(ident, (unsigned long)pthread_self());
    ck_assert_int_eq(gil_interrupt(ident), 0);
    ck_assert_int_eq(gil_thread_event_wait(&never, -1), -1);
    ck_assert_int_eq(errno, EINTR);
    caller_start(&c, event_call, 1);
    caller_expect(&c, ETIMEDOUT);
}
END_TEST

START_TEST(many_interrupts_are_one)
{
    for (int i = 0; i < 5; i++)
        gil_interrupt(gil_thread_ident());
    ck_assert_int_eq(errno_of_a_wait(), EINTR);
    ck_assert_int_eq(errno_of_a_wait(), ETIMEDOUT);
}
END_TEST

START_TEST(only_that_thread)
{
    caller c[5] = {{0}};

    for (int i = 0; i < 5; i++)
        caller_start(&c[i], event_call, -1);
    gil_interrupt(atomic_load(&c[2].ident));
    caller_expect(&c[2], EINTR);
    for (int i = 0; i < 5; i++)
        ck_assert(i == 2 || !atomic_load(&c[i].done));
    gil_thread_event_set(&form_event);
    for (int i = 0; i < 5; i++)
        if (i != 2)
            caller_expect(&c[i], 0);
}
END_TEST

/* ---- threads come and go ---- */

static void *gets_interrupted(void *arg)
{
    *(unsigned long *)arg = gil_thread_ident();
    gil_interrupt(gil_thread_ident());
    return NULL;
}

static void *is_not_interrupted(void *arg)
{
    *(int *)arg = errno_of_a_wait();
    return NULL;
}

START_TEST(an_ended_thread_is_not_found_and_leaves_nothing)
{
    for (int i = 0; i < 50; i++) {
        unsigned long ident;
        int error;

        join(start(gets_interrupted, &ident));
        ck_assert_int_eq(gil_interrupt(ident), -1);
        ck_assert_int_eq(errno, ESRCH);
        join(start(is_not_interrupted, &error)); /* in the place of the other */
        ck_assert_int_eq(error, ETIMEDOUT);
    }
}
END_TEST

/* Their idents have few values, which one place in a table must not be for. */
START_TEST(each_of_many_threads_is_found)
{
    enum { N = 150 };
    static caller c[N];

    for (int i = 0; i < N; i++)
        caller_start(&c[i], event_call, -1);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(gil_interrupt(atomic_load(&c[i].ident)), 0);
        caller_expect(&c[i], EINTR);
        if (i % 50 == 0)
            ck_assert(!atomic_load(&c[i + 1].done));
    }
}
END_TEST

static pthread_key_t late_key;
static atomic_int late_error;

static void late_wait(void *arg)
{
    (void)arg;
    atomic_store(&late_error, errno_of_a_wait());
}

static void *waits_late(void *arg)
{
    pthread_setspecific(late_key, arg);
    return gil_thread_ident() ? NULL : arg;
}

START_TEST(a_thread_that_is_ending_can_still_wait)
{
    ck_assert_int_eq(pthread_key_create(&late_key, late_wait), 0);
    join(start(waits_late, &late_key));
    ck_assert_int_eq(atomic_load(&late_error), ETIMEDOUT);
}
END_TEST

/* ---- signals ---- */

static int signalled(int signum, void *arg)
{
    ck_assert_int_eq(signum, SIGUSR2);
    (*(int *)arg)++;
    return -1;
}

static void *sends_signal(void *arg)
{
    caller *main_thread = arg;

    WAIT_FOR(asleep(atomic_load(&main_thread->tid)));
    kill(getpid(), SIGUSR2);
    return NULL;
}

/* Where the main thread would otherwise wait for ever with a signal's function to call. */
START_TEST(a_signal_interrupts_the_main_thread)
{
    caller me = {0};
    int calls = 0;
    pthread_t other;

    ck_assert_int_eq(gil_initialize(0), 0);
    ck_assert_int_eq(gil_on_signal(SIGUSR2, signalled, &calls), 0);
    atomic_store(&me.tid, my_tid());
    other = start(sends_signal, &me);
    ck_assert_int_eq(gil_thread_event_wait(&never, -1), -1);
    ck_assert_int_eq(errno, EINTR);
    ck_assert_int_eq(gil_check_signals(), -1);
    ck_assert_int_eq(calls, 1);
    join(other);
    ck_assert_int_eq(gil_set_signal(SIGUSR2), 0);
    ck_assert_int_eq(errno_of_a_wait(), EINTR);
}
END_TEST

/* ---- interrupts at every moment of threads that come, wait and go ---- */

static atomic_ulong victims[4];
static atomic_int at_work;
static atomic_long interrupted;

static void *victim_main(void *arg)
{
    gil_thread_event event = {{0}};

    atomic_store((atomic_ulong *)arg, gil_thread_ident());
    for (int i = 0; i < 20; i++)
        if (gil_thread_event_wait(&event, 10 * US) < 0 && errno == EINTR)
            atomic_fetch_add(&interrupted, 1);
    return NULL;
}

static void *starter_main(void *arg)
{
    for (int i = 0; i < 250; i++)
        join(start(victim_main, arg));
    atomic_fetch_sub(&at_work, 1);
    return NULL;
}

START_TEST(at_any_moment)
{
    pthread_t starters[4];

    atomic_store(&at_work, 4);
    for (int i = 0; i < 4; i++)
        starters[i] = start(starter_main, &victims[i]);
    for (unsigned i = 0; atomic_load(&at_work) > 0; i++)
        gil_interrupt(atomic_load(&victims[i % 4]));
    for (int i = 0; i < 4; i++)
        join(starters[i]);
    ck_assert_int_gt(atomic_load(&interrupted), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("park");
    TCase *tc = tcase_create("park");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_thread_that_never_used_the_library_is_not_found);
    tcase_add_test(tc, a_thread_with_a_state_is_found);
    tcase_add_test(tc, many_interrupts_are_one);
    tcase_add_test(tc, only_that_thread);
    tcase_add_test(tc, an_ended_thread_is_not_found_and_leaves_nothing);
    tcase_add_test(tc, each_of_many_threads_is_found);
    tcase_add_test(tc, a_thread_that_is_ending_can_still_wait);
    tcase_add_test(tc, a_signal_interrupts_the_main_thread);
    tcase_add_test(tc, at_any_moment);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
