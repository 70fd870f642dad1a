/* gil/eval.h alone, as C and as C++: the lock, checkpoints, and what is asked of a thread. */
#include <gil/eval.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int told;

static int call(void *arg)
{
    *(int *)arg += 1;
    return 0;
}

static int arrived(int signum, void *arg)
{
    (void)signum;
    return call(arg);
}

static void happened(gil_event event, gil_thread_state *ts, void *arg)
{
    (void)event;
    (void)ts;
    call(arg);
}

static void asked(void *arg)
{
    call(arg);
}

static int take_and_give_up(void)
{
    gil_thread_state *ts = gil_thread_state_get();
    gil_state state;
    int failed = 0;

    GIL_BEGIN_ALLOW_THREADS
    failed |= gil_check();
    GIL_BLOCK_THREADS
    failed |= !gil_check();
    GIL_UNBLOCK_THREADS
    state = gil_ensure();
    failed |= state != GIL_STATE_UNLOCKED;
    gil_release(state);
    GIL_END_ALLOW_THREADS
    gil_restore_thread(gil_save_thread());
    gil_release_thread(ts);
    gil_acquire_thread(ts);
    gil_release_lock();
    gil_acquire_lock();
    return failed || gil_this_thread_state() != ts;
}

static int be_asked(void)
{
    int failed = 0, calls = 0;

    gil_set_check_interval(1);
    failed |= gil_get_check_interval() != 1;
    failed |= gil_add_pending_call(call, &calls);
    failed |= gil_checkpoint();
    gil_yield();
    failed |= gil_add_pending_call(call, &calls);
    failed |= gil_make_pending_calls();
    failed |= gil_on_signal(SIGUSR1, arrived, &calls);
    failed |= gil_set_signal(SIGUSR1);
    failed |= gil_check_signals();
    failed |= gil_interrupt(gil_thread_state_thread(gil_thread_state_get()));
    gil_set_switch_interval(GIL_INTERVAL_DEFAULT_NS);
    failed |= gil_get_switch_interval() != GIL_INTERVAL_DEFAULT_NS;
    return failed || calls != 3;
}

static int fork_once(void)
{
    int status = 1;
    pid_t pid;

    gil_before_fork();
    pid = fork();
    if (pid == 0) {
        gil_after_fork_child();
        _exit(!gil_check());
    }
    gil_after_fork_parent();
    return waitpid(pid, &status, 0) != pid || status != 0;
}

int main(void)
{
    int failed, hook;

    gil_init_threads();
    failed = gil_initialize(0);
    failed |= !gil_threads_initialized();
    hook = gil_add_hook(GIL_THREAD_READY | GIL_THREAD_RESUMED, happened, &told);
    gil_on_drop_request(NULL, asked, &told);
    failed |= take_and_give_up();
    failed |= be_asked();
    failed |= told < 2;
    failed |= gil_remove_hook(hook);
    failed |= fork_once();
    failed |= gil_install_fork_handlers();
    gil_finalize();
    return failed;
}
