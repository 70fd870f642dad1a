/* Waiting for child processes: tried with WNOHANG, which reaps a child that has ended and otherwise
 * says 0 without touching the status. */
#include "tools/python/calls_try.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* After a try, or a call that had WNOHANG anyway: is the result that of the plain call? If not,
 * completes the release. */
static bool final_result(bool none, int options, int saved_errno)
{
    if (!none || (options & WNOHANG)) {
        py_call_done();
        return true;
    }
    py_after_try(saved_errno);
    return false;
}

static pid_t waitpid_deferred(pid_t pid, int *status, int options)
{
    int saved_errno = errno;
    pid_t ended = PY_TRY(REAL(waitpid)(pid, status, options | WNOHANG));
    if (final_result(ended == 0, options, saved_errno))
        return ended;
    return REAL(waitpid)(pid, status, options);
}

PY_WRAPPER pid_t waitpid(pid_t pid, int *status, int options)
{
    return py_deferred() ? waitpid_deferred(pid, status, options)
                         : REAL(waitpid)(pid, status, options);
}

PY_WRAPPER pid_t wait(int *status)
{
    return py_deferred() ? waitpid_deferred(-1, status, 0) : REAL(wait)(status);
}

static pid_t wait4_deferred(pid_t pid, int *status, int options, struct rusage *usage)
{
    int saved_errno = errno;
    pid_t ended = PY_TRY(REAL(wait4)(pid, status, options | WNOHANG, usage));
    if (final_result(ended == 0, options, saved_errno))
        return ended;
    return REAL(wait4)(pid, status, options, usage);
}

PY_WRAPPER pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    return py_deferred() ? wait4_deferred(pid, status, options, usage)
                         : REAL(wait4)(pid, status, options, usage);
}

PY_WRAPPER pid_t wait3(int *status, int options, struct rusage *usage)
{
    return py_deferred() ? wait4_deferred(-1, status, options, usage)
                         : REAL(wait3)(status, options, usage);
}

/* waitid says 0 for "none yet" too, with a process id of 0. What it writes then is written again by
 * the plain call, whatever that call's result. */
static int waitid_deferred(idtype_t type, id_t id, siginfo_t *info, int options)
{
    siginfo_t unwanted;
    siginfo_t *found = info ? info : &unwanted;
    int saved_errno = errno;
    int result = PY_TRY(REAL(waitid)(type, id, found, options | WNOHANG));
    if (final_result(result == 0 && found->si_pid == 0, options, saved_errno))
        return result;
    return REAL(waitid)(type, id, info, options);
}

PY_WRAPPER int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    return py_deferred() ? waitid_deferred(type, id, info, options)
                         : REAL(waitid)(type, id, info, options);
}
