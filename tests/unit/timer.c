/* Timer: its function is called once, not before its time, unless it was cancelled. */
#include "callers.h"

static atomic_int calls;
static atomic_bool with_lock;
static int64_t called_ns;
static gil_thread_event go;

static void call(void *arg)
{
    called_ns = now_ns();
    atomic_store(&with_lock, gil_check());
    ck_assert_ptr_eq(arg, &calls);
    atomic_fetch_add(&calls, 1);
}

static gil_timer *start_timer(int64_t delay_ns, void (*fn)(void *))
{
    gil_timer *timer = gil_timer_start(delay_ns, fn, &calls);

    ck_assert_ptr_nonnull(timer);
    return timer;
}

static void begin_here(void)
{
    begin();
    gil_restore_thread(begun);
}

START_TEST(it_calls_its_function_in_time)
{
    static const int64_t delays[] = {-1, 0, 30 * MS};
    int64_t from;
    gil_timer *timer;

    begin_here();
    errno = ERRNO_KEPT;
    from = now_ns();
    timer = start_timer(delays[_i], call);
    ck_assert_int_eq(gil_timer_join(timer, LONG_NS), 0);
    ck_assert_int_eq(errno, ERRNO_KEPT);
    ck_assert_int_eq(atomic_load(&calls), 1);
    ck_assert(atomic_load(&with_lock));
    ck_assert_int_ge(called_ns - from, delays[_i]);
}
END_TEST

START_TEST(a_cancelled_one_does_not)
{
    gil_timer *timer;

    begin_here();
    timer = start_timer(INT64_MAX, call);
    ck_assert_int_eq(gil_timer_join(timer, 5 * MS), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(gil_timer_cancel(timer), 0);
    ck_assert_int_eq(gil_timer_join(timer, LONG_NS), 0);
    ck_assert_int_eq(atomic_load(&calls), 0);
}
END_TEST

static void call_and_wait(void *arg)
{
    call(arg);
    gil_thread_event_wait(&go, -1);
}

START_TEST(it_is_too_late_to_cancel_one_that_calls)
{
    gil_timer *timer;

    begin_here();
    timer = start_timer(0, call_and_wait);
    gil_save_thread();
    WAIT_FOR(atomic_load(&calls) == 1);
    gil_restore_thread(begun);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(gil_timer_cancel(timer), -1);
        ck_assert_int_eq(errno, EALREADY);
    }
    gil_thread_event_set(&go);
    ck_assert_int_eq(gil_timer_join(timer, LONG_NS), 0);
}
END_TEST

static void call_and_exit(void *arg)
{
    call(arg);
    gil_thread_exit();
}

START_TEST(its_function_may_end_the_thread)
{
    gil_timer *timer;

    begin_here();
    timer = start_timer(0, call_and_exit);
    ck_assert_int_eq(gil_timer_join(timer, LONG_NS), 0);
    ck_assert_int_eq(atomic_load(&calls), 1);
}
END_TEST

START_TEST(a_detached_one_goes_on)
{
    begin_here();
    gil_timer_detach(start_timer(5 * MS, call));
    gil_save_thread();
    WAIT_FOR(atomic_load(&calls) == 1);
}
END_TEST

static atomic_ulong timers_ident;

static void note_ident(gil_event event, gil_thread_state *ts, void *arg)
{
    (void)event;
    (void)ts;
    (void)arg;
    atomic_store(&timers_ident, (unsigned long)pthread_self());
}

static void look_for_interrupt(void *arg)
{
    call(arg);
    ck_assert_int_eq(errno_of_a_wait(), EINTR);
}

START_TEST(an_interrupt_waits_for_its_function)
{
    int64_t from;
    gil_timer *timer;

    begin_here();
    ck_assert_int_ge(gil_add_hook(GIL_THREAD_STARTED, note_ident, NULL), 0);
    from = now_ns();
    timer = start_timer(50 * MS, look_for_interrupt);
    gil_save_thread();
    WAIT_FOR(atomic_load(&timers_ident) != 0);
    gil_restore_thread(begun);
    ck_assert_int_eq(gil_interrupt(atomic_load(&timers_ident)), 0);
    ck_assert_int_eq(gil_timer_join(timer, LONG_NS), 0);
    ck_assert_int_eq(atomic_load(&calls), 1);
    ck_assert_int_ge(called_ns - from, 50 * MS);
}
END_TEST

/* Either it was cancelled, or its function was called; never both, nor neither. */
START_TEST(cancelled_at_the_last_moment)
{
    int cancelled = 0;

    begin_here();
    for (int i = 0; i < 300; i++) {
        gil_timer *timer = start_timer((i % 30) * 10 * US, call);

        gil_save_thread();
        spin_ns(100 * US);
        gil_restore_thread(begun);
        if (gil_timer_cancel(timer) == 0)
            cancelled++;
        if (i % 2)
            ck_assert_int_eq(gil_timer_join(timer, LONG_NS), 0);
        else
            gil_timer_detach(timer);
    }
    gil_save_thread();
    WAIT_FOR(atomic_load(&calls) == 300 - cancelled);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timer");
    TCase *tc = tcase_create("timer");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, it_calls_its_function_in_time, 0, 3);
    tcase_add_test(tc, a_cancelled_one_does_not);
    tcase_add_test(tc, it_is_too_late_to_cancel_one_that_calls);
    tcase_add_test(tc, its_function_may_end_the_thread);
    tcase_add_test(tc, a_detached_one_goes_on);
    tcase_add_test(tc, an_interrupt_waits_for_its_function);
    tcase_add_test(tc, cancelled_at_the_last_moment);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
