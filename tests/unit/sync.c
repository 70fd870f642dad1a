/* What every call that blocks promises, whatever it waits for: it waits no longer than it may,
 * gives the interpreter lock up, is woken by an interrupt, keeps errno, and loses nothing when two
 * of these happen at a time. One after the other, for each form in callers.h. */
#include "callers.h"

static const form *f;

static void set_up(int i)
{
    f = &forms[i];
    begin();
    f->block();
}

/* ---- how a wait ends ---- */

START_TEST(it_gets_what_it_waits_for)
{
    caller c = {.with_state = true};

    set_up(_i);
    caller_start(&c, f->call, -1);
    ck_assert(!atomic_load(&c.done));
    f->satisfy();
    caller_expect(&c, 0);
    ck_assert_int_eq(c.next_wait, ETIMEDOUT);
}
END_TEST

START_TEST(it_waits_as_long_as_it_may)
{
    caller c = {.with_state = true};

    set_up(_i);
    caller_start(&c, f->call, 20 * MS);
    caller_expect(&c, ETIMEDOUT);
    ck_assert_int_ge(c.took_ns, 20 * MS);
}
END_TEST

START_TEST(it_need_not_wait_at_all)
{
    caller c = {.with_state = true, .interrupted = true};

    set_up(_i);
    caller_start(&c, f->call, 0);
    caller_expect(&c, ETIMEDOUT);
    ck_assert_int_eq(c.next_wait, EINTR); /* it did not wait: the interrupt is still there */
}
END_TEST

START_TEST(a_very_long_time_is_no_limit)
{
    caller c = {.with_state = true};

    set_up(_i);
    caller_start(&c, f->call, INT64_MAX);
    ck_assert(!atomic_load(&c.done));
    f->satisfy();
    caller_expect(&c, 0);
}
END_TEST

START_TEST(it_is_interrupted_while_it_waits)
{
    caller c = {.with_state = true};

    set_up(_i);
    caller_start(&c, f->call, -1);
    ck_assert_int_eq(gil_interrupt(atomic_load(&c.ident)), 0);
    caller_expect(&c, EINTR);
    ck_assert_int_eq(c.next_wait, ETIMEDOUT); /* once is enough */
}
END_TEST

START_TEST(it_was_interrupted_before)
{
    caller c = {.with_state = true, .interrupted = true};

    set_up(_i);
    caller_start(&c, f->call, -1);
    caller_expect(&c, EINTR);
    ck_assert_int_eq(c.next_wait, ETIMEDOUT);
}
END_TEST

START_TEST(a_call_that_does_not_wait_leaves_the_interrupt)
{
    caller c = {.with_state = true, .interrupted = true};

    f = &forms[_i];
    begin();
    f->open();
    caller_start(&c, f->call, -1);
    caller_expect(&c, 0);
    ck_assert_int_eq(c.next_wait, EINTR);
}
END_TEST

START_TEST(signals_do_not_end_it)
{
    caller c = {.with_state = true};

    set_up(_i);
    caller_start(&c, f->call, -1);
    keep_busy(&c);
    let_loose();
    WAIT_FOR(asleep(atomic_load(&c.tid)));
    ck_assert(!atomic_load(&c.done));
    f->satisfy();
    caller_expect(&c, 0);
}
END_TEST

/* ---- two things at a time, while the caller notices neither ---- */

START_TEST(what_it_waited_for_wins_over_an_interrupt)
{
    caller c = {.with_state = true};

    set_up(_i);
    caller_start(&c, f->call, -1);
    keep_busy(&c);
    ck_assert_int_eq(gil_interrupt(atomic_load(&c.ident)), 0);
    f->satisfy();
    let_loose();
    caller_expect(&c, 0);
    ck_assert_int_eq(c.next_wait, EINTR);
}
END_TEST

START_TEST(what_it_waited_for_wins_over_the_time)
{
    caller c = {.with_state = true};

    set_up(_i);
    caller_start(&c, f->call, 20 * MS);
    if (!atomic_load(&c.done)) /* the machine may have been away */
        keep_busy(&c);
    if (atomic_load(&c.done))
        return;
    f->satisfy();
    sleep_ns(30 * MS);
    let_loose();
    caller_expect(&c, 0);
}
END_TEST

START_TEST(what_comes_too_late_goes_to_another)
{
    caller late = {.with_state = true}, other = {.with_state = true};

    set_up(_i);
    caller_start(&late, f->call, -1);
    caller_start(&other, f->call, -1);
    ck_assert_int_eq(gil_interrupt(atomic_load(&late.ident)), 0);
    caller_expect(&late, EINTR);
    ck_assert(!atomic_load(&other.done));
    f->satisfy();
    caller_expect(&other, 0);
}
END_TEST

/* ---- several callers ---- */

START_TEST(first_come_first_served)
{
    enum { N = 6 };
    caller c[N] = {{0}};

    set_up(_i);
    for (int i = 0; i < N; i++)
        caller_start(&c[i], f->call, -1);
    for (int i = 0; i < N; i++) {
        for (int later = i; later < N; later++)
            ck_assert(!atomic_load(&c[later].done));
        f->satisfy();
        caller_expect(&c[i], 0);
    }
}
END_TEST

/* ---- the interpreter lock ---- */

START_TEST(others_run_meanwhile)
{
    caller c = {.with_state = true};

    set_up(_i);
    caller_start(&c, f->call, -1);
    gil_restore_thread(begun);
    ck_assert(gil_check());
    ck_assert(!atomic_load(&c.done));
    gil_save_thread();
    f->satisfy();
    caller_expect(&c, 0);
}
END_TEST

START_TEST(a_caller_without_a_state_just_waits)
{
    caller c = {.with_state = false};

    set_up(_i);
    gil_restore_thread(begun); /* nobody else gets the interpreter lock */
    caller_start(&c, f->call, -1);
    ck_assert(!atomic_load(&c.done));
    f->satisfy();
    caller_expect(&c, 0);
    ck_assert(gil_check());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync");
    TCase *tc = tcase_create("sync");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, it_gets_what_it_waits_for, 0, FORMS);
    tcase_add_loop_test(tc, it_waits_as_long_as_it_may, 0, FORMS);
    tcase_add_loop_test(tc, it_need_not_wait_at_all, 0, FORMS);
    tcase_add_loop_test(tc, a_very_long_time_is_no_limit, 0, FORMS);
    tcase_add_loop_test(tc, it_is_interrupted_while_it_waits, 0, FORMS);
    tcase_add_loop_test(tc, it_was_interrupted_before, 0, FORMS);
    tcase_add_loop_test(tc, a_call_that_does_not_wait_leaves_the_interrupt, 0, FORMS_OPEN);
    tcase_add_loop_test(tc, signals_do_not_end_it, 0, FORMS);
    tcase_add_loop_test(tc, what_it_waited_for_wins_over_an_interrupt, 0, FORMS);
    tcase_add_loop_test(tc, what_it_waited_for_wins_over_the_time, 0, FORMS);
    tcase_add_loop_test(tc, what_comes_too_late_goes_to_another, 0, FORMS_SHARED);
    tcase_add_loop_test(tc, first_come_first_served, 0, FORMS_FIFO);
    tcase_add_loop_test(tc, others_run_meanwhile, 0, FORMS);
    tcase_add_loop_test(tc, a_caller_without_a_state_just_waits, 0, FORMS_PLAIN);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
