/* Moments between two steps of the protocol in which another thread comes in: the test holds
 * threads (holds.h) until the lock is in exactly that moment. Each is one in which a change of
 * tests/model/mutants would go wrong, and that chance brings about too seldom for the stress
 * test. Slices last for ever, so that nothing puts itself right at the end of one. */
#include "holds.h"

static gil_lock lock;

static struct lock *l = (struct lock *)&lock;

static actor one; /* for what the main thread does at a step */

/* The caller owns the lock, and a sleeps. On return it owns it still, and a watches for deferrals:
 * it is held in front of going to sleep as one that watches. */
static void make_watch(actor *a)
{
    hold_at(a, "T2");
    ck_assert(!gil_lock_release_deferred(&lock)); /* the first one wakes it, so that it watches */
    await_held(a);
    gil_lock_acquire(&lock);
    on_to(a, "T20");
    ck_assert_int_eq(relaxed_load(&a->node->state), NODE_WATCH);
}

/* One that arrives before a new owner has said that nobody is head takes that owner for the head,
 * and would not ask: the owner sees it afterwards. */
START_TEST(one_that_arrives_while_the_last_head_takes_the_lock_asks)
{
    actor head, late;

    gil_lock_set_interval(&lock, FOR_EVER);
    gil_lock_acquire(&lock);
    actor_waits(&head, &lock, get_and_keep, NODE_HEAD);
    gil_lock_set_interval(&lock, MS);
    hold_at(&head, "T13"); /* it has the lock, and is about to say who is head */
    gil_lock_release(&lock);
    await_held(&head);
    actor_waits(&late, &lock, get_and_keep, NODE_WAITING);
    go_on(&head);
    WAIT_FOR(gil_lock_drop_requested(&lock));
    actor_end(&head);
    actor_end(&late);
    ck_assert(late.got);
}
END_TEST

static void come_to_sleep_as_head(void)
{
    go_on(&one);
    WAIT_FOR(sleeps_as(&one, NODE_HEAD));
}

/* The head stops watching, and goes to sleep for the whole slice, after the owner has seen that it
 * watches and before the owner leaves the lock to it. The owner must not do that. */
START_TEST(one_that_defers_while_the_head_stops_watching_wakes_it)
{
    gil_lock_set_interval(&lock, FOR_EVER);
    gil_lock_acquire(&lock);
    actor_waits(&one, &lock, get_and_keep, NODE_HEAD);
    make_watch(&one);
    relaxed_store(&l->watch, 0); /* as slices without a deferral leave it */
    on_to(&one, "T19");
    do_at("T8", come_to_sleep_as_head);
    ck_assert(!gil_lock_release_deferred(&lock));
    WAIT_FOR(one.got);
    actor_end(&one);
}
END_TEST

static void take_over_and_defer(actor *a)
{
    gil_lock_acquire(a->lock);
    a->gave_up = gil_lock_release_deferred(a->lock);
    atomic_store(&a->got, true);
    WAIT_FOR(atomic_load(&a->may_go_on));
    gil_lock_release_complete(a->lock);
}

/* Its own deferral was taken over, and whoever did that has deferred in turn: the lock is taken
 * over from that one, and both count that. */
START_TEST(one_that_comes_back_does_not_take_back_the_deferral_of_another)
{
    gil_thread_stats mine;
    actor head, other;

    gil_lock_set_interval(&lock, FOR_EVER);
    gil_lock_acquire(&lock);
    actor_waits(&head, &lock, get_and_keep, NODE_HEAD);
    make_watch(&head);
    ck_assert(gil_lock_release_deferred(&lock));
    actor_start(&other, &lock, take_over_and_defer);
    WAIT_FOR(other.got);
    ck_assert(other.gave_up);
    gil_lock_acquire(&lock);
    mine = stats_of(&lock, my_tid());
    ck_assert_uint_eq(mine.deferred_back, 0);
    ck_assert_uint_eq(mine.deferred_taken, 1);
    actor_end(&other);
    ck_assert(gil_lock_held(&lock));
    gil_lock_release(&lock);
    ck_assert_uint_eq(stats_of(&lock, 0).deferred_taken, 1);
    actor_end(&head);
    ck_assert(head.got);
}
END_TEST

static void give_up_and_come_back(actor *a)
{
    a->gave_up = gil_lock_acquire_for(a->lock, MS) != 0;
    WAIT_FOR(atomic_load(&a->may_go_on));
    atomic_store(&a->may_go_on, false);
    get_and_keep(a);
}

static void come_back(void)
{
    atomic_store(&one.may_go_on, true);
    WAIT_FOR(sleeps_as(&one, NODE_HEAD));
}

/* An owner has taken one that had given up out of the queue, and is about to tell it: it has come
 * back in that moment, and believes that it is queued. */
START_TEST(one_that_comes_back_while_it_is_unlinked_is_queued_again)
{
    gil_lock_set_interval(&lock, FOR_EVER);
    gil_lock_acquire(&lock);
    actor_start(&one, &lock, give_up_and_come_back);
    WAIT_FOR(one.gave_up);
    do_at("T24", come_back);
    gil_lock_release(&lock);
    WAIT_FOR(one.got);
    actor_end(&one);
}
END_TEST

/* The lock was freed for it, and taken by another before it came: from then on it is granted the
 * lock, though it has not yet got to ask. */
START_TEST(an_heir_that_is_overdue_is_granted_the_lock)
{
    actor heir;

    gil_lock_set_interval(&lock, FOR_EVER);
    gil_lock_acquire(&lock);
    actor_waits(&heir, &lock, get_and_keep, NODE_HEAD);
    hold_at(&heir, "T2");
    gil_lock_release(&lock);
    await_held(&heir);
    gil_lock_acquire(&lock);
    sleep_ns(2 * HEIR_NS);
    gil_lock_release(&lock);
    ck_assert_int_ne(gil_lock_try_acquire(&lock), 0);
    ck_assert_int_eq(relaxed_load(&heir.node->state), NODE_GRANTED);
    actor_end(&heir);
    ck_assert(heir.got);
}
END_TEST

/* What a waiter does. */
static void ask(void)
{
    __atomic_store_n(&l->drop, 1, __ATOMIC_SEQ_CST);
}

/* Somebody asks while the owner, which was asked before, is about to grant the lock. The request is
 * for the next owner: an owner that cleared it together with its own would leave nobody who asks. */
START_TEST(a_request_during_a_release_is_for_the_next_owner)
{
    actor next;

    gil_lock_set_interval(&lock, FOR_EVER);
    gil_lock_acquire(&lock);
    actor_waits(&next, &lock, get_and_keep, NODE_HEAD);
    ask();
    do_at("T6", ask);
    gil_lock_release(&lock);
    WAIT_FOR(next.got);
    ck_assert(gil_lock_drop_requested(&lock));
    actor_end(&next);
    ck_assert(!gil_lock_drop_requested(&lock));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("windows");
    TCase *tc = tcase_create("windows");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, one_that_arrives_while_the_last_head_takes_the_lock_asks);
    tcase_add_test(tc, one_that_defers_while_the_head_stops_watching_wakes_it);
    tcase_add_test(tc, one_that_comes_back_does_not_take_back_the_deferral_of_another);
    tcase_add_test(tc, one_that_comes_back_while_it_is_unlinked_is_queued_again);
    tcase_add_test(tc, an_heir_that_is_overdue_is_granted_the_lock);
    tcase_add_test(tc, a_request_during_a_release_is_for_the_next_owner);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
