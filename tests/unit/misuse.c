/* Misuse is fatal, and the one line that it prints names the function and both threads.
 *
 * Each case runs in a child whose standard error is a pipe. */
#include "harness.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* What a child tells its parent before it misuses the lock. */
typedef struct people {
    int caller;
    int owner; /* 0: nobody */
} people;

static gil_lock lock;

static struct {
    people who;
    char text[4096];
    int status;
} child;

static void collect(pid_t pid, int who_fd, int err_fd)
{
    size_t used = 0;
    ssize_t n;

    ck_assert_int_eq(read(who_fd, &child.who, sizeof child.who), (ssize_t)sizeof child.who);
    while ((n = read(err_fd, child.text + used, sizeof child.text - 1 - used)) > 0)
        used += (size_t)n;
    child.text[used] = '\0';
    ck_assert_int_eq(waitpid(pid, &child.status, 0), pid);
}

/* Runs fn in a child: it writes who misuses what to the descriptor, and then does. */
static void run_child(void (*fn)(int who_fd))
{
    int who[2], err[2];
    pid_t pid;

    ck_assert_int_eq(pipe(who), 0);
    ck_assert_int_eq(pipe(err), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        dup2(err[1], STDERR_FILENO);
        close(who[0]);
        close(err[0]);
        close(err[1]);
        alarm(10);
        fn(who[1]);
        _exit(77);
    }
    close(who[1]);
    close(err[1]);
    collect(pid, who[0], err[0]);
    close(who[0]);
    close(err[0]);
}

static void tell(int fd, int owner)
{
    people who = {.caller = my_tid(), .owner = owner};

    if (write(fd, &who, sizeof who) != (ssize_t)sizeof who)
        _exit(78);
}

/* Does the text name the number, as a number of its own? */
static bool names(int number)
{
    char digits[16];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%d", number);

    for (const char *at = child.text; (at = strstr(at, digits)); at++) {
        bool starts = at == child.text || at[-1] < '0' || at[-1] > '9';

        if (starts && (at[len] < '0' || at[len] > '9'))
            return true;
    }
    return false;
}

static void check_aborted(const char *function)
{
    char *newline = strchr(child.text, '\n');

    ck_assert_msg(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT,
                  "%s: wait status %#x, standard error \"%s\"", function, child.status, child.text);
    ck_assert_msg(newline && newline[1] == '\0', "not one line: \"%s\"", child.text);
    ck_assert_msg(strstr(child.text, function) != NULL, "%s is not named: \"%s\"", function,
                  child.text);
    ck_assert_msg(names(child.who.caller), "the caller, %d, is not named: \"%s\"", child.who.caller,
                  child.text);
    if (child.who.owner)
        ck_assert_msg(names(child.who.owner), "the owner, %d, is not named: \"%s\"",
                      child.who.owner, child.text);
}

/* ---- by one that does not own the lock ---- */

typedef void call_fn(gil_lock *);

static void defer(gil_lock *l)
{
    gil_lock_release_deferred(l);
}

static const struct {
    const char *name;
    call_fn *call;
} needs_owner[] = {
    {"gil_lock_release", gil_lock_release},
    {"gil_lock_release_deferred", defer},
    {"gil_lock_yield", gil_lock_yield},
};

static call_fn *misused;

static void while_another_owns(int who_fd)
{
    waiter w;

    waiter_start(&w, &lock, -1);
    WAIT_FOR(atomic_load(&w.got) == 1);
    tell(who_fd, w.tid);
    misused(&lock);
}

static void while_nobody_owns(int who_fd)
{
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    tell(who_fd, 0);
    misused(&lock);
}

static void never_used(int who_fd)
{
    tell(who_fd, 0);
    misused(&lock);
}

START_TEST(by_a_thread_that_does_not_own_it)
{
    misused = needs_owner[_i].call;
    run_child(while_another_owns);
    check_aborted(needs_owner[_i].name);
    run_child(while_nobody_owns);
    check_aborted(needs_owner[_i].name);
    run_child(never_used);
    check_aborted(needs_owner[_i].name);
}
END_TEST

/* With waiters queued the owner is the same one. */
static void while_another_owns_and_others_wait(int who_fd)
{
    waiter owner, w[2];

    waiter_start(&owner, &lock, -1);
    WAIT_FOR(atomic_load(&owner.got) == 1);
    for (int i = 0; i < 2; i++)
        waiter_start(&w[i], &lock, -1);
    tell(who_fd, owner.tid);
    misused(&lock);
}

START_TEST(by_a_thread_that_does_not_own_it_while_others_wait)
{
    misused = needs_owner[_i].call;
    run_child(while_another_owns_and_others_wait);
    check_aborted(needs_owner[_i].name);
}
END_TEST

/* ---- by the owner ---- */

static void acquire_for(gil_lock *l)
{
    gil_lock_acquire_for(l, 10 * MS);
}

static const struct {
    const char *name;
    call_fn *call;
} needs_no_owner[] = {
    {"gil_lock_acquire", gil_lock_acquire},
    {"gil_lock_acquire_for", acquire_for},
    {"gil_lock_destroy", gil_lock_destroy},
    {"gil_lock_release_complete", gil_lock_release_complete},
};

static void while_owner(int who_fd)
{
    gil_lock_acquire(&lock);
    tell(who_fd, my_tid());
    misused(&lock);
}

static void while_owner_and_others_wait(int who_fd)
{
    waiter w[2];

    gil_lock_acquire(&lock);
    for (int i = 0; i < 2; i++)
        waiter_start(&w[i], &lock, -1);
    tell(who_fd, my_tid());
    misused(&lock);
}

START_TEST(by_its_owner)
{
    misused = needs_no_owner[_i].call;
    run_child(while_owner);
    check_aborted(needs_no_owner[_i].name);
    run_child(while_owner_and_others_wait);
    check_aborted(needs_no_owner[_i].name);
}
END_TEST

START_TEST(destroy_while_another_owns_it)
{
    misused = gil_lock_destroy;
    run_child(while_another_owns);
    check_aborted("gil_lock_destroy");
    run_child(while_another_owns_and_others_wait);
    check_aborted("gil_lock_destroy");
}
END_TEST

/* ---- what is none ---- */

static void proper_use(int who_fd)
{
    tell(who_fd, 0);
    gil_lock_acquire(&lock);
    gil_lock_yield(&lock);
    gil_lock_release(&lock);
    gil_lock_release_complete(&lock);
    gil_lock_destroy(&lock);
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
    Suite *suite = suite_create("misuse");
    TCase *tc = tcase_create("misuse");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, by_a_thread_that_does_not_own_it, 0, 3);
    tcase_add_loop_test(tc, by_a_thread_that_does_not_own_it_while_others_wait, 0, 3);
    tcase_add_loop_test(tc, by_its_owner, 0, 4);
    tcase_add_test(tc, destroy_while_another_owns_it);
    tcase_add_test(tc, proper_use_prints_nothing);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
