/* What lib/lock_impl.h offers a host beyond the public interface, as the CPython drop-in uses it:
 * handing on after a release, waits that can be told to give up, waiters that ask whoever else is
 * responsible. */
#include "harness.h"

#include "lib/lock_impl.h"

static gil_lock lock;

static struct lock *l = (struct lock *)&lock;

START_TEST(the_version_is_that_of_the_header)
{
    ck_assert_str_eq(gil_version(), GIL_VERSION_STRING);
}
END_TEST

/* ---- lock_hand_on ---- */

/* Released plainly, the lock is free for its heir, and anybody may take it. After handing it on, the
 * heir has it before the caller can. */
START_TEST(hand_on_grants_to_the_heir)
{
    waiter w;

    for (int i = 0; i < 20; i++) {
        gil_lock_acquire(&lock);
        waiter_start(&w, &lock, -1);
        gil_lock_release(&lock);
        lock_hand_on(l);
        ck_assert_int_ne(gil_lock_try_acquire(&lock), 0);
        waiter_end(&w);
        ck_assert_int_eq(w.got, 1);
    }
}
END_TEST

START_TEST(hand_on_ends_a_deferral)
{
    gil_thread_stats before, after;
    eager e = {0};

    eager_start(&e, &lock);
    defer_beside(&e);
    before = stats_of(&lock, my_tid());
    lock_hand_on(l);
    after = stats_of(&lock, my_tid());
    ck_assert_int_eq(after.deferred_ended + after.deferred_taken,
                     before.deferred_ended + before.deferred_taken + 1);
    gil_lock_release_complete(&lock); /* nothing is pending any more */
    ck_assert_int_eq(stats_of(&lock, my_tid()).deferred_ended, after.deferred_ended);
    eager_end(&e);
}
END_TEST

START_TEST(hand_on_of_a_deferral_that_was_taken_over)
{
    gil_thread_stats before;
    eager e = {0};
    unsigned long got;

    eager_start(&e, &lock);
    defer_beside(&e);
    got = atomic_load(&e.got);
    before = stats_of(&lock, my_tid());
    WAIT_FOR(atomic_load(&e.got) > got);
    lock_hand_on(l);
    ck_assert_int_eq(stats_of(&lock, my_tid()).deferred_taken, before.deferred_taken + 1);
    eager_end(&e);
}
END_TEST

START_TEST(hand_on_of_a_free_lock_does_nothing)
{
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    lock_hand_on(l);
    ck_assert_int_eq(gil_lock_try_acquire(&lock), 0);
    gil_lock_release(&lock);
}
END_TEST

/* ---- Waits that can be told to give up. ---- */

static atomic_bool closed;

static bool is_closed(void)
{
    return atomic_load(&closed);
}

typedef struct guest {
    pthread_t thread;
    unsigned flags;
    atomic_int tid;
    int64_t asked_ns; /* for the lock */
    int got;
} guest;

static void *guest_main(void *arg)
{
    guest *g = arg;

    g->asked_ns = now_ns();
    atomic_store(&g->tid, my_tid());
    g->got = lock_acquire_slow(l, node_of(l), FUTEX_FOREVER, g->flags, is_closed);
    if (g->got)
        gil_lock_release(&lock);
    return NULL;
}

static void guest_start(guest *g, unsigned flags)
{
    *g = (guest){.flags = flags};
    g->thread = start(guest_main, g);
    WAIT_FOR(atomic_load(&g->tid) && asleep(atomic_load(&g->tid)));
}

START_TEST(all_give_up_when_told)
{
    guest guests[5];

    atomic_store(&closed, false);
    gil_lock_set_interval(&lock, 1000000 * MS); /* nobody looks around by itself */
    gil_lock_acquire(&lock);
    for (int i = 0; i < 5; i++)
        guest_start(&guests[i], 0);
    atomic_store(&closed, true);
    lock_wake_all(l);
    for (int i = 0; i < 5; i++) {
        join(guests[i].thread);
        ck_assert(!guests[i].got);
    }
    ck_assert(gil_lock_held(&lock));
    gil_lock_release(&lock);
}
END_TEST

/* Behind another, who is responsible and in no hurry: it asks at the end of a slice all the same. */
START_TEST(one_that_asks_whoever_is_responsible)
{
    waiter first;
    guest g;

    atomic_store(&closed, false);
    gil_lock_acquire(&lock);
    waiter_start(&first, &lock, -1);
    guest_start(&g, WAIT_NO_ASK | WAIT_ASK);
    WAIT_FOR(stats_of(&lock, atomic_load(&g.tid)).requests > 0);
    gil_lock_release(&lock);
    waiter_end(&first);
    join(g.thread);
    ck_assert(g.got);
}
END_TEST

static atomic_llong first_request_ns;

static void note_request(gil_lock *of, void *arg)
{
    long long never = 0;

    (void)of, (void)arg;
    atomic_compare_exchange_strong(&first_request_ns, &never, now_ns());
}

/* One that is behind the owner would ask at once; with a grace it asks a granularity later. */
START_TEST(a_grace_puts_the_request_off)
{
    guest g;

    atomic_store(&closed, false);
    atomic_store(&first_request_ns, 0);
    gil_lock_on_drop_request(&lock, note_request, NULL);
    gil_lock_acquire(&lock);
    guest_start(&g, WAIT_GRACE);
    WAIT_FOR(gil_lock_drop_requested(&lock));
    ck_assert_int_ge(atomic_load(&first_request_ns) - g.asked_ns, policy_granularity(l));
    gil_lock_release(&lock);
    join(g.thread);
    ck_assert(g.got);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host");
    TCase *tc = tcase_create("host");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, the_version_is_that_of_the_header);
    tcase_add_test(tc, hand_on_grants_to_the_heir);
    tcase_add_test(tc, hand_on_ends_a_deferral);
    tcase_add_test(tc, hand_on_of_a_deferral_that_was_taken_over);
    tcase_add_test(tc, hand_on_of_a_free_lock_does_nothing);
    tcase_add_test(tc, all_give_up_when_told);
    tcase_add_test(tc, one_that_asks_whoever_is_responsible);
    tcase_add_test(tc, a_grace_puts_the_request_off);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
