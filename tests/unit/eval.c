/* Taking and giving up the lock: the lower-level form, with a thread state, saved and restored, and
 * by the macros. */
#include "states.h"

/* ---- init_threads ---- */

START_TEST(init_threads_takes_the_lock_once)
{
    gil_initialize(0);
    ck_assert(!gil_threads_initialized());
    ck_assert(!gil_lock_held(&shared.lock));
    gil_init_threads();
    ck_assert(gil_threads_initialized());
    ck_assert(gil_lock_held(&shared.lock));
    gil_init_threads();
    ck_assert_uint_eq(stats_of(&shared.lock, my_tid()).acquires, 1);
    gil_finalize();
    ck_assert(!gil_lock_held(&shared.lock));
}
END_TEST

START_TEST(init_threads_before_initialize)
{
    gil_init_threads();
    ck_assert(gil_lock_held(&shared.lock));
    ck_assert_int_eq(gil_initialize(0), 0);
    ck_assert(gil_check());
    ck_assert_uint_eq(stats_of(&shared.lock, my_tid()).acquires, 1);
    gil_finalize();

    /* Re-initialised, with the lock free. */
    ck_assert(!gil_lock_held(&shared.lock));
    ck_assert_int_eq(gil_initialize(0), 0);
    ck_assert(gil_lock_held(&shared.lock));
    gil_finalize();
}
END_TEST

/* In a block around which nothing is held yet, the lock is made and left free. */
START_TEST(init_threads_while_not_running)
{
    gil_initialize(0);
    GIL_BEGIN_ALLOW_THREADS
    gil_init_threads();
    ck_assert(!gil_lock_held(&shared.lock));
    GIL_END_ALLOW_THREADS
    ck_assert(gil_lock_held(&shared.lock));
    gil_finalize();
}
END_TEST

/* ---- the lower-level form ---- */

START_TEST(acquire_and_release_without_a_state)
{
    begin_runtime();
    gil_thread_state *mine = gil_thread_state_swap(NULL);

    gil_release_lock();
    ck_assert(!gil_lock_held(&shared.lock));
    gil_acquire_lock(); /* legal without any state */
    ck_assert(gil_lock_held(&shared.lock));
    ck_assert_ptr_null(gil_thread_state_get_unchecked());
    gil_release_lock();
    gil_acquire_lock();
    gil_thread_state_swap(mine);
    ck_assert(gil_check());
    gil_finalize();
}
END_TEST

/* They leave alone which state is current, and "does it run" takes both. */
START_TEST(release_lock_leaves_the_state)
{
    gil_thread_state *mine = begin_runtime();

    gil_release_lock();
    ck_assert_ptr_eq(gil_thread_state_get_unchecked(), mine);
    ck_assert(!gil_check());
    gil_acquire_lock();
    ck_assert(gil_check());
    gil_finalize();
}
END_TEST

static void *bootstrap_main(void *arg)
{
    gil_thread_state *ts = gil_thread_state_new(gil_interpreter_state_main());

    gil_acquire_lock();
    gil_thread_state_swap(ts);
    ++*(long *)arg;
    gil_thread_state_swap(NULL);
    gil_release_lock();
    gil_thread_state_delete(ts);
    return NULL;
}

START_TEST(a_thread_bootstraps_itself)
{
    gil_thread_state *mine = begin_runtime();
    pthread_t threads[4];
    long count = 0;

    for (int i = 0; i < 4; i++)
        threads[i] = start(bootstrap_main, &count);
    ck_assert_int_eq(count, 0);
    gil_thread_state_swap(NULL);
    gil_release_lock();
    for (int i = 0; i < 4; i++)
        join(threads[i]);
    gil_acquire_lock();
    gil_thread_state_swap(mine);
    ck_assert_int_eq(count, 4);
    ck_assert_ptr_null(gil_thread_state_next(mine));
    ck_assert_ptr_eq(gil_interpreter_state_thread_head(gil_interpreter_state_main()), mine);
    gil_finalize();
}
END_TEST

START_TEST(acquire_and_release_thread)
{
    gil_thread_state *mine = begin_runtime();

    gil_release_thread(mine);
    ck_assert_ptr_null(gil_thread_state_get_unchecked());
    ck_assert(!gil_lock_held(&shared.lock));
    gil_acquire_thread(mine);
    ck_assert_ptr_eq(gil_thread_state_get(), mine);
    ck_assert(gil_check());
    gil_finalize();
}
END_TEST

/* ---- saved and restored ---- */

START_TEST(save_and_restore)
{
    gil_thread_state *mine;

    gil_initialize(0);
    for (int threads = 0; threads < 2; threads++) {
        mine = gil_thread_state_get();
        ck_assert_ptr_eq(gil_save_thread(), mine);
        ck_assert(!gil_check());
        ck_assert_ptr_null(gil_thread_state_get_unchecked());
        ck_assert_ptr_eq(gil_this_thread_state(), mine);
        gil_restore_thread(mine);
        ck_assert_ptr_eq(gil_thread_state_get(), mine);
        ck_assert(gil_check());
        gil_init_threads();
    }
    gil_finalize();
}
END_TEST

/* Each of these has to wait for the lock, which takes system calls. */
START_TEST(errno_is_kept)
{
    gil_thread_state *ts = begin_runtime();
    gil_interpreter_state *interp = gil_interpreter_state_main();
    worker w;

    for (int i = 0; i < 8; i++) {
        worker_start(&w, interp);
        errno = 1234;
        switch (i % 4) {
        case 0:
            ts = gil_save_thread();
            break;
        case 1:
            gil_release_thread(ts);
            break;
        case 2:
            gil_release_lock();
            break;
        case 3:
            ts = gil_thread_state_swap(NULL);
            gil_release_lock();
            break;
        }
        ck_assert_int_eq(errno, 1234);
        WAIT_FOR(atomic_load(&w.runs));
        if (i >= 4)
            atomic_store(&w.let_go, true);
        else
            worker_end(&w);
        errno = 4321;
        switch (i % 4) {
        case 0:
            gil_restore_thread(ts);
            break;
        case 1:
            gil_acquire_thread(ts);
            break;
        case 2:
            gil_acquire_lock();
            break;
        case 3:
            gil_acquire_lock();
            gil_thread_state_swap(ts);
            break;
        }
        ck_assert_int_eq(errno, 4321);
        if (i >= 4)
            worker_end(&w);
    }
    gil_finalize();
}
END_TEST

/* ---- the macros ---- */

static int held(void)
{
    return gil_lock_held(&shared.lock);
}

static int held_in_a_block(void)
{
    int result;

    GIL_BEGIN_ALLOW_THREADS;
    result = held();
    GIL_END_ALLOW_THREADS;
    return result;
}

/* Without a semicolon, or with one. */
START_TEST(allow_threads)
{
    int in_block, blocked, unblocked;

    begin_runtime();
    GIL_BEGIN_ALLOW_THREADS
    in_block = held();
    GIL_BLOCK_THREADS
    blocked = held();
    GIL_UNBLOCK_THREADS
    unblocked = held();
    GIL_END_ALLOW_THREADS
    ck_assert(!in_block && blocked && !unblocked && held());

    GIL_BEGIN_ALLOW_THREADS GIL_BLOCK_THREADS in_block = held_in_a_block();
    blocked = held();
    GIL_UNBLOCK_THREADS GIL_END_ALLOW_THREADS ck_assert(!in_block && blocked && held());
    gil_finalize();
}
END_TEST

/* ---- one at a time ---- */

static long count, inside;

static void *counter_main(void *arg)
{
    gil_interpreter_state *interp = arg;
    gil_thread_state *ts = gil_thread_state_new(interp);

    gil_restore_thread(ts);
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_eq(inside++, 0);
        count++;
        inside--;
        if (i % 3 == 0)
            gil_checkpoint();
        GIL_BEGIN_ALLOW_THREADS
        if (i % 64 == 0)
            sched_yield();
        GIL_END_ALLOW_THREADS
    }
    gil_thread_state_delete_current();
    return NULL;
}

START_TEST(one_thread_at_a_time)
{
    gil_interpreter_state *interps[2];
    pthread_t threads[6];

    begin_runtime();
    gil_set_check_interval(10);
    interps[0] = gil_interpreter_state_main();
    interps[1] = gil_interpreter_state_new(0);
    for (int i = 0; i < 6; i++)
        threads[i] = start(counter_main, interps[i % 2]);
    GIL_BEGIN_ALLOW_THREADS
    for (int i = 0; i < 6; i++)
        join(threads[i]);
    GIL_END_ALLOW_THREADS
    ck_assert_int_eq(count, 6 * 2000);
    gil_finalize();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("eval");
    TCase *tc = tcase_create("eval");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, init_threads_takes_the_lock_once);
    tcase_add_test(tc, init_threads_before_initialize);
    tcase_add_test(tc, init_threads_while_not_running);
    tcase_add_test(tc, acquire_and_release_without_a_state);
    tcase_add_test(tc, release_lock_leaves_the_state);
    tcase_add_test(tc, a_thread_bootstraps_itself);
    tcase_add_test(tc, acquire_and_release_thread);
    tcase_add_test(tc, save_and_restore);
    tcase_add_test(tc, errno_is_kept);
    tcase_add_test(tc, allow_threads);
    tcase_add_test(tc, one_thread_at_a_time);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
