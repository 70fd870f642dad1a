/* Threads that were created outside: ensure, release, check. See include/gil/eval.h. */
#include "lib/runtime.h"

#include <errno.h>
#include <string.h>

#include "kernel-helpers/cannot.h"

/* In the runtime with that mark. */
static struct thread_state *make_state(uint32_t mark)
{
    struct thread_state *ts;
    int saved = errno;

    runtime_lock();
    ts = runtime.main ? state_make(runtime.main) : NULL;
    runtime_unlock();
    if (!ts) {
        if (!gil_is_initialized())
            thread_is_late(mark); /* it has been finalised at this very moment */
        cannot("make a thread state for gil_ensure", strerror(errno));
    }
    errno = saved;
    ts->made_by_ensure = true;
    state_adopt(ts);
    return ts;
}

gil_state gil_ensure(void)
{
    struct thread_state *ts = current_state();
    uint32_t mark = relaxed_load(&runtime.mark);

    if (ts) {
        need_lock("gil_ensure", ts, ts->domain);
        ts->ensures++;
        return GIL_STATE_LOCKED;
    }
    ts = own_state();
    if (!ts && !gil_is_initialized())
        state_misuse("gil_ensure", NULL, "the runtime is not initialised");
    if (!threads_on() && !in_main_thread())
        state_misuse("gil_ensure", NULL, "gil_init_threads was not called");
    if (!ts)
        ts = make_state(mark);
    state_resume("gil_ensure", ts);
    ts->ensures++;
    return GIL_STATE_UNLOCKED;
}

void gil_release(gil_state state)
{
    struct thread_state *ts = current_state();

    if (!ts || !ts->ensures)
        state_misuse("gil_release", ts, "there is no gil_ensure to undo");
    need_lock("gil_release", ts, ts->domain);
    ts->ensures--;
    if (state == GIL_STATE_LOCKED) {
        if (!ts->ensures && ts->made_by_ensure)
            state_misuse("gil_release", ts, "the first gil_ensure did not return that");
        return;
    }
    if (!ts->ensures && ts->made_by_ensure)
        gil_thread_state_delete_current();
    else
        state_suspend("gil_release", ts);
}

bool gil_check(void)
{
    struct thread_state *ts = current_state();

    return ts && domain_held(ts->domain);
}

gil_thread_state *gil_this_thread_state(void)
{
    struct thread_state *ts = own_state();

    return ts ? &ts->pub : NULL;
}
