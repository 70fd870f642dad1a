/* Who is next, and who asks before the end of a slice: the rules at the head of lib/policy.c, on
 * nodes that are made by hand and at times that the test chooses. The clock is not read. lock.c is
 * included for what it publishes when a slice begins. */
#include "harness.h"

#include "lib/lock.c"

#define INTERVAL (5 * MS)
#define START    (1000 * MS) /* when the slice begins */

static struct lock l;
static struct node owner;

static int64_t some(unsigned *random, int64_t below)
{
    *random = *random * 1103515245 + 12345;
    return (int64_t)(*random >> 8) % below;
}

/* Begins to wait at the given time, having had the lock for `served`; the queue has it at once. */
static void joins(struct node *n, int64_t arrived, int64_t served, bool sprinter)
{
    *n = (struct node){.state = NODE_WAITING, .served = served, .arrived = arrived};
    n->since_call = sprinter ? 0 : NEVER / 2;
    policy_join(&l, n);
    runqueue_append(&l.queue, n);
    runqueue_settle(&l.queue);
}

/* The owner's slice begins, those that have joined being there already. */
static void slice_begins(int64_t served)
{
    owner.served = served;
    owner.since_call = NEVER / 2;
    l.owner = &owner;
    name_head(&l, &owner, START);
    begin_slice(&l, &owner, START);
}

static void set_up(void)
{
    memset(&l, 0, sizeof l);
    memset(&owner, 0, sizeof owner);
    gil_lock_set_interval((gil_lock *)&l, INTERVAL);
    l.word = WORD_LOCKED;
    l.floor = 95 * MS;
}

/* Threads that keep coming back have had less of the lock each time; one that waits beside them
 * gets it after an interval for each. */
START_TEST(one_that_is_old_enough_goes_first)
{
    static struct node waiters[8];
    int n = 2 + _i;
    int64_t limit = (n + 1) * INTERVAL;

    set_up();
    slice_begins(100 * MS);
    joins(&waiters[0], START, 105 * MS, false);
    for (int i = 1; i < n; i++)
        joins(&waiters[i], START + limit - MS, 95 * MS, i % 2);
    ck_assert_ptr_ne(policy_next(&l, START + limit), &waiters[0]);
    ck_assert_ptr_eq(policy_next(&l, START + limit + 1), &waiters[0]);
}
END_TEST

/* In arrival order, nobody has to be old. */
START_TEST(fifo_knows_no_other_order)
{
    static struct node waiters[3];

    set_up();
    gil_lock_set_policy((gil_lock *)&l, GIL_FIFO);
    slice_begins(100 * MS);
    for (int i = 0; i < 3; i++)
        joins(&waiters[i], START + i, (105 - i * 5) * MS, i == 2);
    ck_assert_ptr_eq(policy_next(&l, START + 3), &waiters[0]);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(policy_ask_at(&l, &waiters[i], START + 3), NEVER);
}
END_TEST

/* It counts for those that wait already. */
START_TEST(the_policy_can_change_while_threads_wait)
{
    static struct node waiters[3];

    set_up();
    slice_begins(100 * MS);
    for (int i = 0; i < 3; i++) {
        gil_lock_set_policy((gil_lock *)&l, i % 2 ? GIL_FIFO : GIL_FAIR);
        joins(&waiters[i], START + i, (105 - i * 5) * MS, false);
    }
    for (int i = 0; i < 3; i++) {
        gil_lock_set_policy((gil_lock *)&l, i % 2 ? GIL_FIFO : GIL_FAIR);
        ck_assert_ptr_eq(policy_next(&l, START + 3), &waiters[i % 2 ? 0 : 2]);
    }
}
END_TEST

/* A sprinter asks at the moment from which on it would be let in. Once the owner, asked at that
 * very moment, judged by what it had used before its running slice, and gave the lock to a thread
 * that computes; the sprinter had to ask a second time. */
START_TEST(a_sprinters_request_is_honoured_the_first_time)
{
    static struct node computing[4], sprinter;
    unsigned random = 1;
    int asked = 0, later = 0;

    for (int i = 0; i < 5000; i++) {
        int64_t now = START + some(&random, INTERVAL / 2), at;

        set_up();
        for (int c = (int)some(&random, 5); c > 0; c--)
            joins(&computing[c - 1], START, 95 * MS + some(&random, 10 * MS), false);
        slice_begins(95 * MS + some(&random, 10 * MS));
        joins(&sprinter, now, 95 * MS + some(&random, 10 * MS), true);
        at = policy_ask_at(&l, &sprinter, now);
        if (at == NEVER)
            continue;
        asked++;
        later += at > now;
        ck_assert_msg(policy_next(&l, at) == &sprinter,
                      "case %d: it asks %ld ns into the slice, and is not the next", i,
                      (long)(at - START));
    }
    ck_assert_int_ge(asked, 1000);
    ck_assert_int_ge(later, 500);
}
END_TEST

/* What is published is of the slice before: it was the sprinter's own, and has ended. So it waited
 * for an interval each time beside one thread that computes and takes the lock without a wait. */
START_TEST(one_that_comes_back_to_an_owner_that_was_alone_asks_at_once)
{
    static struct node sprinter;

    set_up();
    slice_begins(100 * MS);
    l.slice_start = 0;
    l.slice_end = START - MS;
    l.average = 95 * MS;
    l.sharers = 1;
    joins(&sprinter, START, 95 * MS + 20 * US, true);
    ck_assert_int_eq(policy_ask_at(&l, &sprinter, START), START);
    ck_assert_ptr_eq(policy_next(&l, START), &sprinter);
}
END_TEST

/* It was one as a new thread, and has not waited since. */
START_TEST(a_thread_that_was_made_to_drop_the_lock_is_not_taken_for_a_sprinter)
{
    static struct node sprinter;

    set_up();
    slice_begins(100 * MS);
    relaxed_store(&owner.sprinter, true);
    charge_self(&l, &owner, true, START + INTERVAL);
    l.slice_start = 0;
    joins(&sprinter, START + 2 * INTERVAL, 95 * MS, true);
    ck_assert_int_eq(policy_ask_at(&l, &sprinter, START + 2 * INTERVAL), START + 2 * INTERVAL);
}
END_TEST

/* The slice of a sprinter, in which a thread that computes waits or does not, and another sprinter
 * that has had much less comes along later. */
static void sprint_begins(struct node *computing, struct node *sprinter, int64_t arrived)
{
    set_up();
    if (computing)
        joins(computing, START, 105 * MS, false);
    relaxed_store(&owner.sprinter, true);
    owner.served = 100 * MS;
    l.owner = &owner;
    name_head(&l, &owner, START);
    begin_slice(&l, &owner, START);
    joins(sprinter, arrived, 95 * MS, true);
}

/* Every other one asked at once for a lock that was about to be given up, and had it handed over. */
START_TEST(sprinters_do_not_hurry_each_other)
{
    struct node sprinter;

    sprint_begins(NULL, &sprinter, START + SPRINT_NS - 1);
    ck_assert_int_eq(policy_ask_at(&l, &sprinter, START + SPRINT_NS - 1), NEVER);
    ck_assert_int_eq(policy_slice_end(&l, &sprinter), START + INTERVAL);
    ck_assert_int_eq(policy_ask_at(&l, &sprinter, START + SPRINT_NS), START + SPRINT_NS);
}
END_TEST

/* Otherwise the thread that computes would get its slice in a row with others. */
START_TEST(they_do_while_a_computing_thread_waits)
{
    struct node computing, sprinter;

    sprint_begins(&computing, &sprinter, START + 1);
    ck_assert_int_eq(policy_ask_at(&l, &sprinter, START + 1), START + 1);
    ck_assert_int_eq(policy_slice_end(&l, &sprinter), START + SPRINT_NS);
}
END_TEST

/* One that watched the deferrals of others was let past for three intervals. */
START_TEST(a_sprinter_that_watches_is_not_passed_over_for_long)
{
    struct node computing, sprinter;
    int64_t limit = START + policy_granularity(&l);

    sprint_begins(NULL, &sprinter, START);
    ck_assert(!policy_passed_over(&l, &sprinter, limit - 1));
    ck_assert(policy_passed_over(&l, &sprinter, limit));
    sprint_begins(&computing, &sprinter, START);
    ck_assert(!policy_passed_over(&l, &sprinter, limit));
}
END_TEST

/* What the last slice began with once counted for the next ones, too, of an owner that was alone: after
 * an interval of 1000 s and one of 5 ms, a waiter waited for 1000 s. */
START_TEST(an_interval_that_is_shorter_now_counts)
{
    static struct node n;

    set_up();
    gil_lock_set_interval((gil_lock *)&l, 1000000 * MS);
    slice_begins(100 * MS);
    ck_assert_int_eq(l.slice_end, START + 1000000 * MS);
    gil_lock_set_interval((gil_lock *)&l, INTERVAL);
    joins(&n, START + MS, 100 * MS, false);
    ck_assert_int_eq(policy_slice_end(&l, &n), START + INTERVAL);
    l.slice_start = 0;
    ck_assert_int_eq(policy_slice_end(&l, &n), START + MS + INTERVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy");
    TCase *tc = tcase_create("policy");

    tcase_add_loop_test(tc, one_that_is_old_enough_goes_first, 0, 7);
    tcase_add_test(tc, fifo_knows_no_other_order);
    tcase_add_test(tc, the_policy_can_change_while_threads_wait);
    tcase_add_test(tc, a_sprinters_request_is_honoured_the_first_time);
    tcase_add_test(tc, one_that_comes_back_to_an_owner_that_was_alone_asks_at_once);
    tcase_add_test(tc, a_thread_that_was_made_to_drop_the_lock_is_not_taken_for_a_sprinter);
    tcase_add_test(tc, sprinters_do_not_hurry_each_other);
    tcase_add_test(tc, they_do_while_a_computing_thread_waits);
    tcase_add_test(tc, an_interval_that_is_shorter_now_counts);
    tcase_add_test(tc, a_sprinter_that_watches_is_not_passed_over_for_long);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
