/* Fork with a runtime: the child has one thread, which is its main thread, and the states of the
 * others are gone. By hand, and by the installed handlers. */
#include "states.h"

#include <sys/wait.h>

/* Ends the child with the line number, since a failed ck_assert belongs to the parent. */
#define IN_CHILD(cond)                                                                             \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "# in the child, line %d: %s\n", __LINE__, #cond);                     \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static bool by_hand;

static pid_t fork_state(void)
{
    pid_t pid;

    if (by_hand)
        gil_before_fork();
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        alarm(10);
    if (by_hand && pid == 0)
        gil_after_fork_child();
    else if (by_hand)
        gil_after_fork_parent();
    return pid;
}

static void begin_forking(int how)
{
    begin_runtime();
    by_hand = how == 0;
    if (!by_hand)
        ck_assert_int_eq(gil_install_fork_handlers(), 0);
}

/* ---- what a child can do ---- */

static long count;

static void *counter_main(void *arg)
{
    for (int i = 0; i < 200; i++) {
        gil_state state = gil_ensure();

        count++;
        gil_release(state);
    }
    return arg;
}

static int add(void *arg)
{
    ++*(int *)arg;
    return 0;
}

/* Runs as the only thread of the child: everything works, new threads included. */
static void use_in_child(gil_thread_state *mine)
{
    pthread_t threads[2];
    int called = 0;

    IN_CHILD(gil_check());
    IN_CHILD(gil_thread_state_get() == mine);
    IN_CHILD(gil_interpreter_state_thread_head(mine->interp) == mine);
    IN_CHILD(gil_thread_state_next(mine) == NULL);
    IN_CHILD(gil_thread_state_thread(mine) == (unsigned long)pthread_self());
    gil_restore_thread(gil_save_thread());
    IN_CHILD(gil_add_pending_call(add, &called) == 0);
    IN_CHILD(gil_make_pending_calls() == 0);
    IN_CHILD(called == 1); /* it is the main thread */
    GIL_BEGIN_ALLOW_THREADS
    for (int i = 0; i < 2; i++)
        IN_CHILD(pthread_create(&threads[i], NULL, counter_main, NULL) == 0);
    for (int i = 0; i < 2; i++)
        IN_CHILD(pthread_join(threads[i], NULL) == 0);
    GIL_END_ALLOW_THREADS
    IN_CHILD(count == 400);
    gil_finalize();
    IN_CHILD(gil_initialize(0) == 0);
    gil_finalize();
    _exit(0);
}

START_TEST(the_child_of_a_thread_that_runs)
{
    gil_thread_state *mine;
    worker waits;
    pid_t pid;

    begin_forking(_i);
    mine = gil_thread_state_get();
    worker_start(&waits, gil_interpreter_state_main());
    pid = fork_state();
    if (pid == 0)
        use_in_child(mine);
    check_child(pid);
    ck_assert(gil_check());
    ck_assert(!atomic_load(&waits.runs));
    GIL_BEGIN_ALLOW_THREADS
    WAIT_FOR(atomic_load(&waits.runs));
    worker_end(&waits);
    GIL_END_ALLOW_THREADS
    gil_finalize();
}
END_TEST

/* ---- a thread that is not the main one ---- */

static void *forking_main(void *arg)
{
    gil_state state = gil_ensure();
    gil_thread_state *mine = gil_thread_state_get();
    pid_t pid = fork_state();

    (void)arg;
    if (pid == 0)
        use_in_child(mine);
    check_child(pid);
    ck_assert(gil_check());
    gil_release(state);
    return NULL;
}

START_TEST(the_child_of_another_thread)
{
    begin_forking(_i);
    GIL_BEGIN_ALLOW_THREADS
    join(start(forking_main, NULL));
    GIL_END_ALLOW_THREADS
    gil_finalize();
}
END_TEST

/* ---- a thread that does not run, with the handlers only ---- */

START_TEST(the_child_of_a_thread_that_does_not_run)
{
    gil_thread_state *mine;
    worker w;
    pid_t pid;

    begin_forking(1);
    mine = gil_save_thread();
    worker_start(&w, gil_interpreter_state_main());
    WAIT_FOR(atomic_load(&w.runs));
    pid = fork_state();
    if (pid == 0) {
        IN_CHILD(!gil_check());
        gil_restore_thread(mine); /* though another held the lock */
        use_in_child(mine);
    }
    check_child(pid);
    worker_end(&w);
    gil_restore_thread(mine);
    gil_finalize();
}
END_TEST

/* Threads make and delete states all the time: the child never finds the lists half done. */
static atomic_bool stop;

static void *churning_main(void *arg)
{
    while (!atomic_load(&stop)) {
        gil_thread_state_delete(gil_thread_state_new(gil_interpreter_state_main()));
        gil_interpreter_state_delete(gil_interpreter_state_new(0));
    }
    return arg;
}

START_TEST(while_others_make_states)
{
    gil_thread_state *mine;
    pthread_t churning;

    begin_forking(_i);
    mine = gil_thread_state_get();
    churning = start(churning_main, NULL);
    for (int i = 0; i < 40; i++) {
        pid_t pid = fork_state();

        if (pid == 0) {
            IN_CHILD(gil_thread_state_next(mine) == NULL);
            gil_thread_state_delete(gil_thread_state_new(mine->interp));
            _exit(0);
        }
        check_child(pid);
    }
    atomic_store(&stop, true);
    join(churning);
    gil_finalize();
}
END_TEST

/* ---- what was asked of the parent ---- */

START_TEST(what_was_asked_of_the_parent)
{
    int called = 0;
    pid_t pid;

    begin_forking(_i);
    gil_add_pending_call(add, &called);
    pid = fork_state();
    if (pid == 0) {
        gil_make_pending_calls();
        IN_CHILD(called == 0);
        _exit(0);
    }
    check_child(pid);
    gil_make_pending_calls();
    ck_assert_int_eq(called, 1);
    gil_finalize();
}
END_TEST

static int fork_in_a_call(void *arg)
{
    pid_t pid = fork_state();

    ++*(int *)arg;
    if (pid == 0)
        return 0;
    check_child(pid);
    return 0;
}

START_TEST(a_pending_call_that_forks)
{
    pid_t parent = getpid();
    int forks = 0, called = 0;

    begin_forking(_i);
    gil_add_pending_call(fork_in_a_call, &forks);
    gil_add_pending_call(add, &called);
    ck_assert_int_eq(gil_make_pending_calls(), 0);
    if (getpid() != parent)
        _exit(called != 0);
    ck_assert_int_eq(forks, 1);
    ck_assert_int_eq(called, 1);
    gil_finalize();
}
END_TEST

/* ---- other locks, and none ---- */

START_TEST(an_interpreter_with_its_own_lock)
{
    gil_interpreter_state *other;
    gil_thread_state *ts, *mine;
    worker w;
    pid_t pid;

    begin_forking(_i);
    mine = gil_thread_state_get();
    other = gil_interpreter_state_new(GIL_OWN_LOCK);
    ts = gil_thread_state_new(other); /* the forking thread's: it stays */
    worker_start(&w, other);
    WAIT_FOR(atomic_load(&w.runs));
    pid = fork_state();
    if (pid == 0) {
        IN_CHILD(other->own.current == NULL);
        IN_CHILD(gil_interpreter_state_thread_head(other) == ts);
        IN_CHILD(gil_thread_state_next(ts) == NULL);
        gil_release_thread(mine);
        gil_acquire_thread(ts); /* its holder is not in the child */
        gil_thread_state_delete_current();
        gil_interpreter_state_delete(other);
        gil_acquire_thread(mine);
        use_in_child(mine);
    }
    check_child(pid);
    worker_end(&w);
    gil_finalize();
}
END_TEST

START_TEST(before_init_threads)
{
    gil_thread_state *mine;
    pid_t pid;

    gil_initialize(0);
    by_hand = _i == 0;
    if (!by_hand)
        ck_assert_int_eq(gil_install_fork_handlers(), 0);
    mine = gil_thread_state_get();
    pid = fork_state();
    if (pid == 0) {
        IN_CHILD(gil_check());
        IN_CHILD(!gil_threads_initialized());
        gil_restore_thread(gil_save_thread());
        gil_init_threads();
        use_in_child(mine);
    }
    check_child(pid);
    gil_finalize();
}
END_TEST

START_TEST(handlers_are_installed_once)
{
    pid_t pid;

    begin_forking(1);
    ck_assert_int_eq(gil_install_fork_handlers(), 0);
    pid = fork_state(); /* twice the handler would wait for itself */
    if (pid == 0)
        _exit(0);
    check_child(pid);
    gil_finalize();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statefork");
    TCase *tc = tcase_create("statefork");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, the_child_of_a_thread_that_runs, 0, 2);
    tcase_add_loop_test(tc, the_child_of_another_thread, 0, 2);
    tcase_add_test(tc, the_child_of_a_thread_that_does_not_run);
    tcase_add_loop_test(tc, while_others_make_states, 0, 2);
    tcase_add_loop_test(tc, what_was_asked_of_the_parent, 0, 2);
    tcase_add_loop_test(tc, a_pending_call_that_forks, 0, 2);
    tcase_add_loop_test(tc, an_interpreter_with_its_own_lock, 0, 2);
    tcase_add_loop_test(tc, before_init_threads, 0, 2);
    tcase_add_test(tc, handlers_are_installed_once);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
