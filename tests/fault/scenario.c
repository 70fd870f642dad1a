/* A fixed piece of work for the lock, for lock.test to make calls fail in: queues that form and
 * dissolve, every way to acquire and release, more nodes than one allocation holds, a fork.
 *
 * Prints "done" and exits 0 if the lock did its part: one owner at a time, everybody served. What
 * the owner alone may touch is not atomic. Of the functions that lock.test lets fail, it calls none
 * itself: they are counted by the object that they are called from. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gil.h>

enum { CROWD = 4, ROUNDS = 24, QUEUED = 3, LOCKS = 300 };

static gil_lock lock = GIL_LOCK_INIT;
static gil_lock locks[LOCKS];
static long inside; /* the owner's */
static atomic_long done;
static atomic_int at_work;

static void check(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "scenario: %s\n", what);
    _exit(1);
}

/* Well below, and well above, the interval. */
static void compute(int times)
{
    for (int i = 0; i < times; i++) {
        long before = inside++;

        for (volatile int j = 0; j < 1000; j++)
            ;
        check(inside == before + 1, "two owners");
        atomic_fetch_add(&done, 1);
        gil_lock_checkpoint(&lock);
    }
}

static pthread_t start(void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    check(pthread_create(&thread, NULL, fn, arg) == 0, "no thread");
    return thread;
}

static void run_all(int count, void *(*fn)(void *))
{
    pthread_t threads[CROWD];

    for (long i = 0; i < count; i++)
        threads[i] = start(fn, (void *)i);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void defer(bool complete)
{
    gil_lock_acquire(&lock);
    compute(1);
    gil_lock_release_deferred(&lock);
    if (complete)
        gil_lock_release_complete(&lock);
    gil_lock_acquire(&lock);
    compute(1);
    gil_lock_release(&lock);
}

static void *all_ways(void *arg)
{
    long self = (long)arg;

    for (long round = 0; round < ROUNDS; round++) {
        switch ((self + round) % 7) {
        case 0:
        case 1:
            gil_lock_acquire(&lock);
            compute(round % 3 ? 2 : 60);
            gil_lock_release(&lock);
            break;
        case 2:
            if (gil_lock_acquire_for(&lock, 100000) == 0) {
                compute(1);
                gil_lock_release(&lock);
            }
            break;
        case 3:
            if (gil_lock_try_acquire(&lock) == 0) {
                compute(1);
                gil_lock_release(&lock);
            }
            break;
        case 4:
            gil_lock_acquire(&lock);
            gil_lock_yield(&lock);
            compute(1);
            gil_lock_release(&lock);
            break;
        default:
            defer(round & 1);
        }
    }
    return NULL;
}

/* Waits without a deadline, mostly asleep behind others. */
static void *queue_up(void *arg)
{
    (void)arg;
    atomic_fetch_add(&at_work, 1);
    gil_lock_acquire(&lock);
    compute(1);
    gil_lock_release(&lock);
    return NULL;
}

/* Ends while it is still linked in the queue. */
static void *give_up(void *arg)
{
    (void)arg;
    check(gil_lock_acquire_for(&lock, 100000) != 0, "two owners");
    return NULL;
}

/* Calls fn while the caller has the lock and others wait for it. */
static void beside_waiters(void (*fn)(void))
{
    pthread_t threads[QUEUED];

    atomic_store(&at_work, 0);
    gil_lock_acquire(&lock);
    for (int i = 0; i < QUEUED; i++)
        threads[i] = start(queue_up, NULL);
    while (atomic_load(&at_work) < QUEUED)
        usleep(50);
    usleep(1000);
    fn();
    gil_lock_release(&lock);
    for (int i = 0; i < QUEUED; i++)
        pthread_join(threads[i], NULL);
}

static void nothing(void)
{
}

static void yield(void)
{
    gil_lock_yield(&lock);
}

static void fork_a_user(void)
{
    pid_t child = fork();
    int status;

    check(child >= 0, "no child");
    if (child == 0) {
        compute(1);
        gil_lock_release(&lock);
        run_all(2, queue_up);
        _exit(0);
    }
    check(waitpid(child, &status, 0) == child, "no status");
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        abort(); /* the child has said why */
    check(status == 0, "the child failed");
}

int main(void)
{
    gil_lock_set_interval(&lock, 300000);
    for (int i = 0; i < LOCKS; i++)
        gil_lock_acquire(&locks[i]);
    for (int i = 0; i < LOCKS; i++)
        gil_lock_release(&locks[i]);
    run_all(CROWD, all_ways);
    beside_waiters(nothing);
    beside_waiters(yield);
    beside_waiters(fork_a_user);
    gil_lock_acquire(&lock);
    run_all(QUEUED, give_up);
    gil_lock_release(&lock);
    gil_lock_acquire(&lock);
    check(inside == atomic_load(&done), "something was lost");
    gil_lock_release(&lock);
    check(gil_lock_stats(&lock, NULL, 0) == 2, "a thread has ended, and the lock does not know");
    puts("done");
    return 0;
}
