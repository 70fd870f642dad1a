/* Semaphore, BoundedSemaphore and Event: how many units there are and who gets them; who goes on
 * when a flag is set. */
#include "callers.h"

static gil_semaphore semaphore;

START_TEST(units_are_taken_and_given)
{
    errno = ERRNO_KEPT;
    gil_semaphore_init(&semaphore, 3);
    for (uint32_t i = 3; i > 0; i--) {
        ck_assert_uint_eq(gil_semaphore_value(&semaphore), i);
        ck_assert_int_eq(gil_semaphore_acquire(&semaphore, i % 2 ? 0 : -1), 0);
    }
    ck_assert_int_eq(errno, ERRNO_KEPT);
    ck_assert_int_eq(gil_semaphore_acquire(&semaphore, 0), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 1), 0);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 7), 0);
    ck_assert_uint_eq(gil_semaphore_value(&semaphore), 8);
}
END_TEST

START_TEST(zero_memory_has_no_units)
{
    ck_assert_uint_eq(gil_semaphore_value(&semaphore), 0);
    ck_assert_int_eq(gil_semaphore_acquire(&semaphore, 0), -1);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 1), 0);
    ck_assert_int_eq(gil_semaphore_acquire(&semaphore, 0), 0);
}
END_TEST

START_TEST(units_go_to_the_first_waiters_and_the_rest_stays)
{
    caller c[5] = {{0}};

    for (int i = 0; i < 5; i++)
        caller_start(&c[i], semaphore_call, -1);
    ck_assert_int_eq(gil_semaphore_release(&form_semaphore, 3), 0);
    for (int i = 0; i < 3; i++)
        caller_expect(&c[i], 0);
    ck_assert_uint_eq(gil_semaphore_value(&form_semaphore), 0);
    for (int i = 3; i < 5; i++)
        ck_assert(!atomic_load(&c[i].done));
    ck_assert_int_eq(gil_semaphore_release(&form_semaphore, 10), 0);
    for (int i = 3; i < 5; i++)
        caller_expect(&c[i], 0);
    ck_assert_uint_eq(gil_semaphore_value(&form_semaphore), 8);
}
END_TEST

START_TEST(a_waiter_has_its_unit_before_anybody_who_comes_later)
{
    caller c = {0};

    caller_start(&c, semaphore_call, -1);
    keep_busy(&c);
    semaphore_satisfy();
    ck_assert_int_eq(gil_semaphore_acquire(&form_semaphore, 0), -1);
    let_loose();
    caller_expect(&c, 0);
}
END_TEST

START_TEST(a_release_of_nothing)
{
    gil_semaphore_init(&semaphore, 1);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 0), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(gil_semaphore_value(&semaphore), 1);
}
END_TEST

START_TEST(more_than_can_be_counted)
{
    gil_semaphore_init(&semaphore, UINT32_MAX - 1);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 2), -1);
    ck_assert_int_eq(errno, EOVERFLOW);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 1), 0);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 1), -1);
    ck_assert_uint_eq(gil_semaphore_value(&semaphore), UINT32_MAX);
}
END_TEST

START_TEST(a_bounded_one_is_not_released_beyond_its_first_value)
{
    gil_bounded_semaphore_init(&semaphore, 2);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 1), -1);
    ck_assert_int_eq(errno, EOVERFLOW);
    ck_assert_int_eq(gil_semaphore_acquire(&semaphore, 0), 0);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 2), -1);
    ck_assert_int_eq(errno, EOVERFLOW);
    ck_assert_uint_eq(gil_semaphore_value(&semaphore), 1);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 1), 0);
    gil_bounded_semaphore_init(&semaphore, 0);
    ck_assert_int_eq(gil_semaphore_release(&semaphore, 1), -1);
    ck_assert_int_eq(errno, EOVERFLOW);
}
END_TEST

/* Together with what the waiter gets, there would be one too many. */
START_TEST(nor_with_a_waiter)
{
    caller c = {0};

    gil_bounded_semaphore_init(&form_semaphore, 1);
    ck_assert_int_eq(gil_semaphore_acquire(&form_semaphore, 0), 0);
    caller_start(&c, semaphore_call, -1);
    ck_assert_int_eq(gil_semaphore_release(&form_semaphore, 2), -1);
    ck_assert_int_eq(errno, EOVERFLOW);
    ck_assert(!atomic_load(&c.done));
    semaphore_satisfy();
    caller_expect(&c, 0);
}
END_TEST

START_TEST(what_waiters_get_does_not_count_against_the_bound)
{
    caller c = {0};

    gil_bounded_semaphore_init(&form_semaphore, 1);
    ck_assert_int_eq(gil_semaphore_acquire(&form_semaphore, 0), 0);
    caller_start(&c, semaphore_call, -1);
    ck_assert_int_eq(gil_semaphore_release(&form_semaphore, 1), 0);
    caller_expect(&c, 0);
    ck_assert_int_eq(gil_semaphore_release(&form_semaphore, 1), 0);
    ck_assert_uint_eq(gil_semaphore_value(&form_semaphore), 1);
}
END_TEST

/* ---- under load ---- */

enum { UNITS = 2, LOADS = 4, ROUNDS = 4000 };

static atomic_int inside, most_inside, at_work;
static atomic_long gave_up;
static atomic_ulong idents[LOADS];

static void *load_main(void *arg)
{
    unsigned id = (unsigned)(uintptr_t)arg;

    atomic_fetch_add(&at_work, 1);
    atomic_store(&idents[id], gil_thread_ident());
    for (unsigned i = 0; i < ROUNDS; i++) {
        int now;

        if (gil_semaphore_acquire(&semaphore, i % 4 == 3 ? -1 : (int64_t)(i % 40) * US) < 0) {
            atomic_fetch_add(&gave_up, 1);
            continue;
        }
        now = atomic_fetch_add(&inside, 1) + 1;
        if (now > atomic_load(&most_inside))
            atomic_store(&most_inside, now);
        if (i % 16 == 0)
            sched_yield();
        atomic_fetch_sub(&inside, 1);
        ck_assert_int_eq(gil_semaphore_release(&semaphore, 1), 0);
    }
    atomic_fetch_sub(&at_work, 1);
    return NULL;
}

START_TEST(no_unit_is_lost_or_made_while_waiters_give_up)
{
    pthread_t threads[LOADS];

    gil_bounded_semaphore_init(&semaphore, UNITS);
    for (uintptr_t i = 0; i < LOADS; i++)
        threads[i] = start(load_main, (void *)i);
    WAIT_FOR(atomic_load(&idents[LOADS - 1]));
    for (unsigned i = 0; atomic_load(&at_work) > 0; i++) {
        if (atomic_load(&idents[i % LOADS]))
            gil_interrupt(atomic_load(&idents[i % LOADS]));
        sleep_ns(20 * US);
    }
    for (int i = 0; i < LOADS; i++)
        join(threads[i]);
    ck_assert_uint_eq(gil_semaphore_value(&semaphore), UNITS);
    ck_assert_int_le(atomic_load(&most_inside), UNITS);
    ck_assert_int_gt(atomic_load(&gave_up), 0);
}
END_TEST

/* ---- Event ---- */

START_TEST(a_flag_is_set_and_cleared)
{
    gil_thread_event event = {{0}};

    errno = ERRNO_KEPT;
    ck_assert(!gil_thread_event_is_set(&event));
    gil_thread_event_set(&event);
    gil_thread_event_set(&event);
    ck_assert(gil_thread_event_is_set(&event));
    ck_assert_int_eq(gil_thread_event_wait(&event, 0), 0);
    ck_assert_int_eq(gil_thread_event_wait(&event, -1), 0);
    ck_assert_int_eq(errno, ERRNO_KEPT);
    gil_thread_event_clear(&event);
    ck_assert(!gil_thread_event_is_set(&event));
    ck_assert_int_eq(gil_thread_event_wait(&event, 0), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
}
END_TEST

START_TEST(all_go_on_even_if_it_is_cleared_at_once)
{
    caller c[6] = {{0}};

    for (int i = 0; i < 6; i++)
        caller_start(&c[i], event_call, -1);
    gil_thread_event_set(&form_event);
    gil_thread_event_clear(&form_event);
    for (int i = 0; i < 6; i++)
        caller_expect(&c[i], 0);
    ck_assert_int_eq(gil_thread_event_wait(&form_event, 0), -1);
}
END_TEST

/* Its memory may go as soon as a wait is over, though the setter may be in its call yet. */
static gil_thread_event *_Atomic passing;

static void *setter_main(void *arg)
{
    for (int i = 0; i < 3000; i++) {
        gil_thread_event *event;

        while (!(event = atomic_exchange(&passing, NULL)))
            sched_yield();
        gil_thread_event_set(event);
    }
    return arg;
}

START_TEST(an_event_that_is_freed_by_whoever_waited)
{
    pthread_t setter = start(setter_main, NULL);

    for (int i = 0; i < 3000; i++) {
        gil_thread_event *event = calloc(1, sizeof *event);

        atomic_store(&passing, event);
        while (gil_thread_event_wait(event, i % 2 ? -1 : 0) < 0)
            sched_yield();
        memset(event, 0xAA, sizeof *event);
        free(event);
    }
    join(setter);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync_semaphore");
    TCase *tc = tcase_create("sync_semaphore");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, units_are_taken_and_given);
    tcase_add_test(tc, zero_memory_has_no_units);
    tcase_add_test(tc, units_go_to_the_first_waiters_and_the_rest_stays);
    tcase_add_test(tc, a_waiter_has_its_unit_before_anybody_who_comes_later);
    tcase_add_test(tc, a_release_of_nothing);
    tcase_add_test(tc, more_than_can_be_counted);
    tcase_add_test(tc, a_bounded_one_is_not_released_beyond_its_first_value);
    tcase_add_test(tc, nor_with_a_waiter);
    tcase_add_test(tc, what_waiters_get_does_not_count_against_the_bound);
    tcase_add_test(tc, no_unit_is_lost_or_made_while_waiters_give_up);
    tcase_add_test(tc, a_flag_is_set_and_cleared);
    tcase_add_test(tc, all_go_on_even_if_it_is_cleared_at_once);
    tcase_add_test(tc, an_event_that_is_freed_by_whoever_waited);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
