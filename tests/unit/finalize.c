/* The end of a runtime, and another one after it; threads that come too late for the lock hang, or
 * exit, and touch nothing of what comes after. */
#include "states.h"

/* ---- late threads ---- */

/* How a late thread asks for the lock. */
static void by_restore(gil_thread_state *ts)
{
    gil_restore_thread(ts);
}

static void by_acquire_thread(gil_thread_state *ts)
{
    gil_acquire_thread(ts);
}

static void by_acquire_lock(gil_thread_state *ts)
{
    gil_acquire_lock();
    gil_thread_state_swap(ts);
}

static void by_acquire_lock_alone(gil_thread_state *ts)
{
    (void)ts;
    gil_acquire_lock();
}

static void by_ensure(gil_thread_state *ts)
{
    (void)ts;
    gil_ensure();
}

static void by_new(gil_thread_state *ts)
{
    gil_thread_state_new(ts->interp);
}

static const struct {
    void (*ask)(gil_thread_state *ts);
    bool waits; /* it can wait for the lock */
    bool late;  /* and it is late after the end, since it has a state of before */
} ways[] = {
    {by_restore, true, true},      {by_acquire_thread, true, true},
    {by_acquire_lock, true, true}, {by_acquire_lock_alone, true, false},
    {by_ensure, true, true},       {by_new, false, true},
};

enum { WAYS = 6 };

typedef struct late {
    gil_interpreter_state *interp;
    void (*ask)(gil_thread_state *ts);
    pthread_t thread;
    atomic_int tid;
    atomic_bool may_ask, asks, left, came_through;
} late;

static void note_left(void *arg)
{
    atomic_store(&((late *)arg)->left, true);
}

/* Runs once, so that the state is its own; and asks again when it is told to. */
static void *late_main(void *arg)
{
    late *l = arg;
    gil_thread_state *ts = gil_thread_state_new(l->interp);

    pthread_cleanup_push(note_left, l);
    gil_acquire_thread(ts);
    gil_release_thread(ts);
    atomic_store(&l->tid, my_tid());
    while (!atomic_load(&l->may_ask))
        sleep_ns(50 * US);
    atomic_store(&l->asks, true);
    l->ask(ts);
    atomic_store(&l->came_through, true);
    if (gil_check())
        gil_save_thread();
    pthread_cleanup_pop(0);
    return NULL;
}

static void late_start(late *l, gil_interpreter_state *interp, void (*ask)(gil_thread_state *ts))
{
    memset(l, 0, sizeof *l);
    l->interp = interp;
    l->ask = ask;
    GIL_BEGIN_ALLOW_THREADS
    l->thread = start(late_main, l);
    WAIT_FOR(atomic_load(&l->tid));
    GIL_END_ALLOW_THREADS
}

static void late_ask(late *l)
{
    atomic_store(&l->may_ask, true);
    WAIT_FOR(atomic_load(&l->asks) && asleep(l->tid));
}

/* An exited thread has run its cleanup handlers, and ended; one that hangs is asleep for good. */
static void check_late(late *l, bool exits)
{
    if (exits) {
        join(l->thread);
        ck_assert(atomic_load(&l->left));
    } else {
        WAIT_FOR(atomic_load(&l->asks) && asleep(l->tid));
        ck_assert(!atomic_load(&l->left));
    }
    ck_assert(!atomic_load(&l->came_through));
}

static void use_runtime(void)
{
    worker w;

    ck_assert(gil_check());
    gil_restore_thread(gil_save_thread());
    worker_start(&w, gil_interpreter_state_main());
    GIL_BEGIN_ALLOW_THREADS
    worker_end(&w);
    GIL_END_ALLOW_THREADS
    gil_release(gil_ensure());
}

/* Loops over the ways, hanging and exiting. */
START_TEST(one_that_waits_at_the_end)
{
    bool exits = _i >= WAYS;
    late l;

    if (!ways[_i % WAYS].waits)
        return;
    gil_initialize(exits ? GIL_LATE_THREADS_EXIT : 0);
    gil_init_threads();
    late_start(&l, gil_interpreter_state_main(), ways[_i % WAYS].ask);
    late_ask(&l);
    gil_finalize();
    check_late(&l, exits);
    gil_initialize(0);
    use_runtime();
    ck_assert(!atomic_load(&l.came_through));
    gil_finalize();
}
END_TEST

START_TEST(one_that_comes_after_the_end)
{
    bool exits = _i >= WAYS;
    late l;

    if (!ways[_i % WAYS].late)
        return;
    gil_initialize(exits ? GIL_LATE_THREADS_EXIT : 0);
    gil_init_threads();
    late_start(&l, gil_interpreter_state_main(), ways[_i % WAYS].ask);
    gil_finalize();
    atomic_store(&l.may_ask, true);
    check_late(&l, exits);
    gil_initialize(0);
    use_runtime();
    gil_finalize();
}
END_TEST

/* Its state was that of an earlier runtime, whose option counts. */
START_TEST(one_that_comes_into_the_next_runtime)
{
    bool exits = _i >= WAYS;
    gil_interpreter_state *interp;
    late l;

    if (!ways[_i % WAYS].late)
        return;
    gil_initialize(exits ? GIL_LATE_THREADS_EXIT : 0);
    gil_init_threads();
    late_start(&l, gil_interpreter_state_main(), ways[_i % WAYS].ask);
    gil_finalize();
    gil_initialize(exits ? 0 : GIL_LATE_THREADS_EXIT);
    interp = gil_interpreter_state_main();
    for (int i = 0; i < 200; i++) /* nothing of it is used again */
        gil_thread_state_delete(gil_thread_state_new(interp));
    atomic_store(&l.may_ask, true);
    GIL_BEGIN_ALLOW_THREADS
    check_late(&l, exits);
    GIL_END_ALLOW_THREADS
    use_runtime();
    gil_finalize();
}
END_TEST

/* Threads of an interpreter with its own lock, one running and one waiting. */
START_TEST(under_a_lock_of_its_own)
{
    gil_interpreter_state *other;
    late waits, comes;
    worker runs;

    gil_initialize(GIL_LATE_THREADS_EXIT);
    gil_init_threads();
    other = gil_interpreter_state_new(GIL_OWN_LOCK);
    late_start(&waits, other, by_restore);
    late_start(&comes, other, by_restore);
    worker_start(&runs, other);
    WAIT_FOR(atomic_load(&runs.runs));
    late_ask(&waits);
    atomic_store(&runs.let_go, true);
    gil_finalize(); /* waits for the one that runs, and perhaps for the one that waits */
    join(runs.thread);
    join(waits.thread);
    ck_assert(atomic_load(&waits.left) != atomic_load(&waits.came_through));
    atomic_store(&comes.may_ask, true);
    check_late(&comes, true);
    gil_initialize(0);
    use_runtime();
    gil_finalize();
}
END_TEST

enum { MANY = 40 };

START_TEST(many_at_once)
{
    static late l[MANY];

    gil_initialize(GIL_LATE_THREADS_EXIT);
    gil_init_threads();
    for (int i = 0; i < MANY; i++)
        late_start(&l[i], gil_interpreter_state_main(), by_restore);
    for (int i = 0; i < MANY / 2; i++)
        late_ask(&l[i]);
    gil_finalize();
    for (int i = MANY / 2; i < MANY; i++)
        atomic_store(&l[i].may_ask, true);
    for (int i = 0; i < MANY; i++)
        check_late(&l[i], true);
}
END_TEST

/* One that only deletes its state then is none: it asks for nothing. */
static void *deleting_main(void *arg)
{
    late *l = arg;
    gil_thread_state *ts = gil_thread_state_new(l->interp);

    atomic_store(&l->tid, my_tid());
    while (!atomic_load(&l->may_ask))
        sleep_ns(50 * US);
    gil_thread_state_delete(ts);
    atomic_store(&l->came_through, true);
    return NULL;
}

START_TEST(one_that_deletes_its_state_after_the_end)
{
    late l = {0};

    begin_runtime();
    l.interp = gil_interpreter_state_main();
    l.thread = start(deleting_main, &l);
    WAIT_FOR(atomic_load(&l.tid));
    gil_finalize();
    atomic_store(&l.may_ask, true);
    join(l.thread);
    ck_assert(atomic_load(&l.came_through));
}
END_TEST

/* ---- again ---- */

START_TEST(again_and_again)
{
    for (int i = 0; i < 200; i++) {
        gil_interpreter_state *other;
        uint64_t id;

        ck_assert_int_eq(gil_initialize(0), 0);
        id = gil_thread_state_id(gil_thread_state_get());
        if (i % 4 == 3)
            gil_init_threads();
        other = gil_interpreter_state_new(i % 2 ? GIL_OWN_LOCK : 0);
        ck_assert_int_eq(gil_interpreter_state_id(other), 1);
        ck_assert_uint_lt(id, gil_thread_state_id(gil_thread_state_new(other)));
        ck_assert_ptr_null(gil_thread_state_dict());
        ck_assert_ptr_null(gil_interpreter_state_modules(gil_interpreter_state_main()));
        gil_thread_state_set_dict(&id);
        gil_interpreter_state_set_modules(gil_interpreter_state_main(), &id);
        gil_finalize();
        ck_assert(!gil_lock_held(&shared.lock));
    }
}
END_TEST

/* Whoever initialises is the main thread. */
static void *other_main(void *arg)
{
    int called = 0;

    gil_initialize(0);
    *(int **)arg = &called;
    use_runtime();
    gil_finalize();
    return NULL;
}

START_TEST(another_main_thread)
{
    int *where;

    begin_runtime();
    gil_finalize();
    join(start(other_main, &where));
    begin_runtime();
    use_runtime();
    gil_finalize();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("finalize");
    TCase *tc = tcase_create("finalize");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, one_that_waits_at_the_end, 0, 2 * WAYS);
    tcase_add_loop_test(tc, one_that_comes_after_the_end, 0, 2 * WAYS);
    tcase_add_loop_test(tc, one_that_comes_into_the_next_runtime, 0, 2 * WAYS);
    tcase_add_test(tc, under_a_lock_of_its_own);
    tcase_add_test(tc, many_at_once);
    tcase_add_test(tc, one_that_deletes_its_state_after_the_end);
    tcase_add_test(tc, again_and_again);
    tcase_add_test(tc, another_main_thread);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
