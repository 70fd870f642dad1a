/* What an interpreter does between instructions, and how often. See include/gil/eval.h.
 *
 * The count of checkpoints is the thread state's own, so that a checkpoint that does not look
 * around touches nothing that is shared. */
#include "lib/runtime.h"

/* The domain that a setting is for. */
static struct domain *domain_meant(void)
{
    const struct thread_state *ts = current_state();

    return ts ? ts->domain : &shared;
}

static int32_t check_interval(const struct domain *d)
{
    int32_t set = relaxed_load(&d->check_interval);

    return set ? set : GIL_CHECK_INTERVAL_DEFAULT;
}

void gil_set_check_interval(int instructions)
{
    struct domain *d = domain_meant();

    relaxed_store(&d->check_interval, instructions < 1 ? 1 : instructions);
    relaxed_store(&d->by_count, true);
}

int gil_get_check_interval(void)
{
    return check_interval(domain_meant());
}

void gil_set_switch_interval(int64_t interval_ns)
{
    struct domain *d = domain_meant();

    gil_lock_set_interval(&d->lock, interval_ns);
    relaxed_store(&d->by_count, false);
}

int64_t gil_get_switch_interval(void)
{
    return gil_lock_get_interval(&domain_meant()->lock);
}

/* ---- For hosts that cannot call gil_checkpoint() often ---- */

static void pass_on(gil_lock *lock, void *arg)
{
    struct domain *d = arg;

    (void)lock;
    d->asked(d->asked_arg);
}

void gil_on_drop_request(gil_interpreter_state *interp, gil_asked_fn *fn, void *arg)
{
    struct domain *d;

    if (interp)
        need_interpreter("gil_on_drop_request", interp);
    d = interp ? interp->domain : &shared;
    if (fn) {
        d->asked_arg = arg;
        d->asked = fn;
    }
    gil_lock_on_drop_request(&d->lock, fn ? pass_on : NULL, d);
}

/* ---- The look around ---- */

void gil_yield(void)
{
    struct thread_state *ts = current_state();

    if (!ts)
        state_misuse("gil_yield", NULL, "no thread state is current");
    need_lock("gil_yield", ts, ts->domain);
    if (threads_on())
        state_hand_over(ts, false);
}

int gil_checkpoint_look_(gil_thread_state *pub)
{
    struct thread_state *ts = state_of(pub);

    if (!ts)
        state_misuse("gil_checkpoint", NULL, "no thread state is current");
    need_lock("gil_checkpoint", ts, ts->domain);
    if (threads_on())
        state_hand_over(ts, !relaxed_load(&ts->domain->by_count));
    ts->pub.ticker_ = check_interval(ts->domain);
    if (unlikely(relaxed_load(&runtime.asked)) && in_main_thread() && main_asked() != 0)
        return -1;
    if (unlikely(ts->async_exc)) {
        ts->exc.type = ts->async_exc;
        ts->async_exc = NULL;
        return -1;
    }
    return 0;
}
