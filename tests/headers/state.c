/* gil/state.h alone, as C and as C++: states without a lock. */
#include <gil/state.h>

static int keep(gil_interpreter_state *interp)
{
    gil_exc_info *exc;
    int thing, failed;

    gil_interpreter_state_set_modules(interp, &thing);
    gil_interpreter_state_set_data(interp, &thing);
    gil_thread_state_set_dict(&thing);
    exc = gil_exc_info_slot();
    exc->type = &thing;
    failed = gil_interpreter_state_modules(interp) != &thing ||
             gil_interpreter_state_data(interp) != &thing || gil_thread_state_dict() != &thing;
    failed |= gil_thread_state_set_async_exc(gil_thread_state_thread(gil_thread_state_get()), NULL,
                                             NULL) != 1;
    gil_interpreter_state_clear(interp);
    return failed;
}

int main(void)
{
    gil_interpreter_state *interp;
    gil_thread_state *mine, *ts;
    int failed;

    failed = gil_initialize(GIL_LATE_THREADS_EXIT);
    mine = gil_thread_state_get();
    interp = gil_interpreter_state_new(GIL_OWN_LOCK);
    gil_interpreter_state_delete(interp);
    interp = gil_interpreter_state_new(0);
    ts = gil_thread_state_new(interp);
    failed |= gil_interpreter_state_head() != interp || gil_interpreter_state_id(interp) != 2;
    failed |= !gil_interpreter_state_lock(interp);
    failed |= gil_interpreter_state_next(interp) != gil_interpreter_state_main();
    failed |= gil_interpreter_state_thread_head(interp) != ts || gil_thread_state_next(ts) != NULL;
    failed |= ts->interp != interp || gil_thread_state_interpreter(ts) != interp;
    failed |= gil_thread_state_id(ts) <= gil_thread_state_id(mine);
    failed |= gil_thread_state_swap(ts) != mine;
    failed |= gil_interpreter_state_get() != interp;
    failed |= keep(interp);
    gil_thread_state_clear(ts);
    gil_thread_state_swap(mine);
    gil_thread_state_delete(ts);
    ts = gil_thread_state_new(interp);
    gil_thread_state_swap(ts);
    gil_thread_state_swap(mine);
    gil_interpreter_state_delete(interp);
    failed |= gil_thread_state_get_unchecked() != mine || !gil_is_initialized();
    gil_finalize();
    failed |= gil_initialize(0);
    gil_thread_state_delete_current();
    return failed || gil_thread_state_get_unchecked() != NULL;
}
