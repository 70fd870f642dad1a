/* Condition: who is notified, what happens to the lock, and what counts as misuse. */
#include "callers.h"

static gil_rlock rlock;
static gil_thread_lock lock;
static gil_condition condition;

static void take(void)
{
    ck_assert_int_eq(gil_rlock_acquire(&rlock, -1), 0);
}

static void give(void)
{
    ck_assert_int_eq(gil_rlock_release(&rlock), 0);
}

static int wait_call(int64_t timeout_ns)
{
    int result;

    take();
    result = gil_condition_wait(&condition, timeout_ns);
    ck_assert_uint_eq(gil_rlock_depth(&rlock), 1);
    give();
    return result;
}

static void notify(size_t n)
{
    take();
    ck_assert_int_eq(n == SIZE_MAX ? gil_condition_notify_all(&condition)
                                   : gil_condition_notify(&condition, n),
                     0);
    give();
}

/* ---- who is notified ---- */

static int count_done(caller *c, int n)
{
    int done = 0;

    for (int i = 0; i < n; i++)
        done += atomic_load(&c[i].done);
    return done;
}

START_TEST(the_n_that_have_waited_longest)
{
    enum { N = 6 };
    static const size_t notified[] = {0, 1, 3, 6, 100, SIZE_MAX};
    size_t n = notified[_i] < N ? notified[_i] : N;
    caller c[N] = {{0}};

    gil_condition_init(&condition, &rlock);
    for (int i = 0; i < N; i++)
        caller_start(&c[i], wait_call, -1);
    notify(notified[_i]);
    for (size_t i = 0; i < n; i++)
        caller_expect(&c[i], 0);
    for (size_t i = n; i < N; i++)
        ck_assert(asleep(atomic_load(&c[i].tid)));
    ck_assert_int_eq(count_done(c, N), (int)n);
    notify(SIZE_MAX);
    for (size_t i = n; i < N; i++)
        caller_expect(&c[i], 0);
}
END_TEST

START_TEST(nobody_who_comes_later)
{
    caller c = {0};

    gil_condition_init(&condition, &rlock);
    notify(1);
    notify(SIZE_MAX);
    caller_start(&c, wait_call, 10 * MS);
    caller_expect(&c, ETIMEDOUT);
}
END_TEST

static caller cs[6];
static atomic_int back;
static int order[6];

static int note_order_call(int64_t timeout_ns)
{
    int result, me = 0;

    take();
    result = gil_condition_wait(&condition, timeout_ns);
    while (atomic_load(&cs[me].tid) != my_tid())
        me++;
    order[atomic_fetch_add(&back, 1)] = me;
    give();
    return result;
}

START_TEST(they_get_the_lock_in_the_order_in_which_they_came)
{
    gil_condition_init(&condition, &rlock);
    for (int i = 0; i < 6; i++)
        caller_start(&cs[i], note_order_call, -1);
    notify(SIZE_MAX);
    for (int i = 0; i < 6; i++)
        caller_expect(&cs[i], 0);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(order[i], i);
}
END_TEST

/* They go from one queue to another, and are woken one at a time, by whoever has the lock. */
START_TEST(they_sleep_until_the_lock_is_theirs)
{
    caller c[3] = {{0}};
    long sleeps[3];

    gil_condition_init(&condition, &rlock);
    for (int i = 0; i < 3; i++)
        caller_start(&c[i], wait_call, -1);
    for (int i = 0; i < 3; i++)
        sleeps[i] = sleeps_of(atomic_load(&c[i].tid));
    take();
    ck_assert_int_eq(gil_condition_notify_all(&condition), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert(asleep(atomic_load(&c[i].tid)));
        ck_assert_int_eq(sleeps_of(atomic_load(&c[i].tid)), sleeps[i]);
    }
    give();
    for (int i = 0; i < 3; i++)
        caller_expect(&c[i], 0);
}
END_TEST

/* ---- after it was notified, it waits for the lock ---- */

START_TEST(a_notified_one_is_not_late)
{
    caller c = {0};

    gil_condition_init(&condition, &rlock);
    caller_start(&c, wait_call, 200 * MS);
    take();
    ck_assert_int_eq(gil_condition_notify(&condition, 1), 0);
    sleep_ns(250 * MS); /* its time is over, and the lock not free */
    ck_assert(!atomic_load(&c.done));
    give();
    caller_expect(&c, 0);
}
END_TEST

START_TEST(a_notified_one_is_not_interrupted)
{
    caller c = {0};

    gil_condition_init(&condition, &rlock);
    caller_start(&c, wait_call, -1);
    take();
    ck_assert_int_eq(gil_condition_notify(&condition, 1), 0);
    gil_interrupt(atomic_load(&c.ident));
    give();
    caller_expect(&c, 0);
    ck_assert_int_eq(c.next_wait, EINTR);
}
END_TEST

START_TEST(one_that_gives_up_waits_for_the_lock_all_the_same)
{
    caller c = {0};

    gil_condition_init(&condition, &rlock);
    caller_start(&c, wait_call, -1);
    take();
    gil_interrupt(atomic_load(&c.ident));
    WAIT_FOR(asleep(atomic_load(&c.tid)));
    gil_interrupt(atomic_load(&c.ident)); /* it is waiting for the lock by now, or soon */
    ck_assert(!atomic_load(&c.done));
    ck_assert_int_eq(gil_condition_notify(&condition, 1), 0);
    give();
    caller_end(&c);
}
END_TEST

/* ---- the lock ---- */

static int deep_call(int64_t timeout_ns)
{
    int result;

    for (int i = 0; i < 3; i++)
        take();
    result = gil_condition_wait(&condition, timeout_ns);
    ck_assert_uint_eq(gil_rlock_depth(&rlock), 3);
    for (int i = 0; i < 3; i++)
        give();
    return result;
}

START_TEST(an_rlock_is_given_up_and_taken_as_often_as_it_was_held)
{
    caller c = {0}, late = {0};

    gil_condition_init(&condition, &rlock);
    caller_start(&c, deep_call, -1);
    notify(1);
    caller_expect(&c, 0);
    caller_start(&late, deep_call, 5 * MS);
    caller_expect(&late, ETIMEDOUT);
}
END_TEST

/* Somebody else may release a lock: then whoever is notified has it. */
START_TEST(a_plain_lock_that_was_released_meanwhile)
{
    caller c[2] = {{0}, {0}};

    plain_condition_block();
    for (int i = 0; i < 2; i++)
        caller_start(&c[i], plain_condition_call, -1);
    plain_condition_satisfy();
    caller_expect(&c[0], 0);
    plain_condition_satisfy();
    caller_expect(&c[1], 0);
    ck_assert(!gil_thread_lock_locked(&form_lock));
}
END_TEST

START_TEST(only_with_the_lock)
{
    gil_condition_init(&condition, &rlock);
    ck_assert_int_eq(gil_condition_wait(&condition, 0), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(gil_condition_wait_for(&condition, turn_has_come, NULL, 0), -1);
    ck_assert_int_eq(errno, EPERM);
    errno = 0;
    ck_assert_int_eq(gil_condition_notify(&condition, 1), -1);
    ck_assert_int_eq(errno, EPERM);
    errno = 0;
    ck_assert_int_eq(gil_condition_notify_all(&condition), -1);
    ck_assert_int_eq(errno, EPERM);
    gil_condition_init_lock(&condition, &lock);
    errno = 0;
    ck_assert_int_eq(gil_condition_notify(&condition, 1), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(gil_thread_lock_acquire(&lock, 0), 0);
    ck_assert_int_eq(gil_condition_notify(&condition, 1), 0);
}
END_TEST

/* ---- wait_for ---- */

START_TEST(a_predicate_that_is_true_in_the_end_is_enough)
{
    caller c = {0};

    gil_condition_init(&form_condition, &form_rlock);
    caller_start(&c, wait_for_call, 100 * MS);
    atomic_store(&form_turns, 1); /* nobody notifies */
    caller_expect(&c, 0);
}
END_TEST

START_TEST(being_notified_is_not_enough)
{
    caller c = {0};

    gil_condition_init(&form_condition, &form_rlock);
    caller_start(&c, wait_for_call, -1);
    for (int i = 0; i < 3; i++) {
        condition_satisfy();
        WAIT_FOR(asleep(atomic_load(&c.tid)));
        ck_assert(!atomic_load(&c.done));
    }
    wait_for_satisfy();
    caller_expect(&c, 0);
}
END_TEST

/* ---- under load ---- */

/* Tokens go through a slot that holds one; some of those that wait for them give up. */
static struct {
    bool full;
    long put, got;
    atomic_long late;
} slot;

static gil_condition not_empty, not_full;

static void *producer_main(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        take();
        while (slot.full)
            gil_condition_wait(&not_full, -1);
        slot.full = true;
        slot.put++;
        gil_condition_notify(&not_empty, 1);
        give();
    }
    return arg;
}

static void *consumer_main(void *arg)
{
    for (int i = 0; i < 2000;) {
        take();
        if (!slot.full && gil_condition_wait(&not_empty, (int64_t)(i % 50) * US) < 0)
            atomic_fetch_add(&slot.late, 1);
        if (slot.full) {
            slot.full = false;
            slot.got++;
            i++;
            gil_condition_notify(&not_full, 1);
        }
        give();
    }
    return arg;
}

START_TEST(nothing_is_lost_while_waiters_give_up)
{
    pthread_t threads[4];

    gil_condition_init(&not_empty, &rlock);
    gil_condition_init(&not_full, &rlock);
    for (int i = 0; i < 4; i++)
        threads[i] = start(i % 2 ? producer_main : consumer_main, NULL);
    for (int i = 0; i < 4; i++)
        join(threads[i]);
    ck_assert_int_eq(slot.put, 4000);
    ck_assert_int_eq(slot.got, 4000);
    ck_assert(!slot.full);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync_condition");
    TCase *tc = tcase_create("sync_condition");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, the_n_that_have_waited_longest, 0, 6);
    tcase_add_test(tc, nobody_who_comes_later);
    tcase_add_test(tc, they_get_the_lock_in_the_order_in_which_they_came);
    tcase_add_test(tc, they_sleep_until_the_lock_is_theirs);
    tcase_add_test(tc, a_notified_one_is_not_late);
    tcase_add_test(tc, a_notified_one_is_not_interrupted);
    tcase_add_test(tc, one_that_gives_up_waits_for_the_lock_all_the_same);
    tcase_add_test(tc, an_rlock_is_given_up_and_taken_as_often_as_it_was_held);
    tcase_add_test(tc, a_plain_lock_that_was_released_meanwhile);
    tcase_add_test(tc, only_with_the_lock);
    tcase_add_test(tc, a_predicate_that_is_true_in_the_end_is_enough);
    tcase_add_test(tc, being_notified_is_not_enough);
    tcase_add_test(tc, nothing_is_lost_while_waiters_give_up);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
