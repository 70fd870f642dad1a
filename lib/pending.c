/* What is asked of the main thread: pending calls, and functions for signals. See
 * include/gil/eval.h.
 *
 * Invariant: whoever puts something there sets its bit in runtime.asked afterwards; the main thread
 * clears the bit first and looks then, and sets it again if it leaves something behind. A signal
 * handler uses atomic operations only, and wakes the main thread. */
#define _GNU_SOURCE
#include "lib/runtime.h"

#include <errno.h>
#include <signal.h>

#include "kernel-helpers/interrupt.h"

static struct call {
    int (*fn)(void *arg);
    void *arg;
} calls[GIL_PENDING_CALLS_MAX]; /* a ring, guarded by the mutex */

static unsigned first_call, calls_waiting;

static struct {
    gil_signal_fn *fn; /* NULL: not ours */
    void *arg;
    bool arrived;
    struct sigaction before;
} signals[NSIG];

static void ask(uint32_t what)
{
    __atomic_fetch_or(&runtime.asked, what, __ATOMIC_SEQ_CST);
}

static bool was_asked(uint32_t what)
{
    return __atomic_fetch_and(&runtime.asked, ~what, __ATOMIC_SEQ_CST) & what;
}

/* ---- Pending calls ---- */

int gil_add_pending_call(int (*fn)(void *arg), void *arg)
{
    bool full;

    runtime_lock();
    full = calls_waiting == GIL_PENDING_CALLS_MAX;
    if (!full)
        calls[(first_call + calls_waiting++) % GIL_PENDING_CALLS_MAX] = (struct call){fn, arg};
    runtime_unlock();
    if (full) {
        errno = EAGAIN;
        return -1;
    }
    ask(ASKED_CALLS);
    return 0;
}

static bool next_call(struct call *call)
{
    bool any;

    runtime_lock();
    any = calls_waiting > 0;
    if (any) {
        *call = calls[first_call];
        first_call = (first_call + 1) % GIL_PENDING_CALLS_MAX;
        calls_waiting--;
    }
    runtime_unlock();
    return any;
}

static unsigned count_calls(void)
{
    unsigned n;

    runtime_lock();
    n = calls_waiting;
    runtime_unlock();
    return n;
}

/* One that puts itself back is called again at the next look, not now. One may fork. */
static int run_calls(void)
{
    static bool running;
    struct call call;
    int result = 0;

    if (running || !was_asked(ASKED_CALLS))
        return 0;
    running = true;
    for (unsigned n = count_calls(); n > 0 && result == 0 && next_call(&call); n--)
        result = call.fn(call.arg);
    running = false;
    if (count_calls())
        ask(ASKED_CALLS);
    return result ? -1 : 0;
}

int gil_make_pending_calls(void)
{
    need_to_run("gil_make_pending_calls");
    return in_main_thread() ? run_calls() : 0;
}

/* ---- Signals ---- */

static void note(int signum)
{
    __atomic_store_n(&signals[signum].arrived, true, __ATOMIC_SEQ_CST);
    ask(ASKED_SIGNALS);
    parker_tell(relaxed_load(&runtime.main_parker), PARK_SIGNALLED);
}

static void handler(int signum)
{
    int saved = errno;

    note(signum);
    errno = saved;
}

int gil_set_signal(int signum)
{
    if (signum < 1 || signum >= NSIG || !relaxed_load(&signals[signum].fn)) {
        errno = EINVAL;
        return -1;
    }
    note(signum);
    return 0;
}

static void give_back(int signum)
{
    sigaction(signum, &signals[signum].before, NULL);
    relaxed_store(&signals[signum].fn, NULL);
    relaxed_store(&signals[signum].arrived, false);
}

int gil_on_signal(int signum, gil_signal_fn *fn, void *arg)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    gil_signal_fn *before;

    if (!in_main_thread())
        state_misuse("gil_on_signal", current_state(), "only the main thread may call it");
    if (signum < 1 || signum >= NSIG || signum == INTERRUPT_SIGNAL) {
        errno = EINVAL;
        return -1;
    }
    if (!fn) {
        if (signals[signum].fn)
            give_back(signum);
        return 0;
    }
    sigfillset(&action.sa_mask);
    before = signals[signum].fn;
    signals[signum].arg = arg;
    relaxed_store(&signals[signum].fn, fn); /* first: a signal may arrive at once */
    if (before || sigaction(signum, &action, &signals[signum].before) == 0)
        return 0;
    relaxed_store(&signals[signum].fn, NULL);
    return -1;
}

static int run_signals(void)
{
    if (!was_asked(ASKED_SIGNALS))
        return 0;
    for (int signum = 1; signum < NSIG; signum++) {
        gil_signal_fn *fn = signals[signum].fn;

        if (!__atomic_exchange_n(&signals[signum].arrived, false, __ATOMIC_SEQ_CST) || !fn)
            continue;
        if (fn(signum, signals[signum].arg) != 0) {
            ask(ASKED_SIGNALS); /* there may be others */
            return -1;
        }
    }
    return 0;
}

int gil_check_signals(void)
{
    need_to_run("gil_check_signals");
    return in_main_thread() ? run_signals() : 0;
}

/* ---- Both ---- */

int main_asked(void)
{
    return run_signals() == 0 && run_calls() == 0 ? 0 : -1;
}

void pending_forget(void)
{
    calls_waiting = 0;
    for (int signum = 1; signum < NSIG; signum++)
        relaxed_store(&signals[signum].arrived, false);
    relaxed_store(&runtime.asked, 0);
}

void pending_end(void)
{
    run_calls();
    for (int signum = 1; signum < NSIG; signum++)
        if (signals[signum].fn)
            give_back(signum);
    runtime_lock();
    pending_forget();
    runtime_unlock();
}
