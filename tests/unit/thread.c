/* Threads: who they are, how they are started, joined and ended.
 * What join has in common with everything that blocks is in sync.c. */
#include "callers.h"

#include <sys/resource.h>

static gil_thread_event go, started;
static atomic_int number; /* what a thread under test leaves */
static atomic_ulong ident;
static atomic_int tid;

static bool gone(int id)
{
    char buf[64];

    return read_task_file(id, "comm", buf, sizeof buf) == 0;
}

static void join_it(gil_thread *thread)
{
    ck_assert_int_eq(gil_thread_join(thread, LONG_NS), 0);
}

static void begin_here(void)
{
    begin();
    gil_restore_thread(begun);
}

/* ---- who they are ---- */

START_TEST(an_ident_is_the_threads_own)
{
    ck_assert_uint_eq(gil_thread_ident(), (unsigned long)pthread_self());
    ck_assert_uint_eq(gil_thread_native_id(), (unsigned long)my_tid());
    ck_assert_uint_ne(gil_thread_ident(), GIL_NO_THREAD);
}
END_TEST

/* ---- a thread without a state ---- */

static void raw(void *arg)
{
    ck_assert_ptr_null(gil_thread_state_get_unchecked());
    ck_assert(!gil_check());
    atomic_store(&ident, gil_thread_ident());
    atomic_store(&number, *(int *)arg);
    gil_thread_event_wait(&go, -1);
    atomic_store(&tid, my_tid());
}

START_TEST(a_raw_thread_runs_without_a_state)
{
    int value = 17;
    unsigned long id;

    begin_here();
    errno = ERRNO_KEPT;
    id = gil_start_new_thread(raw, &value);
    ck_assert_int_eq(errno, ERRNO_KEPT);
    ck_assert_uint_ne(id, GIL_NO_THREAD);
    WAIT_FOR(atomic_load(&number) == 17); /* though this thread holds the lock */
    ck_assert_uint_eq(atomic_load(&ident), id);
    gil_thread_event_set(&go);
    WAIT_FOR(atomic_load(&tid) != 0);
    WAIT_FOR(gone(atomic_load(&tid)));
}
END_TEST

START_TEST(the_first_thread_makes_the_lock)
{
    static gil_thread *thread;
    int value = 1;

    ck_assert_int_eq(gil_initialize(0), 0);
    ck_assert(!gil_threads_initialized());
    if (_i)
        ck_assert_uint_ne(gil_start_new_thread(raw, &value), GIL_NO_THREAD);
    else
        ck_assert_uint_ne(gil_thread_start(&thread, NULL, raw, &value), GIL_NO_THREAD);
    ck_assert(gil_threads_initialized());
    ck_assert(gil_check());
}
END_TEST

/* ---- a thread with a state ---- */

static gil_thread_state *its_state;

static void with_state(void *arg)
{
    gil_thread_state *ts = gil_thread_state_get();

    ck_assert(gil_check());
    ck_assert_ptr_eq(gil_this_thread_state(), ts);
    ck_assert_uint_eq(gil_thread_state_thread(ts), gil_thread_ident());
    ck_assert_ptr_eq(ts->interp, arg);
    its_state = ts;
    atomic_store(&tid, my_tid());
    gil_thread_event_set(&started);
    gil_thread_event_wait(&go, -1);
    atomic_fetch_add(&number, 1);
}

static int states(void)
{
    int n = 0;

    for (gil_thread_state *ts = gil_interpreter_state_thread_head(gil_interpreter_state_get()); ts;
         ts = gil_thread_state_next(ts))
        n++;
    return n;
}

START_TEST(a_started_thread_runs_in_the_callers_interpreter)
{
    gil_interpreter_state *interp;
    gil_thread *thread;
    unsigned long id;

    begin_here();
    interp = gil_interpreter_state_get();
    if (_i) { /* another one, with the same lock or one of its own */
        interp = gil_interpreter_state_new(_i == 1 ? 0 : GIL_OWN_LOCK);
        gil_save_thread();
        gil_restore_thread(gil_thread_state_new(interp));
    }
    errno = ERRNO_KEPT;
    id = gil_thread_start(&thread, NULL, with_state, interp);
    ck_assert_uint_ne(id, GIL_NO_THREAD);
    ck_assert_int_eq(errno, ERRNO_KEPT);
    ck_assert_int_eq(states(), 2);
    ck_assert_int_eq(gil_thread_event_wait(&started, LONG_NS), 0);
    ck_assert_uint_eq(gil_thread_state_thread(its_state), id);
    gil_thread_event_set(&go);
    join_it(thread);
    ck_assert_int_eq(atomic_load(&number), 1);
    ck_assert_int_eq(states(), 1);
    ck_assert(gone(atomic_load(&tid)));
}
END_TEST

START_TEST(it_can_be_interrupted_from_the_first_moment)
{
    begin_here();
    for (int i = 0; i < 200; i++) {
        gil_thread *thread;
        unsigned long id = gil_thread_start(&thread, NULL, with_state, gil_interpreter_state_get());

        ck_assert_uint_ne(id, GIL_NO_THREAD);
        ck_assert_int_eq(gil_interrupt(id), 0); /* or it would wait for ever */
        join_it(thread);
    }
    ck_assert_int_eq(atomic_load(&number), 200);
}
END_TEST

/* ---- how it ends ---- */

static void just_returns(void *arg)
{
    (void)arg;
}

static void exits(void *arg)
{
    (void)arg;
    gil_thread_exit();
}

static void exits_without_the_lock(void *arg)
{
    (void)arg;
    gil_save_thread();
    gil_thread_exit();
}

static void returns_without_the_lock(void *arg)
{
    (void)arg;
    gil_save_thread();
}

static void is_cancelled(void *arg)
{
    (void)arg;
    gil_save_thread();
    pthread_cancel(pthread_self());
    pthread_testcancel();
}

static atomic_int exit_events;

static void count_exit(gil_event event, gil_thread_state *ts, void *arg)
{
    (void)arg;
    ck_assert_int_eq(event, GIL_THREAD_EXITED);
    ck_assert_uint_gt(gil_thread_state_id(ts), 0);
    atomic_fetch_add(&exit_events, 1);
}

START_TEST(its_state_goes_with_it_however_it_ends)
{
    static void (*const ends[])(void *) = {just_returns, exits, exits_without_the_lock,
                                           returns_without_the_lock, is_cancelled};
    gil_thread *thread;

    begin_here();
    ck_assert_int_ge(gil_add_hook(GIL_THREAD_EXITED, count_exit, NULL), 0);
    ck_assert_uint_ne(gil_thread_start(&thread, NULL, ends[_i], NULL), GIL_NO_THREAD);
    join_it(thread);
    ck_assert_int_eq(states(), 1);
    ck_assert(gil_check());
    ck_assert_int_eq(atomic_load(&exit_events), 1);
}
END_TEST

static void raw_exit(void *arg)
{
    atomic_store(&tid, my_tid());
    gil_thread_exit();
    atomic_store((atomic_int *)arg, 1);
}

START_TEST(a_raw_thread_exits)
{
    begin_here();
    ck_assert_uint_ne(gil_start_new_thread(raw_exit, &number), GIL_NO_THREAD);
    WAIT_FOR(atomic_load(&tid) != 0);
    WAIT_FOR(gone(atomic_load(&tid)));
    ck_assert_int_eq(atomic_load(&number), 0);
}
END_TEST

/* ---- join and detach ---- */

static pthread_key_t at_exit;
static atomic_bool exited;

static void late_work(void *arg)
{
    (void)arg;
    sleep_ns(20 * MS);
    atomic_store(&exited, true);
}

static void has_late_work(void *arg)
{
    pthread_setspecific(at_exit, arg);
}

START_TEST(join_waits_for_destructors)
{
    gil_thread *thread;

    begin_here();
    ck_assert_int_eq(pthread_key_create(&at_exit, late_work), 0);
    ck_assert_uint_ne(gil_thread_start(&thread, NULL, has_late_work, &at_exit), GIL_NO_THREAD);
    join_it(thread);
    ck_assert(atomic_load(&exited));
}
END_TEST

static void takes_the_lock_late(void *arg)
{
    gil_acquire_lock();
    gil_release_lock();
    late_work(arg);
}

START_TEST(join_lets_a_destructor_have_the_lock)
{
    gil_thread *thread;

    begin_here();
    ck_assert_int_eq(pthread_key_create(&at_exit, takes_the_lock_late), 0);
    ck_assert_uint_ne(gil_thread_start(&thread, NULL, has_late_work, &at_exit), GIL_NO_THREAD);
    join_it(thread);
    ck_assert(atomic_load(&exited));
}
END_TEST

static gil_thread *_Atomic myself;
static atomic_int self_join;

static void joins_itself(void *arg)
{
    (void)arg;
    gil_thread_event_wait(&go, -1);
    if (gil_thread_join(atomic_load(&myself), -1) == -1)
        atomic_store(&self_join, errno);
}

START_TEST(a_thread_does_not_join_itself)
{
    gil_thread *thread;

    begin_here();
    ck_assert_uint_ne(gil_thread_start(&thread, NULL, joins_itself, NULL), GIL_NO_THREAD);
    atomic_store(&myself, thread);
    gil_thread_event_set(&go);
    join_it(thread);
    ck_assert_int_eq(atomic_load(&self_join), EDEADLK);
}
END_TEST

START_TEST(a_failed_join_can_be_repeated)
{
    gil_thread *thread;

    begin_here();
    ck_assert_uint_ne(gil_thread_start(&thread, NULL, with_state, gil_interpreter_state_get()),
                      GIL_NO_THREAD);
    ck_assert_int_eq(gil_thread_join(thread, 0), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(gil_thread_join(thread, 5 * MS), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    gil_interrupt(gil_thread_ident());
    ck_assert_int_eq(gil_thread_join(thread, -1), -1);
    ck_assert_int_eq(errno, EINTR);
    gil_thread_event_set(&go);
    errno = ERRNO_KEPT;
    join_it(thread);
    ck_assert_int_eq(errno, ERRNO_KEPT);
}
END_TEST

/* 0: started so; 1: while it runs; 2: after it has ended. */
START_TEST(a_detached_thread_ends_by_itself)
{
    gil_thread *thread;
    gil_interpreter_state *interp;

    begin_here();
    interp = gil_interpreter_state_get();
    ck_assert_uint_ne(gil_thread_start(_i ? &thread : NULL, NULL, with_state, interp),
                      GIL_NO_THREAD);
    ck_assert_int_eq(gil_thread_event_wait(&started, LONG_NS), 0);
    if (_i == 1)
        gil_thread_detach(thread);
    gil_thread_event_set(&go);
    gil_save_thread();
    WAIT_FOR(gone(atomic_load(&tid)));
    gil_restore_thread(begun);
    if (_i == 2)
        gil_thread_detach(thread);
    ck_assert_int_eq(atomic_load(&number), 1);
    ck_assert_int_eq(states(), 1);
}
END_TEST

START_TEST(many_threads_come_and_go)
{
    gil_interpreter_state *interp;

    begin_here();
    interp = gil_interpreter_state_get();
    gil_thread_event_set(&go);
    for (int i = 0; i < 500; i++) {
        gil_thread *thread;

        ck_assert_uint_ne(gil_thread_start(&thread, NULL, with_state, interp), GIL_NO_THREAD);
        if (i % 3 == 0)
            gil_thread_detach(thread);
        else
            join_it(thread);
    }
    gil_save_thread();
    WAIT_FOR(atomic_load(&number) == 500);
}
END_TEST

/* ---- options ---- */

static char name_seen[64];
static size_t stack_seen;

static void look_at_itself(void *arg)
{
    pthread_attr_t attr;
    void *base;

    (void)arg;
    read_task_file(my_tid(), "comm", name_seen, sizeof name_seen);
    ck_assert_int_eq(pthread_getattr_np(pthread_self(), &attr), 0);
    pthread_attr_getstack(&attr, &base, &stack_seen);
    pthread_attr_destroy(&attr);
}

static unsigned long start_with(gil_thread **thread, const char *name, size_t stack_size)
{
    gil_thread_options options = {.name = name, .stack_size = stack_size};

    return gil_thread_start(thread, &options, look_at_itself, NULL);
}

START_TEST(a_name_that_the_kernel_shows)
{
    static const char *const names[][2] = {
        {"worker 1", "worker 1\n"},
        {"exactly fifteen", "exactly fifteen\n"},
        {"more than sixteen bytes", "more than sixte\n"},
    };
    gil_thread *thread;

    begin_here();
    ck_assert_uint_ne(start_with(&thread, names[_i][0], 0), GIL_NO_THREAD);
    join_it(thread);
    ck_assert_str_eq(name_seen, names[_i][1]);
}
END_TEST

START_TEST(without_a_name_it_has_its_starters)
{
    gil_thread *thread;

    begin_here();
    ck_assert_int_eq(pthread_setname_np(pthread_self(), "the starter"), 0);
    ck_assert_uint_ne(start_with(&thread, NULL, 0), GIL_NO_THREAD);
    join_it(thread);
    ck_assert_str_eq(name_seen, "the starter\n");
}
END_TEST

START_TEST(a_stack_of_that_size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    gil_thread *thread;

    begin_here();
    ck_assert_uint_ne(start_with(&thread, NULL, 100 * page - 1), GIL_NO_THREAD);
    join_it(thread);
    ck_assert_uint_ge(stack_seen, 100 * page - 1);
    ck_assert_uint_lt(stack_seen, 1000 * page); /* sanitizers want some for themselves */
}
END_TEST

START_TEST(an_impossible_stack)
{
    static const size_t sizes[] = {1, SIZE_MAX - 1};
    gil_thread *thread = NULL;

    begin_here();
    ck_assert_uint_eq(start_with(&thread, NULL, sizes[_i]), GIL_NO_THREAD);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(thread);
    ck_assert_int_eq(states(), 1);
}
END_TEST

START_TEST(more_memory_than_there_is)
{
    gil_thread *thread = NULL;

    begin_here();
    ck_assert_uint_eq(start_with(&thread, NULL, SIZE_MAX / 4), GIL_NO_THREAD);
    ck_assert(errno == EAGAIN || errno == EINVAL || errno == ENOMEM);
    ck_assert_int_eq(states(), 1);
    ck_assert_uint_ne(start_with(&thread, NULL, 0), GIL_NO_THREAD); /* nothing is left behind */
    join_it(thread);
}
END_TEST

/* ---- threads that come after the end ---- */

static atomic_bool ran_late;

static void runs_late(void *arg)
{
    (void)arg;
    atomic_store(&ran_late, true);
}

/* It was started, and waits for the lock, when the runtime ends. */
START_TEST(a_thread_that_comes_too_late_does_not_run)
{
    gil_thread *thread;

    ck_assert_int_eq(gil_initialize(GIL_LATE_THREADS_EXIT), 0);
    ck_assert_uint_ne(gil_thread_start(&thread, NULL, runs_late, NULL), GIL_NO_THREAD);
    gil_finalize();
    if (_i)
        ck_assert_int_eq(gil_initialize(GIL_LATE_THREADS_EXIT), 0);
    join_it(thread);
    ck_assert(!atomic_load(&ran_late));
    if (_i)
        ck_assert_int_eq(states(), 1);
}
END_TEST

static void blocks(void *arg)
{
    gil_thread_event_set(&started);
    gil_thread_event_wait(arg, -1);
    atomic_store(&ran_late, true);
}

START_TEST(a_thread_that_blocks_over_the_end_does_not_come_back)
{
    gil_thread *thread;

    ck_assert_int_eq(gil_initialize(GIL_LATE_THREADS_EXIT), 0);
    ck_assert_uint_ne(gil_thread_start(&thread, NULL, blocks, &go), GIL_NO_THREAD);
    ck_assert_int_eq(gil_thread_event_wait(&started, LONG_NS), 0);
    for (int i = 0; i < 10; i++) { /* and over a few more, which use its interpreter's memory */
        gil_finalize();
        ck_assert_int_eq(gil_initialize(GIL_LATE_THREADS_EXIT), 0);
    }
    gil_thread_event_set(&go);
    join_it(thread);
    ck_assert(!atomic_load(&ran_late));
    ck_assert_int_eq(states(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("thread");
    TCase *tc = tcase_create("thread");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, an_ident_is_the_threads_own);
    tcase_add_test(tc, a_raw_thread_runs_without_a_state);
    tcase_add_loop_test(tc, the_first_thread_makes_the_lock, 0, 2);
    tcase_add_loop_test(tc, a_started_thread_runs_in_the_callers_interpreter, 0, 3);
    tcase_add_test(tc, it_can_be_interrupted_from_the_first_moment);
    tcase_add_loop_test(tc, its_state_goes_with_it_however_it_ends, 0, 5);
    tcase_add_test(tc, a_raw_thread_exits);
    tcase_add_test(tc, join_waits_for_destructors);
    tcase_add_test(tc, join_lets_a_destructor_have_the_lock);
    tcase_add_test(tc, a_thread_does_not_join_itself);
    tcase_add_test(tc, a_failed_join_can_be_repeated);
    tcase_add_loop_test(tc, a_detached_thread_ends_by_itself, 0, 3);
    tcase_add_test(tc, many_threads_come_and_go);
    tcase_add_loop_test(tc, a_name_that_the_kernel_shows, 0, 3);
    tcase_add_test(tc, without_a_name_it_has_its_starters);
    tcase_add_test(tc, a_stack_of_that_size);
    tcase_add_loop_test(tc, an_impossible_stack, 0, 2);
    tcase_add_test(tc, more_memory_than_there_is);
    tcase_add_loop_test(tc, a_thread_that_comes_too_late_does_not_run, 0, 2);
    tcase_add_test(tc, a_thread_that_blocks_over_the_end_does_not_come_back);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
