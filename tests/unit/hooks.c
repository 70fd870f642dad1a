/* Hooks: which events a thread's life consists of, who is told, and with the lock or without. */
#include "states.h"

static struct told {
    gil_event event;
    uint64_t state;
    bool held;
    bool in_order;
} told[64];

static atomic_int told_count;
static _Thread_local bool watched;

static void note(gil_event event, gil_thread_state *ts, void *arg)
{
    if (!watched)
        return;
    told[told_count++] = (struct told){event, ts ? gil_thread_state_id(ts) : 0,
                                       gil_lock_held(&shared.lock), arg == &told_count};
    errno = 77;
}

static void check_told(const gil_event *events, int n, uint64_t id)
{
    ck_assert_int_eq(told_count, n);
    for (int i = 0; i < n; i++) {
        ck_assert_msg(told[i].event == events[i], "event %d is %d", i, told[i].event);
        ck_assert_uint_eq(told[i].state, id);
        ck_assert(told[i].in_order);
        if (events[i] == GIL_THREAD_RESUMED)
            ck_assert(told[i].held);
        if (events[i] == GIL_THREAD_READY)
            ck_assert(!told[i].held);
    }
}

enum { ALL = 31 };

static uint64_t foreign_id;

static void *foreign_main(void *arg)
{
    gil_state state;

    watched = true;
    errno = 5;
    state = gil_ensure();
    foreign_id = gil_thread_state_id(gil_thread_state_get());
    GIL_BEGIN_ALLOW_THREADS
    GIL_END_ALLOW_THREADS
    gil_release(state);
    ck_assert_int_eq(errno, 5);
    return arg;
}

START_TEST(the_life_of_a_thread)
{
    static const gil_event life[] = {GIL_THREAD_STARTED,   GIL_THREAD_READY, GIL_THREAD_RESUMED,
                                     GIL_THREAD_SUSPENDED, GIL_THREAD_READY, GIL_THREAD_RESUMED,
                                     GIL_THREAD_SUSPENDED, GIL_THREAD_EXITED};
    int hook;

    begin_runtime();
    hook = gil_add_hook(ALL, note, &told_count);
    ck_assert_int_ge(hook, 0);
    GIL_BEGIN_ALLOW_THREADS
    join(start(foreign_main, NULL));
    GIL_END_ALLOW_THREADS
    check_told(life, 8, foreign_id);

    ck_assert_int_eq(gil_remove_hook(hook), 0);
    told_count = 0;
    GIL_BEGIN_ALLOW_THREADS
    join(start(foreign_main, NULL));
    GIL_END_ALLOW_THREADS
    ck_assert_int_eq(told_count, 0);
    gil_finalize();
}
END_TEST

START_TEST(the_lower_level_form)
{
    static const gil_event events[] = {GIL_THREAD_SUSPENDED, GIL_THREAD_READY, GIL_THREAD_RESUMED};

    begin_runtime();
    watched = true;
    ck_assert_int_ge(gil_add_hook(ALL, note, &told_count), 0);
    gil_release_lock();
    gil_acquire_lock();
    check_told(events, 3, gil_thread_state_id(gil_thread_state_get()));
    gil_finalize();
}
END_TEST

START_TEST(a_checkpoint_that_hands_over)
{
    static const gil_event events[] = {GIL_THREAD_SUSPENDED, GIL_THREAD_READY, GIL_THREAD_RESUMED};
    worker w;

    begin_runtime();
    watched = true;
    gil_set_check_interval(1);
    for (int i = 0; i < 100; i++)
        gil_checkpoint();
    ck_assert_int_ge(gil_add_hook(ALL, note, &told_count), 0);
    gil_checkpoint(); /* nobody waits */
    ck_assert_int_eq(told_count, 0);
    worker_start(&w, gil_interpreter_state_main());
    atomic_store(&w.let_go, true);
    gil_checkpoint();
    ck_assert(atomic_load(&w.runs));
    check_told(events, 3, gil_thread_state_id(gil_thread_state_get()));
    GIL_BEGIN_ALLOW_THREADS
    worker_end(&w);
    GIL_END_ALLOW_THREADS
    gil_finalize();
}
END_TEST

START_TEST(only_the_events_that_were_asked_for)
{
    static const gil_event events[] = {GIL_THREAD_RESUMED, GIL_THREAD_RESUMED};

    begin_runtime();
    watched = true;
    ck_assert_int_ge(gil_add_hook(GIL_THREAD_RESUMED, note, &told_count), 0);
    gil_restore_thread(gil_save_thread());
    gil_restore_thread(gil_save_thread());
    check_told(events, 2, gil_thread_state_id(gil_thread_state_get()));
    gil_finalize();
}
END_TEST

START_TEST(places)
{
    begin_runtime();
    errno = 0;
    ck_assert_int_eq(gil_add_hook(0, note, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(gil_add_hook(32, note, NULL), -1);
    ck_assert_int_eq(gil_add_hook(ALL, NULL, NULL), -1);
    for (int i = 0; i < GIL_HOOKS_MAX; i++)
        ck_assert_int_eq(gil_add_hook(ALL, note, NULL), i);
    errno = 0;
    ck_assert_int_eq(gil_add_hook(ALL, note, NULL), -1);
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_int_eq(gil_remove_hook(3), 0);
    errno = 0;
    ck_assert_int_eq(gil_remove_hook(3), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(gil_remove_hook(-1), -1);
    ck_assert_int_eq(gil_remove_hook(GIL_HOOKS_MAX), -1);
    ck_assert_int_eq(gil_add_hook(ALL, note, NULL), 3);
    gil_finalize();
}
END_TEST

/* A hook is added and removed while others run: each call has the argument of its own function. */
static atomic_long mismatches, calls;
static atomic_bool stop;

static void expect_1(gil_event event, gil_thread_state *ts, void *arg)
{
    (void)event;
    (void)ts;
    atomic_fetch_add(&mismatches, arg != (void *)1);
    atomic_fetch_add(&calls, 1);
}

static void expect_2(gil_event event, gil_thread_state *ts, void *arg)
{
    (void)event;
    (void)ts;
    atomic_fetch_add(&mismatches, arg != (void *)2);
}

static void *changer_main(void *arg)
{
    while (!atomic_load(&stop)) {
        gil_remove_hook(gil_add_hook(ALL, expect_1, (void *)1));
        gil_remove_hook(gil_add_hook(ALL, expect_2, (void *)2));
    }
    return arg;
}

START_TEST(changed_while_threads_run)
{
    pthread_t changer;

    begin_runtime();
    changer = start(changer_main, NULL);
    for (int64_t until = now_ns() + LONG_NS; atomic_load(&calls) < 1000 && now_ns() < until;)
        gil_restore_thread(gil_save_thread());
    atomic_store(&stop, true);
    join(changer);
    ck_assert_int_ge(calls, 1000);
    ck_assert_int_eq(mismatches, 0);
    gil_finalize();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hooks");
    TCase *tc = tcase_create("hooks");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, the_life_of_a_thread);
    tcase_add_test(tc, the_lower_level_form);
    tcase_add_test(tc, a_checkpoint_that_hands_over);
    tcase_add_test(tc, only_the_events_that_were_asked_for);
    tcase_add_test(tc, places);
    tcase_add_test(tc, changed_while_threads_run);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
