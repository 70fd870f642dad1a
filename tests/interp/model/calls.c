/* The builtin functions: calls that block, without the lock. */
#include "interp.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The pipes are the interpreter's own, and no signal is sent to it: nothing else can go wrong than
 * that a thread it counted on has ended. */
static void must_be_whole(const char *call, ssize_t n)
{
    if (n != (ssize_t)sizeof(long)) {
        perror(call);
        exit(2);
    }
}

/* Sends a number to the next thread, and returns it. */
static object *builtin_write(thread *t, object *argument)
{
    long value = argument->value;
    ssize_t n;

    GIL_BEGIN_ALLOW_THREADS
    n = write(t->to, &value, sizeof value);
    GIL_END_ALLOW_THREADS
    must_be_whole("write", n);
    return hold(argument);
}

/* Receives a number from the thread before it. */
static object *builtin_read(thread *t, object *argument)
{
    long value;
    ssize_t n;

    (void)argument;
    GIL_BEGIN_ALLOW_THREADS
    n = read(t->from, &value, sizeof value);
    GIL_END_ALLOW_THREADS
    must_be_whole("read", n);
    return number_new(value);
}

/* Sleeps that many microseconds, and returns the number. */
static object *builtin_sleep(thread *t, object *argument)
{
    struct timespec time = {argument->value / 1000000, argument->value % 1000000 * 1000};

    (void)t;
    GIL_BEGIN_ALLOW_THREADS
    nanosleep(&time, NULL);
    GIL_END_ALLOW_THREADS
    return hold(argument);
}

builtin_fn *const builtins[BUILTINS] = {
    [WRITE] = builtin_write,
    [READ] = builtin_read,
    [SLEEP] = builtin_sleep,
};
