/* Misuse of the interface ends the process, with one line that says who did what. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/lock_impl.h"

_Noreturn void misuse(const char *function, const struct lock *l, const char *what)
{
    const struct node *owner = relaxed_load(&l->owner);
    char line[256];
    int n;

    if ((relaxed_load(&l->word) & WORD_LOCKED) && owner)
        n = snprintf(line, sizeof line,
                     "libgil: %s: thread %ld: %s; the lock %p is owned by thread %d\n", function,
                     syscall(SYS_gettid), what, (const void *)l, owner->tid);
    else
        n = snprintf(line, sizeof line,
                     "libgil: %s: thread %ld: %s; the lock %p is not owned by anyone\n", function,
                     syscall(SYS_gettid), what, (const void *)l);
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        abort(); /* as below: there is nowhere left to say it */
    abort();
}
