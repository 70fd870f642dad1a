/* Barrier: rounds, numbers, the action, and how it breaks. */
#include "callers.h"

static gil_barrier barrier;
static atomic_int numbers[8]; /* how often each number was given */

static int wait_call(int64_t timeout_ns)
{
    int number = gil_barrier_wait(&barrier, timeout_ns);

    if (number < 0)
        return -1;
    atomic_fetch_add(&numbers[number], 1);
    return 0;
}

static void init(uint32_t parties)
{
    ck_assert_int_eq(gil_barrier_init(&barrier, parties, NULL, NULL), 0);
}

static void start_waiting(caller *c, int n)
{
    for (int i = 0; i < n; i++) {
        caller_start(&c[i], wait_call, -1);
        ck_assert_uint_eq(gil_barrier_waiting(&barrier), (uint32_t)i + 1);
    }
}

START_TEST(all_go_on_when_the_last_one_arrives)
{
    caller c[4] = {{0}};

    init(5);
    ck_assert_uint_eq(gil_barrier_parties(&barrier), 5);
    start_waiting(c, 4);
    errno = ERRNO_KEPT;
    ck_assert_int_eq(gil_barrier_wait(&barrier, 0), 4); /* it does not have to wait */
    ck_assert_int_eq(errno, ERRNO_KEPT);
    for (int i = 0; i < 4; i++)
        caller_expect(&c[i], 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(atomic_load(&numbers[i]), 1);
    ck_assert_uint_eq(gil_barrier_waiting(&barrier), 0);
    ck_assert(!gil_barrier_broken(&barrier));
}
END_TEST

START_TEST(one_party_does_not_wait)
{
    init(1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(gil_barrier_wait(&barrier, -1), 0);
}
END_TEST

START_TEST(impossible_numbers_of_parties)
{
    ck_assert_int_eq(gil_barrier_init(&barrier, 0, NULL, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(gil_barrier_init(&barrier, (uint32_t)INT32_MAX + 1, NULL, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* ---- breaking ---- */

static void expect_broken(caller *c, int n)
{
    for (int i = 0; i < n; i++)
        caller_expect(&c[i], ECANCELED);
    ck_assert(gil_barrier_broken(&barrier));
    ck_assert_uint_eq(gil_barrier_waiting(&barrier), 0);
    ck_assert_int_eq(gil_barrier_wait(&barrier, -1), -1);
    ck_assert_int_eq(errno, ECANCELED);
}

START_TEST(one_that_is_late_breaks_it_for_all)
{
    caller c[3] = {{0}};

    init(5);
    start_waiting(c, 3);
    ck_assert_int_eq(gil_barrier_wait(&barrier, _i ? 10 * MS : 0), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    expect_broken(c, 3);
}
END_TEST

START_TEST(one_that_is_interrupted_breaks_it_for_all)
{
    caller c[3] = {{0}};

    init(5);
    start_waiting(c, 3);
    gil_interrupt(gil_thread_ident());
    ck_assert_int_eq(gil_barrier_wait(&barrier, -1), -1);
    ck_assert_int_eq(errno, EINTR);
    expect_broken(c, 3);
}
END_TEST

START_TEST(abort_breaks_it_until_it_is_reset)
{
    caller c[3] = {{0}}, again[3] = {{0}};

    init(4);
    start_waiting(c, 3);
    gil_barrier_abort(&barrier);
    expect_broken(c, 3);
    gil_barrier_reset(&barrier);
    ck_assert(!gil_barrier_broken(&barrier));
    start_waiting(again, 3);
    ck_assert_int_eq(gil_barrier_wait(&barrier, -1), 3);
    for (int i = 0; i < 3; i++)
        caller_expect(&again[i], 0);
}
END_TEST

START_TEST(reset_sends_those_away_that_wait)
{
    caller c[3] = {{0}}, again[3] = {{0}};

    init(4);
    start_waiting(c, 3);
    gil_barrier_reset(&barrier);
    for (int i = 0; i < 3; i++)
        caller_expect(&c[i], ECANCELED);
    ck_assert(!gil_barrier_broken(&barrier));
    start_waiting(again, 3);
    ck_assert_int_eq(gil_barrier_wait(&barrier, -1), 3);
    for (int i = 0; i < 3; i++)
        caller_expect(&again[i], 0);
}
END_TEST

/* It has given up, and is kept from going on by the interpreter lock, while somebody starts over. */
START_TEST(a_late_one_does_not_break_the_next_round)
{
    caller late = {.with_state = true, .call = wait_call, .timeout_ns = 5 * MS}, next = {0};

    init(2);
    begin();
    late.thread = start(caller_main, &late);
    WAIT_FOR(gil_barrier_waiting(&barrier) == 1);
    gil_restore_thread(begun);
    WAIT_FOR(gil_barrier_waiting(&barrier) == 0);
    gil_barrier_reset(&barrier);
    start_waiting(&next, 1);
    gil_save_thread();
    caller_expect(&late, ETIMEDOUT);
    ck_assert(!gil_barrier_broken(&barrier));
    ck_assert_int_eq(gil_barrier_wait(&barrier, -1), 1);
    caller_expect(&next, 0);
}
END_TEST

/* ---- the action ---- */

static struct {
    int calls;
    bool fails;
    bool others_wait;
} action;

static caller others[3];

static int act(void *arg)
{
    ck_assert_ptr_eq(arg, &barrier);
    action.calls++;
    for (int i = 0; i < 3; i++)
        action.others_wait |= !atomic_load(&others[i].done);
    if (action.fails) {
        errno = EXDEV;
        return -1;
    }
    return 0;
}

START_TEST(the_action_comes_before_anybody_goes_on)
{
    ck_assert_int_eq(gil_barrier_init(&barrier, 4, act, &barrier), 0);
    start_waiting(others, 3);
    ck_assert_int_eq(gil_barrier_wait(&barrier, -1), 3);
    ck_assert_int_eq(action.calls, 1);
    ck_assert(action.others_wait);
    for (int i = 0; i < 3; i++)
        caller_expect(&others[i], 0);
}
END_TEST

START_TEST(an_action_that_fails_breaks_it)
{
    action.fails = true;
    ck_assert_int_eq(gil_barrier_init(&barrier, 4, act, &barrier), 0);
    start_waiting(others, 3);
    ck_assert_int_eq(gil_barrier_wait(&barrier, -1), -1);
    ck_assert_int_eq(errno, EXDEV);
    expect_broken(others, 3);
    ck_assert_int_eq(action.calls, 1);
}
END_TEST

/* ---- round after round ---- */

enum { MEMBERS = 4, ROUNDS = 1500 };

static atomic_int arrived[ROUNDS], wrong;

static void *member_rounds(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&arrived[i], 1);
        if (gil_barrier_wait(&barrier, -1) < 0 || atomic_load(&arrived[i]) != MEMBERS)
            atomic_fetch_add(&wrong, 1);
    }
    return arg;
}

START_TEST(nobody_is_a_round_ahead)
{
    pthread_t threads[MEMBERS];

    init(MEMBERS);
    for (int i = 0; i < MEMBERS; i++)
        threads[i] = start(member_rounds, NULL);
    for (int i = 0; i < MEMBERS; i++)
        join(threads[i]);
    ck_assert_int_eq(atomic_load(&wrong), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync_barrier");
    TCase *tc = tcase_create("sync_barrier");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, all_go_on_when_the_last_one_arrives);
    tcase_add_test(tc, one_party_does_not_wait);
    tcase_add_test(tc, impossible_numbers_of_parties);
    tcase_add_loop_test(tc, one_that_is_late_breaks_it_for_all, 0, 2);
    tcase_add_test(tc, one_that_is_interrupted_breaks_it_for_all);
    tcase_add_test(tc, abort_breaks_it_until_it_is_reset);
    tcase_add_test(tc, reset_sends_those_away_that_wait);
    tcase_add_test(tc, a_late_one_does_not_break_the_next_round);
    tcase_add_test(tc, the_action_comes_before_anybody_goes_on);
    tcase_add_test(tc, an_action_that_fails_breaks_it);
    tcase_add_test(tc, nobody_is_a_round_ahead);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
