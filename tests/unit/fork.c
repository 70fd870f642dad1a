/* Fork: in the child the lock belongs to the forking thread if it held it, otherwise it is free;
 * the queue is empty and no deferral is pending. The parent notices nothing.
 *
 * A child reports through its exit status, and an alarm ends one that hangs. */
#include "harness.h"

#include <sys/wait.h>

static gil_lock lock;

/* Ends the child with the line number, since a failed ck_assert belongs to the parent. */
#define IN_CHILD(cond)                                                                             \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "# in the child, line %d: %s\n", __LINE__, #cond);                     \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static long counter;

static void *user_main(void *arg)
{
    for (int i = 0; i < 300; i++) {
        gil_lock_acquire(&lock);
        counter++;
        gil_lock_checkpoint(&lock);
        if (gil_lock_release_deferred(&lock) && i % 2)
            gil_lock_release_complete(&lock);
    }
    gil_lock_release_complete(&lock);
    return arg;
}

/* The lock is free: the child and two new threads can use it in every way. */
static void use_in_child(void)
{
    pthread_t threads[2];

    IN_CHILD(!gil_lock_held(&lock));
    IN_CHILD(gil_lock_try_acquire(&lock) == 0);
    IN_CHILD(gil_lock_held(&lock));
    gil_lock_yield(&lock);
    gil_lock_release(&lock);
    IN_CHILD(gil_lock_acquire_for(&lock, 1000 * MS) == 0);
    IN_CHILD(!gil_lock_release_deferred(&lock));
    gil_lock_release_complete(&lock);
    counter = 0;
    for (int i = 0; i < 2; i++)
        IN_CHILD(pthread_create(&threads[i], NULL, user_main, NULL) == 0);
    for (int i = 0; i < 300; i++) {
        gil_lock_acquire(&lock);
        counter++;
        gil_lock_yield(&lock);
        gil_lock_release(&lock);
    }
    for (int i = 0; i < 2; i++)
        IN_CHILD(pthread_join(threads[i], NULL) == 0);
    IN_CHILD(counter == 900);
    gil_lock_destroy(&lock);
}

static void child_of_owner(void)
{
    IN_CHILD(gil_lock_held(&lock));
    gil_lock_checkpoint(&lock);
    gil_lock_yield(&lock);
    IN_CHILD(gil_lock_held(&lock));
    gil_lock_release(&lock);
    use_in_child();
}

static void child_of_other(void)
{
    gil_lock_release_complete(&lock); /* void if one was pending in the parent */
    use_in_child();
}

static pid_t fork_child(void (*fn)(void))
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        alarm(10);
        fn();
        _exit(0);
    }
    return pid;
}

/* ---- who holds it ---- */

START_TEST(while_nobody_holds_it)
{
    check_child(fork_child(child_of_other));
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    check_child(fork_child(child_of_other));
}
END_TEST

START_TEST(while_holding_it)
{
    gil_lock_acquire(&lock);
    check_child(fork_child(child_of_owner));
    ck_assert(gil_lock_held(&lock));
    gil_lock_release(&lock);
    gil_lock_destroy(&lock);
}
END_TEST

START_TEST(while_holding_it_and_others_wait)
{
    enum { N = 3 };
    waiter w[N];

    gil_lock_set_interval(&lock, 20 * MS);
    gil_lock_acquire(&lock);
    for (int i = 0; i < N; i++)
        visitor_start(&w[i], &lock, -1);
    if (_i)
        WAIT_FOR(gil_lock_drop_requested(&lock));
    check_child(fork_child(child_of_owner));
    ck_assert(gil_lock_held(&lock));
    gil_lock_release(&lock);
    for (int i = 0; i < N; i++)
        waiter_end(&w[i]);
    gil_lock_destroy(&lock);
}
END_TEST

START_TEST(while_another_holds_it)
{
    enum { N = 3 };
    waiter holder, w[N];
    int n = _i ? N : 0;

    waiter_start(&holder, &lock, -1);
    WAIT_FOR(atomic_load(&holder.got) == 1);
    for (int i = 0; i < n; i++)
        visitor_start(&w[i], &lock, -1);
    check_child(fork_child(child_of_other));
    ck_assert_int_eq(gil_lock_try_acquire(&lock), -1);
    waiter_end(&holder);
    for (int i = 0; i < n; i++)
        waiter_end(&w[i]);
    gil_lock_destroy(&lock);
}
END_TEST

/* The forking thread has timed out and its node is still linked in the owner's queue. */
START_TEST(after_giving_up_while_another_holds_it)
{
    waiter holder;

    waiter_start(&holder, &lock, -1);
    WAIT_FOR(atomic_load(&holder.got) == 1);
    ck_assert_int_eq(gil_lock_acquire_for(&lock, 5 * MS), -1);
    check_child(fork_child(child_of_other));
    waiter_end(&holder);
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    gil_lock_destroy(&lock);
}
END_TEST

/* ---- deferrals ---- */

START_TEST(with_a_deferral_of_its_own_pending)
{
    static eager other;

    eager_start(&other, &lock);
    for (int i = 0; i < 20; i++) {
        defer_beside(&other);
        check_child(fork_child(i % 2 ? child_of_other : use_in_child));
        if (i % 3)
            gil_lock_release_complete(&lock);
    }
    gil_lock_release_complete(&lock);
    eager_end(&other);
    gil_lock_destroy(&lock);
}
END_TEST

/* Deferrals of other threads, and every other moment of the protocol. */
static atomic_bool busy_stop;
static atomic_int busy; /* a thread on its way in or out may hold locks of malloc, not of ours */

static void *busy_main(void *arg)
{
    unsigned i = 0;

    atomic_fetch_add(&busy, 1);
    while (!atomic_load(&busy_stop)) {
        gil_lock_acquire(&lock);
        if (++i % 16 == 0)
            gil_lock_yield(&lock);
        if (gil_lock_release_deferred(&lock) && i % 3 == 0)
            gil_lock_release_complete(&lock);
    }
    gil_lock_release_complete(&lock);
    return arg;
}

START_TEST(at_any_moment)
{
    enum { N = 4 };
    pthread_t threads[N];

    gil_lock_set_interval(&lock, MS);
    for (int i = 0; i < N; i++)
        threads[i] = start(busy_main, NULL);
    WAIT_FOR(atomic_load(&busy) == N);
    for (int i = 0; i < 60; i++) {
        if (i % 2) {
            gil_lock_acquire(&lock);
            check_child(fork_child(child_of_owner));
            gil_lock_release(&lock);
        } else {
            check_child(fork_child(child_of_other));
        }
    }
    atomic_store(&busy_stop, true);
    for (int i = 0; i < N; i++)
        join(threads[i]);
    gil_lock_destroy(&lock);
}
END_TEST

/* A thread that nobody disturbs spends much of its time between taking the lock and having written
 * down that it did. */
static void *lone_main(void *arg)
{
    atomic_fetch_add(&busy, 1);
    while (!atomic_load_explicit(&busy_stop, memory_order_relaxed)) {
        gil_lock_acquire(&lock);
        gil_lock_release(&lock);
    }
    return arg;
}

START_TEST(in_the_middle_of_acquire_or_release)
{
    pthread_t thread = start(lone_main, NULL);

    WAIT_FOR(atomic_load(&busy) == 1);
    for (int i = 0; i < 200; i++)
        check_child(fork_child(child_of_other));
    atomic_store(&busy_stop, true);
    join(thread);
    gil_lock_destroy(&lock);
}
END_TEST

/* ---- generations ---- */

static void child_that_forks(void)
{
    pid_t pid;
    int status;

    IN_CHILD(gil_lock_held(&lock));
    pid = fork();
    IN_CHILD(pid >= 0);
    if (pid == 0) {
        alarm(10);
        child_of_owner();
        _exit(0);
    }
    IN_CHILD(waitpid(pid, &status, 0) == pid);
    IN_CHILD(status == 0);
    child_of_owner();
}

START_TEST(a_child_that_forks)
{
    waiter w;

    gil_lock_acquire(&lock);
    visitor_start(&w, &lock, -1);
    check_child(fork_child(child_that_forks));
    gil_lock_release(&lock);
    waiter_end(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fork");
    TCase *tc = tcase_create("fork");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, while_nobody_holds_it);
    tcase_add_test(tc, while_holding_it);
    tcase_add_loop_test(tc, while_holding_it_and_others_wait, 0, 2);
    tcase_add_loop_test(tc, while_another_holds_it, 0, 2);
    tcase_add_test(tc, after_giving_up_while_another_holds_it);
    tcase_add_test(tc, with_a_deferral_of_its_own_pending);
    tcase_add_test(tc, at_any_moment);
    tcase_add_test(tc, in_the_middle_of_acquire_or_release);
    tcase_add_test(tc, a_child_that_forks);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
