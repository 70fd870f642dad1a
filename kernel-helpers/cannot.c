/* See cannot.h. */
#include "kernel-helpers/cannot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void cannot(const char *what, const char *why)
{
    static int said;

    /* Other threads that meet the same refusal leave the message and the end to the first. */
    while (__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
        pause();
    dprintf(STDERR_FILENO, "libgil: cannot %s: %s\n", what, why);
    abort();
}
