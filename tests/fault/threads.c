/* A fixed piece of work for the runtime and its threads, for threads.test to make calls fail in:
 * states, threads of each kind, each primitive with waiters, signals, a fork, an end and a second
 * beginning.
 *
 *   threads ERRNO    what is refused with that error is tried again
 *
 * Prints "done" and exits 0 if everybody did its part; "refused" if one thing was refused a hundred
 * times in a row. Of the functions that threads.test lets fail it calls none itself: they are counted
 * by the object that they are called from. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gil.h>

enum { CROWD = 4, ROUNDS = 8, INTERPRETERS = 20, STATES = 70, OUTSIDE = 3 };
enum { REFUSALS_MOST = 100, NS_PER_MS = 1000000 };

static gil_thread_lock lock;
static gil_rlock rlock;
static gil_condition changed;
static gil_semaphore ended;
static gil_barrier barrier;
static gil_queue queue;
static gil_thread_event begun;
static gil_tss *key;
static void *slots[1];
static long done, locked, turn, fired, signals; /* guarded by the interpreter lock, or by `lock` */
static int expected_error;

static void check(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "threads: %s (%s)\n", what, strerror(errno));
    _exit(1);
}

/* A call has failed: it may be tried again if that was on purpose. */
static void refused(int *times, const char *call)
{
    check(errno == expected_error, call);
    if (++*times < REFUSALS_MOST)
        return;
    printf("refused\n");
    fflush(stdout);
    _exit(0);
}

#define until(call)                                                                                \
    for (int refusals_ = 0; !(call);)                                                              \
    refused(&refusals_, #call)

/* The caller has the interpreter lock. */
static void compute(int times)
{
    for (int i = 0; i < times; i++) {
        long before = done;

        for (volatile int j = 0; j < 1000; j++)
            ;
        check(done == before, "two threads have the lock");
        done = before + 1;
        gil_checkpoint();
    }
}

/* ---- What threads do ---- */

static void use_lock(void)
{
    long before;

    check(gil_thread_lock_acquire(&lock, -1) == 0, "the lock was not taken");
    before = locked;
    GIL_BEGIN_ALLOW_THREADS
    usleep(50);
    GIL_END_ALLOW_THREADS
    check(locked == before, "two owners");
    locked = before + 1;
    check(gil_thread_lock_release(&lock) == 0, "the lock was not held");
}

/* Each in turn. */
static void use_condition(long self)
{
    gil_rlock_acquire(&rlock, -1);
    while (turn % CROWD != self)
        if (gil_condition_wait(&changed, 20 * NS_PER_MS) < 0)
            check(errno == ETIMEDOUT, "a wait failed");
    turn++;
    check(gil_condition_notify_all(&changed) == 0, "the condition's lock is not held");
    gil_rlock_release(&rlock);
}

/* As many put as get. */
static void use_queue(long self)
{
    void *item = NULL;

    if (self % 2)
        check(gil_queue_put(&queue, &item, -1) == 0, "nothing was put");
    else
        check(gil_queue_get(&queue, &item, -1) == 0 && item, "nothing was got");
}

static void crowd(void *arg)
{
    long self = (long)arg;

    check(gil_thread_event_wait(&begun, -1) == 0, "the event did not happen");
    until(gil_tss_set(key, arg) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        compute(round % 4 ? 2 : 40);
        use_lock();
        use_condition(self);
        use_queue(self);
        check(gil_barrier_wait(&barrier, -1) >= 0, "the barrier is broken");
    }
    check(gil_tss_get(key) == arg, "a thread's value is lost");
}

static void inside(void *arg)
{
    (void)arg;
    compute(1);
    gil_semaphore_release(&ended, 1);
}

static void outside(void *arg)
{
    gil_state state = gil_ensure();

    inside(arg);
    gil_release(state);
}

static void fire(void *arg)
{
    (void)arg;
    fired++;
}

static int on_signal(int signum, void *arg)
{
    (void)signum;
    (void)arg;
    signals++;
    return 0;
}

/* ---- The main thread ---- */

static void begin(void)
{
    until(gil_initialize(0) == 0);
    gil_init_threads();
    gil_set_switch_interval(300000);
    until(gil_install_fork_handlers() == 0);
}

static void make_states(void)
{
    static gil_interpreter_state *interpreters[INTERPRETERS];
    static gil_thread_state *states[STATES];

    for (int i = 0; i < INTERPRETERS; i++)
        until((interpreters[i] = gil_interpreter_state_new(i % 2 ? GIL_OWN_LOCK : 0)));
    for (int i = 0; i < STATES; i++)
        until((states[i] = gil_thread_state_new(interpreters[i % INTERPRETERS])));
    for (int i = 0; i < STATES; i++)
        gil_thread_state_delete(states[i]);
    for (int i = 0; i < INTERPRETERS; i++)
        gil_interpreter_state_delete(interpreters[i]);
}

static void run_crowd(void)
{
    static const gil_thread_options options = {.name = "crowd", .stack_size = 1 << 18};
    gil_thread *threads[CROWD];

    for (long i = 0; i < CROWD; i++)
        until(gil_thread_start(&threads[i], &options, crowd, (void *)i) != GIL_NO_THREAD);
    gil_thread_event_set(&begun);
    for (int i = 0; i < CROWD; i++)
        check(gil_thread_join(threads[i], -1) == 0, "a thread was not joined");
    check(locked == CROWD * ROUNDS && turn == locked, "something was lost");
    check(gil_queue_size(&queue) == 0, "an item is left");
}

static void run_loose_threads(void)
{
    for (int i = 0; i < OUTSIDE; i++) {
        until(gil_start_new_thread(outside, NULL) != GIL_NO_THREAD);
        until(gil_thread_start(NULL, NULL, inside, NULL) != GIL_NO_THREAD);
    }
    for (int i = 0; i < 2 * OUTSIDE; i++)
        while (gil_semaphore_acquire(&ended, -1) < 0) /* the signal interrupts one wait */
            check(errno == EINTR, "a thread was lost");
}

static void run_timers(void)
{
    gil_timer *one, *other;

    until((one = gil_timer_start(NS_PER_MS, fire, NULL)));
    until((other = gil_timer_start(INT64_MAX, fire, NULL)));
    check(gil_timer_cancel(other) == 0, "a timer has fired too early");
    check(gil_timer_join(other, -1) == 0 && gil_timer_join(one, -1) == 0, "a timer is lost");
    check(fired == 1, "a timer has not fired once");
}

static void use_signal(void)
{
    until(gil_on_signal(SIGUSR1, on_signal, NULL) == 0);
    raise(SIGUSR1);
    check(gil_check_signals() == 0 && signals == 1, "a signal was lost");
    until(gil_on_signal(SIGUSR1, NULL, NULL) == 0);
}

static void fork_a_user(void)
{
    pid_t child = fork();
    int status;

    check(child >= 0, "no child");
    if (child == 0) {
        run_loose_threads();
        _exit(0);
    }
    GIL_BEGIN_ALLOW_THREADS
    check(waitpid(child, &status, 0) == child, "no status");
    GIL_END_ALLOW_THREADS
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        abort(); /* the child has said why */
    check(status == 0, "the child failed");
}

int main(int argc, char **argv)
{
    expected_error = argc > 1 ? atoi(argv[1]) : 0;
    begin();
    gil_condition_init(&changed, &rlock);
    gil_semaphore_init(&ended, 0);
    check(gil_barrier_init(&barrier, CROWD, NULL, NULL) == 0, "no barrier");
    check(gil_queue_init(&queue, slots, 1) == 0, "no queue");
    until((key = gil_tss_alloc()));
    until(gil_tss_create(key) == 0);
    make_states();
    run_crowd();
    run_loose_threads();
    run_timers();
    use_signal();
    fork_a_user();
    gil_finalize();
    begin();
    run_loose_threads();
    gil_finalize();
    gil_tss_free(key);
    puts("done");
    return 0;
}
