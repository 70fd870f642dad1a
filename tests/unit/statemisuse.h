/* For the misuse of states: a child that does wrong, what it says of itself before, and what it
 * must have printed; and what may have happened before. */
#ifndef TESTS_UNIT_STATEMISUSE_H
#define TESTS_UNIT_STATEMISUSE_H

#include "states.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* What a child says before it does wrong: who it is, and which states are concerned. */
struct report {
    int tid;
    uint64_t state, current; /* 0: none */
};

static struct report *report; /* shared with the child */

static struct {
    char text[4096];
    int status;
} child;

HARNESS void about(const gil_thread_state *ts)
{
    const gil_thread_state *current = gil_thread_state_get_unchecked();

    report->tid = my_tid();
    report->state = ts ? gil_thread_state_id(ts) : 0;
    report->current = current ? gil_thread_state_id(current) : 0;
}

HARNESS void run_child(void (*fn)(void))
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

HARNESS void name_state(char *to, size_t size, uint64_t id)
{
    if (id)
        snprintf(to, size, "%llu", (unsigned long long)id);
    else
        snprintf(to, size, "none");
}

HARNESS void check_aborted(const char *function)
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

/* ---- what has happened before ---- */

HARNESS gil_interpreter_state *interp;
HARNESS gil_thread_state *mine, *other;

/* The main thread runs, and has another state. */
HARNESS void runs(void)
{
    mine = begin_runtime();
    interp = gil_interpreter_state_main();
    other = gil_thread_state_new(interp);
}

/* It has given the lock up. */
HARNESS void gave_up(void)
{
    runs();
    gil_save_thread();
}

HARNESS void gave_up_the_lock_only(void)
{
    runs();
    gil_release_lock();
}

HARNESS void single(void)
{
    gil_initialize(0);
    interp = gil_interpreter_state_main();
    mine = gil_thread_state_get();
    other = gil_thread_state_new(interp);
}

HARNESS void single_gave_up(void)
{
    single();
    gil_save_thread();
}

/* Another thread runs; `other` is its state. */
HARNESS void another_runs(void)
{
    static worker w;

    gave_up();
    worker_start(&w, interp);
    WAIT_FOR(atomic_load(&w.runs));
    other = w.ts;
}

/* `other` was deleted. */
HARNESS void deleted(void)
{
    runs();
    gil_thread_state_delete(other);
}

HARNESS void deleted_and_gave_up(void)
{
    deleted();
    gil_save_thread();
}

HARNESS void finalized(void)
{
    runs();
    gil_finalize();
}

HARNESS void nothing(void)
{
}

#endif
