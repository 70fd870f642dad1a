/* What waits and what is held over a fork: in the child, the waiting threads are forgotten, what
 * the forking thread holds is its own, and what another thread held stays held. The parent notices
 * nothing.
 *
 * A child reports through its exit status, and an alarm ends one that hangs. */
#include "callers.h"

#include <sys/wait.h>

/* Ends the child with the line number, since a failed ck_assert belongs to the parent. */
#define IN_CHILD(cond)                                                                             \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "# in the child, line %d: %s\n", __LINE__, #cond);                     \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void in_child(void (*fn)(void))
{
    pid_t pid = fork();
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        alarm(10);
        fn();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's wait status is %#x",
                  status);
}

enum { N = 3 };

static caller cs[N];

static void start_callers(int (*call)(int64_t))
{
    for (int i = 0; i < N; i++)
        caller_start(&cs[i], call, -1);
}

static void end_callers(void)
{
    for (int i = 0; i < N; i++)
        caller_expect(&cs[i], 0);
}

/* ---- locks ---- */

static void child_of_lock(void)
{
    IN_CHILD(gil_thread_lock_locked(&form_lock));
    IN_CHILD(gil_thread_lock_acquire(&form_lock, MS) < 0);
    IN_CHILD(gil_thread_lock_release(&form_lock) == 0);
    IN_CHILD(!gil_thread_lock_locked(&form_lock)); /* not handed to a thread that is not there */
    IN_CHILD(gil_thread_lock_acquire(&form_lock, -1) == 0);
    IN_CHILD(gil_thread_lock_release(&form_lock) == 0);
    IN_CHILD(gil_thread_lock_release(&form_lock) < 0 && errno == EPERM);
}

START_TEST(a_lock_that_is_waited_for)
{
    lock_block();
    start_callers(lock_call);
    in_child(child_of_lock);
    for (int i = 0; i < N; i++)
        lock_satisfy();
    end_callers();
}
END_TEST

static void child_of_rlock(void)
{
    IN_CHILD(gil_rlock_depth(&form_rlock) == 2);
    IN_CHILD(gil_rlock_release(&form_rlock) == 0);
    IN_CHILD(gil_rlock_release(&form_rlock) == 0);
    IN_CHILD(gil_rlock_release(&form_rlock) < 0 && errno == EPERM);
    IN_CHILD(gil_rlock_acquire(&form_rlock, -1) == 0);
}

START_TEST(an_rlock_that_is_waited_for)
{
    rlock_block();
    rlock_block();
    start_callers(rlock_call);
    in_child(child_of_rlock);
    rlock_satisfy();
    rlock_satisfy();
    end_callers();
}
END_TEST

static void child_of_others_lock(void)
{
    IN_CHILD(gil_rlock_acquire(&form_rlock, MS) < 0 && errno == ETIMEDOUT);
    IN_CHILD(gil_rlock_release(&form_rlock) < 0 && errno == EPERM);
    form_rlock = (gil_rlock){{0}}; /* as the header says */
    IN_CHILD(gil_rlock_acquire(&form_rlock, MS) == 0);
}

static atomic_bool let_go;

static void *rlock_holder(void *arg)
{
    ck_assert_int_eq(gil_rlock_acquire(&form_rlock, -1), 0);
    atomic_store((atomic_int *)arg, my_tid());
    WAIT_FOR(atomic_load(&let_go));
    ck_assert_int_eq(gil_rlock_release(&form_rlock), 0);
    return NULL;
}

START_TEST(an_rlock_that_another_thread_holds)
{
    static atomic_int holder_tid;
    pthread_t holder = start(rlock_holder, &holder_tid);

    WAIT_FOR(atomic_load(&holder_tid) != 0);
    in_child(child_of_others_lock);
    atomic_store(&let_go, true);
    join(holder);
}
END_TEST

/* ---- the others ---- */

static void child_of_condition(void)
{
    IN_CHILD(gil_rlock_acquire(&form_rlock, 0) == 0);
    IN_CHILD(gil_condition_notify_all(&form_condition) == 0);
    IN_CHILD(gil_rlock_release(&form_rlock) == 0); /* nobody is there to have it */
    IN_CHILD(gil_rlock_acquire(&form_rlock, 0) == 0);
    IN_CHILD(gil_condition_wait(&form_condition, MS) < 0 && errno == ETIMEDOUT);
}

START_TEST(a_condition)
{
    condition_block();
    start_callers(condition_call);
    in_child(child_of_condition);
    for (int i = 0; i < N; i++)
        condition_satisfy();
    end_callers();
}
END_TEST

static void child_of_semaphore(void)
{
    IN_CHILD(gil_semaphore_release(&form_semaphore, 2) == 0);
    IN_CHILD(gil_semaphore_value(&form_semaphore) == 2);
    IN_CHILD(gil_semaphore_acquire(&form_semaphore, 0) == 0);
}

START_TEST(a_semaphore)
{
    start_callers(semaphore_call);
    in_child(child_of_semaphore);
    for (int i = 0; i < N; i++)
        semaphore_satisfy();
    end_callers();
}
END_TEST

static void child_of_event(void)
{
    IN_CHILD(gil_thread_event_wait(&form_event, MS) < 0 && errno == ETIMEDOUT);
    gil_thread_event_set(&form_event);
    IN_CHILD(gil_thread_event_wait(&form_event, 0) == 0);
}

START_TEST(an_event)
{
    start_callers(event_call);
    in_child(child_of_event);
    event_satisfy();
    end_callers();
}
END_TEST

static void child_of_barrier(void)
{
    IN_CHILD(gil_barrier_waiting(&form_barrier) == 0);
    IN_CHILD(gil_barrier_wait(&form_barrier, 0) < 0 && errno == ETIMEDOUT);
    gil_barrier_reset(&form_barrier);
    IN_CHILD(gil_barrier_waiting(&form_barrier) == 0);
}

START_TEST(a_barrier)
{
    ck_assert_int_eq(gil_barrier_init(&form_barrier, N + 1, NULL, NULL), 0);
    start_callers(barrier_call);
    in_child(child_of_barrier);
    ck_assert_int_eq(gil_barrier_wait(&form_barrier, -1), N);
    end_callers();
}
END_TEST

static void child_of_empty_queue(void)
{
    void *item;

    IN_CHILD(gil_queue_put(&form_queue, &form_lock, 0) == 0);
    IN_CHILD(gil_queue_size(&form_queue) == 1); /* no getter has it */
    IN_CHILD(gil_queue_get(&form_queue, &item, 0) == 0 && item == &form_lock);
}

START_TEST(an_empty_queue)
{
    get_block();
    start_callers(get_call);
    in_child(child_of_empty_queue);
    for (int i = 0; i < N; i++)
        get_satisfy();
    end_callers();
}
END_TEST

static void child_of_full_queue(void)
{
    void *item;

    IN_CHILD(gil_queue_get(&form_queue, &item, 0) == 0 && item == &form_queue);
    IN_CHILD(gil_queue_size(&form_queue) == 0); /* no putter's item follows */
}

START_TEST(a_full_queue)
{
    get_open();
    start_callers(put_call);
    in_child(child_of_full_queue);
    for (int i = 0; i < N; i++)
        put_satisfy();
    end_callers();
}
END_TEST

/* ---- threads and interrupts ---- */

static gil_tss key;

static void child_of_one(void)
{
    IN_CHILD(gil_thread_native_id() == (unsigned long)getpid());
    IN_CHILD(gil_tss_get(&key) == &key);
    for (int i = 0; i < N; i++)
        IN_CHILD(gil_interrupt(atomic_load(&cs[i].ident)) < 0 && errno == ESRCH);
    IN_CHILD(gil_interrupt(gil_thread_ident()) == 0);
    IN_CHILD(errno_of_a_wait() == EINTR);
    IN_CHILD(errno_of_a_wait() == ETIMEDOUT);
}

static void child_that_forks(void)
{
    child_of_one();
    in_child(child_of_one);
}

START_TEST(only_the_forking_thread_is_found)
{
    ck_assert_int_eq(gil_tss_create(&key), 0);
    ck_assert_int_eq(gil_tss_set(&key, &key), 0);
    start_callers(event_call);
    in_child(child_of_one);
    in_child(child_that_forks);
    ck_assert_int_eq(gil_interrupt(atomic_load(&cs[0].ident)), 0);
    caller_expect(&cs[0], EINTR);
    event_satisfy();
    caller_expect(&cs[1], 0);
    caller_expect(&cs[2], 0);
}
END_TEST

/* The guard of an object that another thread was just working on is free in the child. */
static atomic_bool stop;

static void *busy_main(void *arg)
{
    while (!atomic_load(&stop)) {
        gil_semaphore_release(&form_semaphore, 1);
        gil_semaphore_acquire(&form_semaphore, 0);
        gil_thread_event_set(&form_event);
    }
    return arg;
}

static void child_at_any_moment(void)
{
    gil_thread_event_set(&form_event);
    IN_CHILD(gil_thread_event_wait(&form_event, -1) == 0);
    IN_CHILD(gil_semaphore_release(&form_semaphore, 1) == 0);
    IN_CHILD(gil_semaphore_acquire(&form_semaphore, -1) == 0);
}

START_TEST(at_any_moment)
{
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        threads[i] = start(busy_main, NULL);
    for (int i = 0; i < 200; i++)
        in_child(child_at_any_moment);
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        join(threads[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("syncfork");
    TCase *tc = tcase_create("syncfork");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_lock_that_is_waited_for);
    tcase_add_test(tc, an_rlock_that_is_waited_for);
    tcase_add_test(tc, an_rlock_that_another_thread_holds);
    tcase_add_test(tc, a_condition);
    tcase_add_test(tc, a_semaphore);
    tcase_add_test(tc, an_event);
    tcase_add_test(tc, a_barrier);
    tcase_add_test(tc, an_empty_queue);
    tcase_add_test(tc, a_full_queue);
    tcase_add_test(tc, only_the_forking_thread_is_found);
    tcase_add_test(tc, at_any_moment);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
