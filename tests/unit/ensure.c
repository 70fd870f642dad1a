/* Threads that were created outside: ensure and release, nested, from callbacks, at the end of a
 * thread; check. */
#include "states.h"

static int states_of(gil_interpreter_state *interp)
{
    int n = 0;

    for (gil_thread_state *ts = gil_interpreter_state_thread_head(interp); ts;
         ts = gil_thread_state_next(ts))
        n++;
    return n;
}

static void run_outside(void *(*fn)(void *), void *arg)
{
    GIL_BEGIN_ALLOW_THREADS
    join(start(fn, arg));
    GIL_END_ALLOW_THREADS
}

/* ---- in the main thread ---- */

START_TEST(in_the_main_thread)
{
    gil_thread_state *mine = NULL;
    gil_state outer, inner;

    gil_initialize(0);
    for (int threads = 0; threads < 2; threads++) {
        mine = gil_thread_state_get();
        outer = gil_ensure();
        ck_assert_int_eq(outer, GIL_STATE_LOCKED);
        ck_assert_ptr_eq(gil_thread_state_get(), mine);
        GIL_BEGIN_ALLOW_THREADS
        ck_assert(!gil_check());
        inner = gil_ensure();
        ck_assert_int_eq(inner, GIL_STATE_UNLOCKED);
        ck_assert_ptr_eq(gil_thread_state_get(), mine);
        ck_assert(gil_check());
        gil_release(inner);
        ck_assert(!gil_check());
        GIL_END_ALLOW_THREADS
        gil_release(outer);
        ck_assert(gil_check());
        gil_init_threads();
    }
    ck_assert_int_eq(states_of(gil_interpreter_state_main()), 1);
    gil_finalize();
}
END_TEST

/* ---- in others ---- */

static void *nested_main(void *arg)
{
    gil_state outer, inner, blocking;
    gil_thread_state *ts;

    ck_assert_ptr_null(gil_this_thread_state());
    ck_assert(!gil_check());
    outer = gil_ensure();
    ck_assert_int_eq(outer, GIL_STATE_UNLOCKED);
    ts = gil_thread_state_get();
    ck_assert_ptr_eq(gil_this_thread_state(), ts);
    ck_assert_ptr_eq(ts->interp, gil_interpreter_state_main());
    ck_assert_int_eq(states_of(ts->interp), 2);

    inner = gil_ensure();
    ck_assert_int_eq(inner, GIL_STATE_LOCKED);
    GIL_BEGIN_ALLOW_THREADS
    blocking = gil_ensure(); /* a callback of the blocking call */
    ck_assert_int_eq(blocking, GIL_STATE_UNLOCKED);
    ck_assert_ptr_eq(gil_thread_state_get(), ts);
    gil_release(blocking);
    ck_assert(!gil_check());
    ck_assert_ptr_eq(gil_this_thread_state(), ts); /* it is still needed */
    GIL_END_ALLOW_THREADS
    gil_release(inner);
    ck_assert(gil_check());
    gil_release(outer);
    ck_assert(!gil_check());
    ck_assert_ptr_null(gil_this_thread_state());
    return arg;
}

START_TEST(nested_in_a_foreign_thread)
{
    begin_runtime();
    for (int i = 0; i < 3; i++) {
        run_outside(nested_main, NULL);
        ck_assert_int_eq(states_of(gil_interpreter_state_main()), 1);
    }
    gil_finalize();
}
END_TEST

/* It uses the state that the thread has made for itself, and leaves it. */
static void *own_state_main(void *arg)
{
    gil_thread_state *ts = gil_thread_state_new(arg);
    gil_state state;

    ck_assert_ptr_eq(gil_this_thread_state(), ts);
    state = gil_ensure();
    ck_assert_ptr_eq(gil_thread_state_get(), ts);
    gil_release(state);
    ck_assert(!gil_check());
    gil_restore_thread(ts);
    gil_thread_state_delete_current();
    ck_assert_ptr_null(gil_this_thread_state());
    return NULL;
}

START_TEST(with_a_state_of_its_own)
{
    begin_runtime();
    run_outside(own_state_main, gil_interpreter_state_new(0));
    run_outside(own_state_main, gil_interpreter_state_new(GIL_OWN_LOCK));
    gil_finalize();
}
END_TEST

/* ---- at the end of a thread ---- */

static pthread_key_t key;
static int ended;

static void at_end(void *arg)
{
    gil_state state = gil_ensure();

    ck_assert_ptr_eq(arg, &key);
    ended++;
    gil_release(state);
}

static void *ending_main(void *arg)
{
    pthread_setspecific(key, &key);
    gil_release(gil_ensure());
    return arg;
}

START_TEST(while_a_thread_ends)
{
    begin_runtime();
    ck_assert_int_eq(pthread_key_create(&key, at_end), 0);
    run_outside(ending_main, NULL);
    ck_assert_int_eq(ended, 1);
    ck_assert_int_eq(states_of(gil_interpreter_state_main()), 1);
    gil_finalize();
}
END_TEST

/* ---- many ---- */

static long count;

static void *counter_main(void *arg)
{
    for (int i = 0; i < 500; i++) {
        gil_state state = gil_ensure();
        long before = count;

        if (i % 32 == 0)
            sched_yield();
        count = before + 1;
        gil_release(state);
    }
    return arg;
}

START_TEST(many_threads_that_come_and_go)
{
    pthread_t threads[8];

    begin_runtime();
    GIL_BEGIN_ALLOW_THREADS
    for (int i = 0; i < 8; i++)
        threads[i] = start(counter_main, NULL);
    for (int i = 0; i < 8; i++)
        join(threads[i]);
    GIL_END_ALLOW_THREADS
    ck_assert_int_eq(count, 8 * 500);
    ck_assert_int_eq(states_of(gil_interpreter_state_main()), 1);
    gil_finalize();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ensure");
    TCase *tc = tcase_create("ensure");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, in_the_main_thread);
    tcase_add_test(tc, nested_in_a_foreign_thread);
    tcase_add_test(tc, with_a_state_of_its_own);
    tcase_add_test(tc, while_a_thread_ends);
    tcase_add_test(tc, many_threads_that_come_and_go);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
