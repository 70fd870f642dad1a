/* Interpreter states and thread states: making, listing, keeping and deleting them, and what
 * interpreters share. */
#include "states.h"

/* ---- before and after ---- */

START_TEST(initialised_or_not)
{
    ck_assert(!gil_is_initialized());
    ck_assert_ptr_null(gil_interpreter_state_main());
    ck_assert_ptr_null(gil_interpreter_state_head());
    ck_assert_ptr_null(gil_thread_state_get_unchecked());
    ck_assert_ptr_null(gil_this_thread_state());
    ck_assert(!gil_check());
    errno = 0;
    ck_assert_int_eq(gil_initialize(8), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert(!gil_is_initialized());

    ck_assert_int_eq(gil_initialize(0), 0);
    ck_assert(gil_is_initialized());
    ck_assert(gil_check());
    ck_assert_ptr_eq(gil_interpreter_state_get(), gil_interpreter_state_main());
    ck_assert_ptr_eq(gil_this_thread_state(), gil_thread_state_get());
    ck_assert_int_eq(gil_initialize(0), 0); /* nothing happens */

    gil_finalize();
    ck_assert(!gil_is_initialized());
    ck_assert_ptr_null(gil_interpreter_state_main());
    ck_assert_ptr_null(gil_thread_state_get_unchecked());
    ck_assert_ptr_null(gil_this_thread_state());
    gil_finalize(); /* nothing happens */
}
END_TEST

/* ---- interpreters ---- */

START_TEST(interpreters_are_listed)
{
    gil_interpreter_state *a, *b, *main_one;

    gil_initialize(0);
    main_one = gil_interpreter_state_main();
    a = gil_interpreter_state_new(0);
    b = gil_interpreter_state_new(GIL_OWN_LOCK);
    ck_assert_ptr_eq(gil_interpreter_state_head(), b);
    ck_assert_ptr_eq(gil_interpreter_state_next(b), a);
    ck_assert_ptr_eq(gil_interpreter_state_next(a), main_one);
    ck_assert_ptr_null(gil_interpreter_state_next(main_one));
    ck_assert_int_eq(gil_interpreter_state_id(main_one), 0);
    ck_assert_int_eq(gil_interpreter_state_id(a), 1);
    ck_assert_int_eq(gil_interpreter_state_id(b), 2);

    gil_interpreter_state_delete(a);
    ck_assert_ptr_eq(gil_interpreter_state_next(b), main_one);
    gil_interpreter_state_delete(b);
    ck_assert_ptr_eq(gil_interpreter_state_head(), main_one);
    ck_assert_int_eq(gil_interpreter_state_id(gil_interpreter_state_new(0)), 3);
    errno = 0;
    ck_assert_ptr_null(gil_interpreter_state_new(8));
    ck_assert_int_eq(errno, EINVAL);
    gil_finalize();
}
END_TEST

START_TEST(interpreters_share_nothing_but_the_lock)
{
    gil_interpreter_state *a, *b;
    int modules_a, modules_b, data;
    gil_thread_state *ts;

    begin_runtime();
    a = gil_interpreter_state_main();
    b = gil_interpreter_state_new(0);
    ts = gil_thread_state_new(b);
    ck_assert_ptr_null(gil_interpreter_state_modules(b));
    gil_interpreter_state_set_modules(a, &modules_a);
    gil_interpreter_state_set_modules(b, &modules_b);
    gil_interpreter_state_set_data(b, &data);
    ck_assert_ptr_eq(gil_interpreter_state_modules(a), &modules_a);
    ck_assert_ptr_eq(gil_interpreter_state_modules(b), &modules_b);
    ck_assert_ptr_null(gil_interpreter_state_data(a));
    ck_assert_ptr_eq(gil_interpreter_state_data(b), &data);

    ts = gil_thread_state_swap(ts);
    gil_thread_state_set_dict(&data);
    gil_exc_info_slot()->value = &data;
    gil_interpreter_state_clear(b);
    ck_assert_ptr_null(gil_interpreter_state_modules(b));
    ck_assert_ptr_null(gil_interpreter_state_data(b));
    ck_assert_ptr_null(gil_thread_state_dict());
    ck_assert_ptr_null(gil_exc_info_slot()->value);
    ck_assert_ptr_eq(gil_interpreter_state_modules(a), &modules_a);
    gil_thread_state_swap(ts);
    gil_interpreter_state_delete(b);
    gil_finalize();
}
END_TEST

START_TEST(a_holder_in_one_stops_a_thread_of_another)
{
    gil_interpreter_state *other;
    worker w;

    begin_runtime();
    other = gil_interpreter_state_new(0);
    worker_start(&w, other);
    ck_assert(anybody_waits(&shared));
    ck_assert(!atomic_load(&w.runs));
    GIL_BEGIN_ALLOW_THREADS
    WAIT_FOR(atomic_load(&w.runs));
    worker_end(&w);
    GIL_END_ALLOW_THREADS
    gil_interpreter_state_delete(other);
    gil_finalize();
}
END_TEST

START_TEST(one_with_its_own_lock_runs_beside)
{
    gil_interpreter_state *other;
    worker w, second;

    begin_runtime();
    other = gil_interpreter_state_new(GIL_OWN_LOCK);
    worker_start(&w, other);
    WAIT_FOR(atomic_load(&w.runs)); /* while the main thread holds the shared lock */
    ck_assert(gil_check());
    worker_start(&second, other);
    ck_assert(anybody_waits(&other->own));
    ck_assert(!atomic_load(&second.runs));
    worker_end(&w);
    worker_end(&second);
    gil_interpreter_state_delete(other);
    gil_finalize();
}
END_TEST

/* The thread that holds it deletes the interpreter, and its lock with it. */
START_TEST(an_interpreter_goes_with_its_own_lock)
{
    gil_thread_state *mine = begin_runtime();

    for (int i = 0; i < 20; i++) {
        gil_interpreter_state *other = gil_interpreter_state_new(GIL_OWN_LOCK);
        gil_thread_state *ts = gil_thread_state_new(other);

        gil_release_thread(mine);
        gil_acquire_thread(ts);
        ck_assert(gil_check());
        gil_interpreter_state_clear(other);
        gil_thread_state_swap(NULL);
        gil_interpreter_state_delete(other);
        gil_acquire_thread(mine);
    }
    ck_assert_ptr_eq(gil_interpreter_state_head(), gil_interpreter_state_main());
    gil_finalize();
}
END_TEST

/* ---- thread states ---- */

START_TEST(thread_states_are_listed)
{
    gil_interpreter_state *interp, *other;
    gil_thread_state *mine, *a, *b, *c;

    gil_initialize(0);
    mine = gil_thread_state_get();
    interp = gil_interpreter_state_main();
    other = gil_interpreter_state_new(0);
    ck_assert_ptr_eq(gil_interpreter_state_thread_head(interp), mine);
    ck_assert_ptr_null(gil_interpreter_state_thread_head(other));
    a = gil_thread_state_new(interp);
    b = gil_thread_state_new(interp);
    c = gil_thread_state_new(other);
    ck_assert_ptr_eq(gil_interpreter_state_thread_head(interp), b);
    ck_assert_ptr_eq(gil_thread_state_next(b), a);
    ck_assert_ptr_eq(gil_thread_state_next(a), mine);
    ck_assert_ptr_null(gil_thread_state_next(mine));
    ck_assert_ptr_eq(gil_interpreter_state_thread_head(other), c);
    ck_assert_ptr_eq(c->interp, other);
    ck_assert_ptr_eq(gil_thread_state_interpreter(c), other);
    ck_assert_uint_lt(gil_thread_state_id(mine), gil_thread_state_id(a));
    ck_assert_uint_lt(gil_thread_state_id(b), gil_thread_state_id(c));
    ck_assert_uint_eq(gil_thread_state_thread(b), (unsigned long)pthread_self());

    gil_thread_state_delete(a);
    ck_assert_ptr_eq(gil_thread_state_next(b), mine);
    gil_thread_state_delete(b);
    ck_assert_ptr_eq(gil_interpreter_state_thread_head(interp), mine);
    gil_interpreter_state_delete(other);
    gil_finalize();
}
END_TEST

START_TEST(swap_keeps_the_lock)
{
    gil_thread_state *mine = begin_runtime(), *other;
    gil_interpreter_state *interp = gil_interpreter_state_new(0);

    other = gil_thread_state_new(interp);
    ck_assert_ptr_eq(gil_thread_state_swap(other), mine);
    ck_assert_ptr_eq(gil_thread_state_get(), other);
    ck_assert_ptr_eq(gil_interpreter_state_get(), interp);
    ck_assert_ptr_eq(gil_thread_state_swap(other), other);
    ck_assert_ptr_eq(gil_thread_state_swap(NULL), other);
    ck_assert_ptr_null(gil_thread_state_get_unchecked());
    ck_assert(gil_lock_held(&shared.lock));
    ck_assert(!gil_check());
    ck_assert_ptr_null(gil_thread_state_swap(mine));
    gil_thread_state_delete(other);
    gil_finalize();
}
END_TEST

START_TEST(what_a_thread_state_keeps)
{
    gil_thread_state *mine = begin_runtime(), *other;
    int dict, exc;

    ck_assert_ptr_null(gil_thread_state_dict());
    gil_thread_state_set_dict(&dict);
    *gil_exc_info_slot() = (gil_exc_info){&exc, &dict, NULL};
    other = gil_thread_state_new(gil_interpreter_state_main());
    gil_thread_state_swap(other);
    ck_assert_ptr_null(gil_thread_state_dict());
    ck_assert_ptr_null(gil_exc_info_slot()->type);
    gil_thread_state_swap(NULL);
    ck_assert_ptr_null(gil_thread_state_dict()); /* no state is current */
    gil_thread_state_swap(mine);
    ck_assert_ptr_eq(gil_thread_state_dict(), &dict);
    ck_assert_ptr_eq(gil_exc_info_slot()->type, &exc);
    gil_thread_state_clear(mine);
    ck_assert_ptr_null(gil_thread_state_dict());
    ck_assert_ptr_null(gil_exc_info_slot()->type);
    gil_finalize();
}
END_TEST

static void *delete_current_main(void *arg)
{
    gil_thread_state *ts = gil_thread_state_new(gil_interpreter_state_main());

    gil_acquire_thread(ts);
    gil_thread_state_clear(ts);
    gil_thread_state_delete_current();
    return gil_thread_state_get_unchecked() || gil_this_thread_state() ? NULL : arg;
}

START_TEST(delete_current_gives_the_lock_up)
{
    gil_thread_state *mine = begin_runtime();
    pthread_t thread;
    void *result;
    int ok;

    GIL_BEGIN_ALLOW_THREADS
    thread = start(delete_current_main, &ok);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    GIL_END_ALLOW_THREADS
    ck_assert_ptr_eq(result, &ok);
    ck_assert_ptr_eq(gil_interpreter_state_thread_head(gil_interpreter_state_main()), mine);
    gil_finalize();
}
END_TEST

/* New and delete need no lock: they work while another thread keeps it. */
START_TEST(new_and_delete_without_the_lock)
{
    gil_interpreter_state *interp, *other;
    worker w;

    gil_thread_state *mine = begin_runtime();
    interp = gil_interpreter_state_main();
    gil_release_thread(mine);
    worker_start(&w, interp);
    WAIT_FOR(atomic_load(&w.runs));
    gil_thread_state_delete(gil_thread_state_new(interp));
    other = gil_interpreter_state_new(0);
    gil_thread_state_new(other);
    gil_interpreter_state_delete(other);
    ck_assert(!atomic_load(&w.ended));
    worker_end(&w);
    gil_acquire_thread(mine);
    gil_finalize();
}
END_TEST

/* ---- an exception for another thread ---- */

typedef struct raised {
    pthread_t thread;
    atomic_bool ready;
    atomic_ulong ident;
    void *type;
    long checkpoints;
} raised;

static void *raised_main(void *arg)
{
    raised *r = arg;
    gil_state state = gil_ensure();

    atomic_store(&r->ident, (unsigned long)pthread_self());
    atomic_store(&r->ready, true);
    while (gil_checkpoint() == 0)
        r->checkpoints++;
    r->type = gil_exc_info_slot()->type;
    gil_release(state);
    return NULL;
}

START_TEST(an_exception_for_another_thread)
{
    int first, second;
    void *replaced = &replaced;
    raised r = {0};

    begin_runtime();
    gil_set_switch_interval(MS);
    GIL_BEGIN_ALLOW_THREADS
    r.thread = start(raised_main, &r);
    WAIT_FOR(atomic_load(&r.ready));
    GIL_END_ALLOW_THREADS
    ck_assert_int_eq(gil_thread_state_set_async_exc(1, &first, NULL), 0);
    ck_assert_int_eq(gil_thread_state_set_async_exc(r.ident, &first, &replaced), 1);
    ck_assert_ptr_null(replaced);
    ck_assert_int_eq(gil_thread_state_set_async_exc(r.ident, NULL, &replaced), 1); /* withdrawn */
    ck_assert_ptr_eq(replaced, &first);
    ck_assert_int_eq(gil_thread_state_set_async_exc(r.ident, &first, &replaced), 1);
    ck_assert_ptr_null(replaced);
    ck_assert_int_eq(gil_thread_state_set_async_exc(r.ident, &second, &replaced), 1);
    ck_assert_ptr_eq(replaced, &first);
    GIL_BEGIN_ALLOW_THREADS
    join(r.thread);
    GIL_END_ALLOW_THREADS
    ck_assert_ptr_eq(r.type, &second);
    ck_assert_int_eq(gil_checkpoint(), 0); /* not this thread's */
    gil_finalize();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state");
    TCase *tc = tcase_create("state");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, initialised_or_not);
    tcase_add_test(tc, interpreters_are_listed);
    tcase_add_test(tc, interpreters_share_nothing_but_the_lock);
    tcase_add_test(tc, a_holder_in_one_stops_a_thread_of_another);
    tcase_add_test(tc, one_with_its_own_lock_runs_beside);
    tcase_add_test(tc, an_interpreter_goes_with_its_own_lock);
    tcase_add_test(tc, thread_states_are_listed);
    tcase_add_test(tc, swap_keeps_the_lock);
    tcase_add_test(tc, what_a_thread_state_keeps);
    tcase_add_test(tc, delete_current_gives_the_lock_up);
    tcase_add_test(tc, new_and_delete_without_the_lock);
    tcase_add_test(tc, an_exception_for_another_thread);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
