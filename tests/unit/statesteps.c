/* The order in which a thread takes the lock and says that it runs, and that nothing is done to the
 * lock before gil_init_threads(): built with LOCK_STEPS, the test looks on at each step of the
 * lock, and delays it. */
#include "states.h"

static atomic_long steps;
static atomic_bool watching, delaying;
static atomic_long taking, giving;

/* A thread that is about to take the lock is not yet known as the one that runs; one that is about
 * to give it up is no longer. A delay there lets other threads find out what it is known as. */
void lock_step(const char *tag, const struct lock *l, const struct node *n)
{
    static const char *const releases[] = {"T5", "T6", "T7"};
    static _Thread_local unsigned seed;
    bool release = false;

    (void)n;
    atomic_fetch_add(&steps, 1);
    if (!atomic_load(&watching) || l != lock_of(&shared.lock))
        return;
    for (int i = 0; i < 3; i++)
        release = release || strcmp(tag, releases[i]) == 0;
    if (release) {
        ck_assert_ptr_null(relaxed_load(&shared.current));
        ck_assert_ptr_null(gil_current_);
        atomic_fetch_add(&giving, 1);
    } else if (strcmp(tag, "T1") == 0 || strcmp(tag, "T11") == 0) {
        ck_assert_ptr_null(gil_current_);
        atomic_fetch_add(&taking, 1);
    }
    if (atomic_load(&delaying) && rand_r(&seed) % 4 == 0)
        sleep_ns(rand_r(&seed) % 200 * US);
}

/* ---- before gil_init_threads() ---- */

static int note(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static void use_everything(void)
{
    gil_thread_state *mine = gil_thread_state_get(), *other;
    int calls = 0;

    for (int i = 0; i < 1000; i++) {
        GIL_BEGIN_ALLOW_THREADS
        GIL_BLOCK_THREADS
        GIL_UNBLOCK_THREADS
        gil_release(gil_ensure());
        GIL_END_ALLOW_THREADS
        gil_checkpoint();
        gil_release(gil_ensure());
    }
    other = gil_thread_state_new(gil_interpreter_state_new(0));
    gil_thread_state_swap(other);
    gil_thread_state_swap(NULL);
    gil_thread_state_swap(mine);
    gil_thread_state_delete(other);
    gil_set_check_interval(10);
    ck_assert(gil_check());
    ck_assert_int_eq(gil_add_pending_call(note, &calls), 0);
    ck_assert_int_eq(gil_make_pending_calls(), 0);
    ck_assert_int_eq(calls, 1);
    gil_before_fork();
    gil_after_fork_parent();
}

START_TEST(no_lock_operation_before_init_threads)
{
    for (int i = 0; i < 3; i++) {
        gil_initialize(0);
        use_everything();
        gil_finalize();
    }
    ck_assert_int_eq(steps, 0);
    gil_init_threads();
    ck_assert_int_eq(steps, 1);
    gil_initialize(0);
    ck_assert_int_eq(steps, 1);
    use_everything();
    ck_assert_int_eq(steps, 6001); /* three pairs a round */
    gil_finalize();
}
END_TEST

START_TEST(one_step_each_without_contention)
{
    begin_runtime();
    steps = 0;
    for (int i = 0; i < 100; i++)
        gil_restore_thread(gil_save_thread());
    ck_assert_int_eq(steps, 200);
    gil_finalize();
}
END_TEST

/* ---- the order ---- */

static void runs_as(gil_thread_state *ts)
{
    ck_assert_ptr_eq(gil_thread_state_get(), ts);
    ck_assert_ptr_eq(relaxed_load(&shared.current), state_of(ts));
}

static void *order_main(void *arg)
{
    gil_thread_state *ts = gil_thread_state_new(arg);

    gil_acquire_thread(ts);
    for (int i = 0; i < 150; i++) {
        runs_as(ts);
        if (i % 4 == 0)
            sched_yield();
        runs_as(ts);
        if (i % 16 == 0)
            gil_checkpoint();
        runs_as(ts);
        ck_assert_ptr_eq(gil_save_thread(), ts);
        if (i % 3 == 0)
            sleep_ns(20 * US);
        gil_restore_thread(ts);
    }
    gil_release_thread(ts);
    gil_thread_state_delete(ts);
    return NULL;
}

START_TEST(known_after_acquiring_and_until_before_releasing)
{
    gil_interpreter_state *interp;
    pthread_t threads[4];

    begin_runtime();
    gil_set_check_interval(1);
    interp = gil_interpreter_state_main();
    atomic_store(&watching, true);
    atomic_store(&delaying, true);
    GIL_BEGIN_ALLOW_THREADS
    for (int i = 0; i < 4; i++)
        threads[i] = start(order_main, interp);
    for (int i = 0; i < 4; i++)
        join(threads[i]);
    GIL_END_ALLOW_THREADS
    ck_assert_int_gt(taking, 300);
    ck_assert_int_gt(giving, 300);
    atomic_store(&watching, false);
    gil_finalize();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statesteps");
    TCase *tc = tcase_create("statesteps");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, no_lock_operation_before_init_threads);
    tcase_add_test(tc, one_step_each_without_contention);
    tcase_add_test(tc, known_after_acquiring_and_until_before_releasing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
