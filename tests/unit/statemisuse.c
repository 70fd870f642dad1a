/* Misuse of states is fatal, and the one line that it prints names the function, the thread and the
 * state. Each case runs in a child whose standard error is a pipe. */
#include "states.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* What a child says before it does wrong: who it is, and which states are concerned. */
static struct report {
    int tid;
    uint64_t state, current; /* 0: none */
} * report;

static struct {
    char text[4096];
    int status;
} child;

static void about(const gil_thread_state *ts)
{
    const gil_thread_state *current = gil_thread_state_get_unchecked();

    report->tid = my_tid();
    report->state = ts ? gil_thread_state_id(ts) : 0;
    report->current = current ? gil_thread_state_id(current) : 0;
}

static void run_child(void (*fn)(void))
{
    size_t used = 0;
    ssize_t n;
    int err[2];
    pid_t pid;

    ck_assert_int_eq(pipe(err), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        dup2(err[1], STDERR_FILENO);
        close(err[0]);
        close(err[1]);
        alarm(10);
        fn();
        _exit(77);
    }
    close(err[1]);
    while ((n = read(err[0], child.text + used, sizeof child.text - 1 - used)) > 0)
        used += (size_t)n;
    child.text[used] = '\0';
    close(err[0]);
    ck_assert_int_eq(waitpid(pid, &child.status, 0), pid);
}

static void name_state(char *to, size_t size, uint64_t id)
{
    if (id)
        snprintf(to, size, "%llu", (unsigned long long)id);
    else
        snprintf(to, size, "none");
}

static void check_aborted(const char *function)
{
    char begins[128], ends[128], state[32], current[32];
    char *newline = strchr(child.text, '\n');
    size_t len = strlen(child.text);

    ck_assert_msg(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT,
                  "%s: wait status %#x, standard error \"%s\"", function, child.status, child.text);
    ck_assert_msg(newline && newline[1] == '\0', "not one line: \"%s\"", child.text);
    name_state(state, sizeof state, report->state);
    name_state(current, sizeof current, report->current);
    snprintf(begins, sizeof begins, "libgil: %s: thread %d: ", function, report->tid);
    snprintf(ends, sizeof ends, "; thread state: %s; current thread state: %s\n", state, current);
    ck_assert_msg(strncmp(child.text, begins, strlen(begins)) == 0, "\"%s\" does not begin \"%s\"",
                  child.text, begins);
    ck_assert_msg(len > strlen(ends) && strcmp(child.text + len - strlen(ends), ends) == 0,
                  "\"%s\" does not end \"%s\"", child.text, ends);
}

/* ---- what the children do ---- */

static gil_interpreter_state *interp;
static gil_thread_state *mine, *other;

/* The main thread runs, and has another state. */
static void runs(void)
{
    mine = begin_runtime();
    interp = gil_interpreter_state_main();
    other = gil_thread_state_new(interp);
}

/* It has given the lock up. */
static void gave_up(void)
{
    runs();
    gil_save_thread();
}

static void gave_up_the_lock_only(void)
{
    runs();
    gil_release_lock();
}

static void single(void)
{
    gil_initialize(0);
    interp = gil_interpreter_state_main();
    mine = gil_thread_state_get();
    other = gil_thread_state_new(interp);
}

static void single_gave_up(void)
{
    single();
    gil_save_thread();
}

/* Another thread runs; `other` is its state. */
static void another_runs(void)
{
    static worker w;

    gave_up();
    worker_start(&w, interp);
    WAIT_FOR(atomic_load(&w.runs));
    other = w.ts;
}

/* `other` was deleted. */
static void deleted(void)
{
    runs();
    gil_thread_state_delete(other);
}

static void deleted_and_gave_up(void)
{
    deleted();
    gil_save_thread();
}

static void finalized(void)
{
    runs();
    gil_finalize();
}

static void nothing(void)
{
}

/* What is done then. */
static void save(void)
{
    about(NULL);
    gil_save_thread();
}

static void save_mine(void)
{
    about(mine);
    gil_save_thread();
}

static void restore_null(void)
{
    about(NULL);
    gil_restore_thread(NULL);
}

static void restore_mine(void)
{
    about(mine);
    gil_restore_thread(mine);
}

static void restore_other(void)
{
    about(other);
    gil_restore_thread(other);
}

static void acquire_mine(void)
{
    about(mine);
    gil_acquire_thread(mine);
}

static void acquire_null(void)
{
    about(NULL);
    gil_acquire_thread(NULL);
}

static void release_mine(void)
{
    about(mine);
    gil_release_thread(mine);
}

static void release_other(void)
{
    about(other);
    gil_release_thread(other);
}

static void release_null(void)
{
    about(NULL);
    gil_release_thread(NULL);
}

static void acquire_lock(void)
{
    about(gil_thread_state_get_unchecked());
    gil_acquire_lock();
}

static void release_lock(void)
{
    about(gil_thread_state_get_unchecked());
    gil_release_lock();
}

static void swap_to_other(void)
{
    about(other);
    gil_thread_state_swap(other);
}

static void swap_to_none(void)
{
    about(mine);
    gil_thread_state_swap(NULL);
}

static void swap_to_another_lock(void)
{
    other = gil_thread_state_new(gil_interpreter_state_new(GIL_OWN_LOCK));
    swap_to_other();
}

static void acquire_lock_and_swap_to_none_then_restore(void)
{
    gil_thread_state_swap(NULL);
    about(NULL);
    gil_restore_thread(mine);
}

static void delete_mine(void)
{
    about(mine);
    gil_thread_state_delete(mine);
}

static void delete_other(void)
{
    about(other);
    gil_thread_state_delete(other);
}

static void delete_null(void)
{
    about(NULL);
    gil_thread_state_delete(NULL);
}

static void delete_current(void)
{
    about(gil_thread_state_get_unchecked());
    gil_thread_state_delete_current();
}

static void clear_mine(void)
{
    about(mine);
    gil_thread_state_clear(mine);
}

static void clear_other(void)
{
    about(other);
    gil_thread_state_clear(other);
}

static void next_of_other(void)
{
    about(other);
    gil_thread_state_next(other);
}

static void id_of_null(void)
{
    about(NULL);
    gil_thread_state_id(NULL);
}

static void get(void)
{
    about(NULL);
    gil_thread_state_get();
}

static void get_interpreter(void)
{
    about(NULL);
    gil_interpreter_state_get();
}

static void set_dict(void)
{
    about(NULL);
    gil_thread_state_set_dict(NULL);
}

static void exc_slot(void)
{
    about(NULL);
    gil_exc_info_slot();
}

static void async_exc(void)
{
    about(gil_thread_state_get_unchecked());
    gil_thread_state_set_async_exc(1, NULL, NULL);
}

static void new_of_null(void)
{
    about(NULL);
    report->state = report->current;
    gil_thread_state_new(NULL);
}

static void new_interpreter(void)
{
    about(NULL);
    gil_interpreter_state_new(0);
}

static void clear_interpreter(void)
{
    about(gil_thread_state_get_unchecked());
    gil_interpreter_state_clear(interp);
}

static void modules(void)
{
    about(gil_thread_state_get_unchecked());
    gil_interpreter_state_modules(interp);
}

static void set_modules(void)
{
    about(gil_thread_state_get_unchecked());
    gil_interpreter_state_set_modules(interp, NULL);
}

static void data(void)
{
    about(gil_thread_state_get_unchecked());
    gil_interpreter_state_data(interp);
}

static void set_data(void)
{
    about(gil_thread_state_get_unchecked());
    gil_interpreter_state_set_data(interp, NULL);
}

static void delete_main_interpreter(void)
{
    about(gil_thread_state_get_unchecked());
    gil_interpreter_state_delete(interp);
}

static void delete_interpreter_twice(void)
{
    interp = gil_interpreter_state_new(0);
    gil_interpreter_state_delete(interp);
    about(mine);
    gil_interpreter_state_delete(interp);
}

static void delete_interpreter_in_use(void)
{
    interp = gil_interpreter_state_new(0);
    gil_thread_state_swap(gil_thread_state_new(interp));
    about(gil_thread_state_get());
    gil_interpreter_state_delete(interp);
}

static void ensure(void)
{
    about(NULL);
    gil_ensure();
}

static void ensure_mine(void)
{
    about(mine);
    gil_ensure();
}

static void *ensure_main(void *arg)
{
    ensure();
    return arg;
}

static void ensure_elsewhere(void)
{
    join(start(ensure_main, NULL));
}

static void release(void)
{
    about(gil_thread_state_get_unchecked());
    gil_release(GIL_STATE_UNLOCKED);
}

static void *release_wrongly_main(void *arg)
{
    gil_ensure();
    about(gil_thread_state_get());
    gil_release(GIL_STATE_LOCKED);
    return arg;
}

static void release_wrongly(void)
{
    join(start(release_wrongly_main, NULL));
}

static void checkpoint_none(void)
{
    about(NULL);
    gil_checkpoint();
}

static void checkpoint(void)
{
    about(mine);
    for (int i = 0; i < 101; i++)
        gil_checkpoint();
}

static void pending_calls(void)
{
    about(gil_thread_state_get_unchecked());
    gil_make_pending_calls();
}

static void check_signals(void)
{
    about(gil_thread_state_get_unchecked());
    gil_check_signals();
}

static void before_fork(void)
{
    about(gil_thread_state_get_unchecked());
    gil_before_fork();
}

static void after_fork_parent(void)
{
    about(gil_thread_state_get_unchecked());
    gil_after_fork_parent();
}

static void after_fork_child(void)
{
    about(gil_thread_state_get_unchecked());
    gil_after_fork_child();
}

static void finalize(void)
{
    about(gil_thread_state_get_unchecked());
    gil_finalize();
}

static void *elsewhere_main(void *arg)
{
    gil_thread_state *ts = gil_thread_state_new(interp);

    if (gil_threads_initialized())
        gil_acquire_thread(ts);
    about(gil_thread_state_get_unchecked());
    (*(void (**)(void))arg)();
    return NULL;
}

static void (*to_call)(void);

static void call_elsewhere(void (*fn)(void))
{
    to_call = fn;
    join(start(elsewhere_main, &to_call));
}

static void finalize_elsewhere(void)
{
    call_elsewhere(gil_finalize);
}

static void init_threads_elsewhere(void)
{
    call_elsewhere(gil_init_threads);
}

static void restore_own(void)
{
    gil_thread_state *ts = gil_this_thread_state();

    about(ts);
    gil_restore_thread(ts);
}

static void restore_elsewhere(void)
{
    call_elsewhere(restore_own);
}

static void on_signal(void)
{
    gil_on_signal(SIGUSR1, NULL, NULL);
}

static void on_signal_elsewhere(void)
{
    call_elsewhere(on_signal);
}

static void on_drop_request(void)
{
    interp = gil_interpreter_state_new(0);
    gil_interpreter_state_delete(interp);
    about(mine);
    gil_on_drop_request(interp, NULL, NULL);
}

static const struct {
    const char *function;
    void (*prepare)(void);
    void (*misuse)(void);
} cases[] = {
    /* release without hold */
    {"gil_save_thread", gave_up, save},
    {"gil_save_thread", gave_up_the_lock_only, save_mine},
    {"gil_save_thread", single_gave_up, save},
    {"gil_save_thread", nothing, save},
    {"gil_release_lock", gave_up, release_lock},
    {"gil_release_lock", gave_up_the_lock_only, release_lock},
    {"gil_release_lock", another_runs, release_lock},
    {"gil_release_thread", runs, release_other},
    {"gil_release_thread", runs, release_null},
    {"gil_release_thread", gave_up, release_mine},
    {"gil_release_thread", gave_up_the_lock_only, release_mine},
    {"gil_thread_state_delete_current", gave_up, delete_current},
    {"gil_thread_state_delete_current", gave_up_the_lock_only, delete_current},
    /* taken twice */
    {"gil_acquire_lock", runs, acquire_lock},
    {"gil_acquire_thread", runs, acquire_mine},
    {"gil_restore_thread", runs, restore_other},
    {"gil_restore_thread", single, restore_mine},
    {"gil_restore_thread", runs, acquire_lock_and_swap_to_none_then_restore},
    /* NULL, foreign, deleted */
    {"gil_restore_thread", gave_up, restore_null},
    {"gil_restore_thread", another_runs, restore_other},
    {"gil_restore_thread", deleted_and_gave_up, restore_other},
    {"gil_restore_thread", finalized, restore_mine},
    {"gil_restore_thread", finalized, restore_other},
    {"gil_acquire_thread", gave_up, acquire_null},
    {"gil_thread_state_swap", deleted, swap_to_other},
    {"gil_thread_state_swap", another_runs, swap_to_other},
    {"gil_thread_state_swap", runs, swap_to_another_lock},
    {"gil_thread_state_delete", deleted, delete_other},
    {"gil_thread_state_delete", runs, delete_null},
    {"gil_thread_state_clear", deleted, clear_other},
    {"gil_thread_state_next", deleted, next_of_other},
    {"gil_thread_state_id", runs, id_of_null},
    {"gil_thread_state_new", runs, new_of_null},
    {"gil_interpreter_state_delete", runs, delete_interpreter_twice},
    {"gil_on_drop_request", runs, on_drop_request},
    /* deleted while in use */
    {"gil_thread_state_delete", runs, delete_mine},
    {"gil_thread_state_delete", another_runs, delete_other},
    {"gil_interpreter_state_delete", runs, delete_interpreter_in_use},
    {"gil_interpreter_state_delete", gave_up, delete_main_interpreter},
    /* ensure */
    {"gil_ensure", nothing, ensure},
    {"gil_ensure", finalized, ensure},
    {"gil_ensure", gave_up_the_lock_only, ensure_mine},
    {"gil_ensure", single, ensure_elsewhere},
    {"gil_release", runs, release},
    {"gil_release", gave_up, release},
    {"gil_release", nothing, release},
    {"gil_release", gave_up, release_wrongly},
    /* no threads yet */
    {"gil_acquire_lock", single, acquire_lock},
    {"gil_release_lock", single, release_lock},
    {"gil_acquire_thread", single_gave_up, acquire_mine},
    {"gil_release_thread", single, release_mine},
    {"gil_restore_thread", single, restore_elsewhere},
    /* the lock is needed */
    {"gil_thread_state_swap", gave_up_the_lock_only, swap_to_none},
    {"gil_thread_state_swap", gave_up, swap_to_other},
    {"gil_thread_state_swap", single_gave_up, swap_to_other},
    {"gil_thread_state_clear", gave_up, clear_mine},
    {"gil_thread_state_clear", single_gave_up, clear_mine},
    {"gil_thread_state_set_async_exc", gave_up_the_lock_only, async_exc},
    {"gil_interpreter_state_clear", gave_up, clear_interpreter},
    {"gil_interpreter_state_modules", gave_up, modules},
    {"gil_interpreter_state_set_modules", gave_up, set_modules},
    {"gil_interpreter_state_data", gave_up, data},
    {"gil_interpreter_state_set_data", gave_up, set_data},
    {"gil_checkpoint", gave_up_the_lock_only, checkpoint},
    {"gil_make_pending_calls", gave_up_the_lock_only, pending_calls},
    {"gil_check_signals", gave_up_the_lock_only, check_signals},
    {"gil_before_fork", gave_up, before_fork},
    {"gil_before_fork", gave_up_the_lock_only, before_fork},
    {"gil_after_fork_parent", runs, after_fork_parent},
    {"gil_after_fork_child", runs, after_fork_child},
    {"gil_finalize", gave_up, finalize},
    {"gil_finalize", gave_up_the_lock_only, finalize},
    /* a state is needed */
    {"gil_checkpoint", gave_up, checkpoint_none},
    {"gil_make_pending_calls", gave_up, pending_calls},
    {"gil_check_signals", gave_up, check_signals},
    {"gil_thread_state_get", gave_up, get},
    {"gil_thread_state_set_dict", gave_up, set_dict},
    {"gil_thread_state_set_async_exc", gave_up, async_exc},
    {"gil_exc_info_slot", gave_up, exc_slot},
    {"gil_interpreter_state_get", gave_up, get_interpreter},
    {"gil_interpreter_state_new", nothing, new_interpreter},
    /* the main thread's */
    {"gil_finalize", gave_up, finalize_elsewhere},
    {"gil_init_threads", single, init_threads_elsewhere},
    {"gil_on_signal", gave_up, on_signal_elsewhere},
};

enum { CASES = sizeof cases / sizeof cases[0] };

static int chosen;

static void run_case(void)
{
    cases[chosen].prepare();
    cases[chosen].misuse();
}

START_TEST(is_fatal)
{
    chosen = _i;
    run_child(run_case);
    check_aborted(cases[_i].function);
}
END_TEST

/* A state that was deleted is known for long, whatever was made since. */
static void many_states(void)
{
    uint64_t id;

    runs();
    id = gil_thread_state_id(other);
    gil_thread_state_delete(other);
    for (int i = 0; i < 50; i++)
        gil_thread_state_delete(gil_thread_state_new(interp));
    about(other);
    report->state = id;
    gil_thread_state_swap(other);
}

START_TEST(a_deleted_state_is_known_for_long)
{
    run_child(many_states);
    check_aborted("gil_thread_state_swap");
}
END_TEST

static void proper_use(void)
{
    runs();
    gil_release_lock();
    gil_acquire_lock();
    gil_thread_state_swap(other);
    gil_thread_state_delete(mine);
    gil_restore_thread(gil_save_thread());
    gil_release(gil_ensure());
    gil_before_fork();
    gil_after_fork_parent();
    gil_finalize();
}

START_TEST(proper_use_prints_nothing)
{
    run_child(proper_use);
    ck_assert(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 77);
    ck_assert_str_eq(child.text, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statemisuse");
    TCase *tc = tcase_create("statemisuse");

    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return 1;
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, is_fatal, 0, CASES);
    tcase_add_test(tc, a_deleted_state_is_known_for_long);
    tcase_add_test(tc, proper_use_prints_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
