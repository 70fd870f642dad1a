/* Stands in for hooks.c: a library that, loaded in front of libc, makes the wrappers of
 * tools/python/calls_*.c find a deferral pending whenever a test asks for one. What the wrappers do
 * with it is then the same in every run, and counted. */
#include "tools/python/calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

_Thread_local bool py_deferral_pending;

/* How this thread's calls since the last always_defer() ended. */
static _Thread_local int completed, tried, done;

EXPORT void always_defer(void);
EXPORT void always_deferred(int *completed_now, int *tried_now, int *done_now);

/* The next call of this thread finds a deferral pending. */
void always_defer(void)
{
    completed = tried = done = 0;
    py_deferral_pending = true;
}

/* How many times it was completed, how many times after a try, how many calls ended without it. */
void always_deferred(int *completed_now, int *tried_now, int *done_now)
{
    *completed_now = completed;
    *tried_now = tried;
    *done_now = done;
    py_deferral_pending = false;
}

void py_call_blocks(bool after_try)
{
    if (!py_deferral_pending)
        return;
    py_deferral_pending = false;
    completed++;
    tried += after_try;
}

/* Sleeping calls are not tried, and tell so whether or not a deferral is pending. */
void py_call_yields(void)
{
    py_call_blocks(false);
}

void py_call_done(void)
{
    done += py_deferral_pending;
}

void *py_real_slow(const char *name)
{
    int saved_errno = errno;
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        fprintf(stderr, "alwaysdeferred: libc has no %s\n", name);
        abort();
    }
    errno = saved_errno;
    return function;
}

void py_call_woken(void)
{
}
