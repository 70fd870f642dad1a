/* Waiting for files, for a time, for child processes, and in a function of the host's. See
 * include/gil/io.h.
 *
 * All of it is system calls. They have the same that a ring has, a deadline and an end from outside,
 * and there is nothing for a ring to do meanwhile. */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include <errno.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* ---- Files ---- */

int gil_poll_for(struct pollfd *fds, nfds_t count, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run("gil_poll");
    struct timespec left = {0, 0};
    struct io_call c = {
        .function = "gil_poll",
        .ts = ts,
        .user = {.fd = -1, .fds = fds, .count = count},
        .number = SYS_ppoll,
        .args = {(long)fds, (long)count, (long)(timeout_ns < 0 ? NULL : &left), 0, 0},
        .time_left = &left,
    };
    long ready = IO_NOW(SYS_ppoll, (long)fds, (long)count, (long)&left, 0, 0);

    if (ready != 0 || timeout_ns == 0)
        return (int)io_end(ts, ready);
    return (int)io_wait(&c, timeout_ns);
}

int gil_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return gil_poll_for(fds, count, timeout_ms < 0 ? -1 : timeout_ms * NS_PER_MS);
}

/* ---- Time ---- */

int gil_sleep_until(int64_t deadline_ns)
{
    struct thread_state *ts = need_to_run("gil_sleep");
    struct timespec until = {deadline_ns / NS_PER_S, deadline_ns % NS_PER_S};
    struct io_call c = {
        .function = "gil_sleep",
        .ts = ts,
        .user.fd = -1,
        .number = SYS_clock_nanosleep,
        .args = {CLOCK_MONOTONIC, TIMER_ABSTIME, (long)&until, 0},
    };

    if (deadline_ns > clock_now_ns())
        return (int)io_wait(&c, -1);
    if (threads_on())
        state_hand_over(ts, false);
    return 0;
}

int gil_sleep(int64_t duration_ns)
{
    int64_t until = duration_ns > 0 ? futex_deadline(duration_ns) : 0;

    return gil_sleep_until(until == FUTEX_FOREVER ? INT64_MAX : until);
}

/* ---- Child processes ---- */

/* WNOHANG ends at once, and touches nothing then. */

pid_t gil_waitpid_for(pid_t pid, int *status, int options, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run("gil_waitpid");
    struct io_call c = {
        .function = "gil_waitpid",
        .ts = ts,
        .user.fd = -1,
        .number = SYS_wait4,
        .args = {pid, (long)status, options, 0},
        .tried = true,
    };
    long ended = IO_NOW(SYS_wait4, pid, (long)status, options | WNOHANG, 0);

    if (ended != 0 || options & WNOHANG)
        return (pid_t)io_end(ts, ended);
    return (pid_t)io_wait(&c, timeout_ns);
}

pid_t gil_waitpid(pid_t pid, int *status, int options)
{
    return gil_waitpid_for(pid, status, options, -1);
}

/* "None yet" is 0, too, with a process id of 0. What is written then is written again. */
int gil_waitid_for(int type, unsigned id, void *info, int options, int64_t timeout_ns)
{
    struct thread_state *ts = need_to_run("gil_waitid");
    siginfo_t unwanted, *found = info ? info : &unwanted;
    struct io_call c = {
        .function = "gil_waitid",
        .ts = ts,
        .user.fd = -1,
        .number = SYS_waitid,
        .args = {type, id, (long)info, options, 0},
        .tried = true,
    };
    long result = IO_NOW(SYS_waitid, type, id, (long)found, options | WNOHANG, 0);

    if (result != 0 || options & WNOHANG || found->si_pid != 0)
        return (int)io_end(ts, result);
    return (int)io_wait(&c, timeout_ns);
}

int gil_waitid(int type, unsigned id, void *info, int options)
{
    return gil_waitid_for(type, id, info, options, -1);
}

/* ---- Anything else ---- */

long gil_without(long (*fn)(void *arg), void *arg, void (*unblock)(void *arg), void *unblock_arg)
{
    struct thread_state *ts = need_to_run("gil_without");
    const struct unblock u = {unblock, unblock_arg};
    struct parker *p = parker_self();
    long result;
    int error;

    state_suspend("gil_without", ts);
    if (unblock)
        parker_leave(p, &u);
    result = fn(arg);
    error = errno;
    if (unblock && parker_return(p))
        parker_forget(p, PARK_INTERRUPTED);
    state_resume("gil_without", ts);
    errno = error;
    return result;
}
