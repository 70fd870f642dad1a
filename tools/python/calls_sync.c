/* Semaphores, on which Python's own locks wait, and waiting for signals.
 *
 * A semaphore is tried with sem_trywait, but only with arguments for which the plain call would
 * look at the semaphore at all, and after the check for a cancellation that the plain call begins
 * with. */
#include "tools/python/calls_try.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

/* Takes the semaphore if that is possible at once; otherwise completes the release. */
static bool taken_at_once(sem_t *sem)
{
    int saved_errno = errno;
    int taken = PY_TRY((pthread_testcancel(), REAL(sem_trywait)(sem)));
    if (taken == 0) {
        py_call_done();
        return true;
    }
    py_after_try(saved_errno);
    return false;
}

/* The result of a wait, which another thread of this process has ended. */
static int woken(int result)
{
    if (result == 0)
        py_call_woken();
    return result;
}

static bool valid_time(const struct timespec *time)
{
    return time->tv_nsec >= 0 && time->tv_nsec < 1000000000;
}

PY_WRAPPER int sem_wait(sem_t *sem)
{
    if (py_deferred() && taken_at_once(sem))
        return 0;
    return woken(REAL(sem_wait)(sem));
}

static bool taken_in_time(sem_t *sem, const struct timespec *limit)
{
    if (valid_time(limit))
        return taken_at_once(sem);
    py_call_blocks(false);
    return false;
}

PY_WRAPPER int sem_timedwait(sem_t *sem, const struct timespec *limit)
{
    if (py_deferred() && taken_in_time(sem, limit))
        return 0;
    return woken(REAL(sem_timedwait)(sem, limit));
}

PY_WRAPPER int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *limit)
{
    if (py_deferred()) {
        if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
            py_call_blocks(false);
        else if (taken_in_time(sem, limit))
            return 0;
    }
    return woken(REAL(sem_clockwait)(sem, clock, limit));
}

PY_BLOCKS(int, sigwait, (const sigset_t *set, int *number), (set, number))
PY_BLOCKS(int, sigwaitinfo, (const sigset_t *set, siginfo_t *info), (set, info))
PY_BLOCKS(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout),
          (set, info, timeout))
PY_BLOCKS(int, sigsuspend, (const sigset_t *mask), (mask))
PY_BLOCKS(int, pthread_join, (pthread_t thread, void **result), (thread, result))
