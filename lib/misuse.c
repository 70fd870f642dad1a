/* Misuse of the interface ends the process, with one line that says who did what.
 *
 * What else can go wrong with a program (tests/stress/crash.c)
 * - A thread ends while it owns a lock: misuse, see node.c; but a host may ask for the lock to stay
 *   taken (owner_may_end), as the CPython drop-in does, where the interpreter's own has no owner.
 * - abort(), exit() or a fatal signal, wherever it comes: the process ends. The library handles no
 *   signal, and nothing of it runs at exit.
 * - A forked child is killed: the lock is private memory, and the parent notices nothing.
 * - A debugger stops one thread: whoever needs the lock waits if it owns it, or is granted it;
 *   nothing is lost, and all go on when it does.
 * - Priorities: a waiter sleeps after SPIN_NS at most, so an owner of low priority gets the
 *   processor from a waiter of a higher one. There is no priority inheritance: a third thread that
 *   keeps the owner from running keeps its waiters waiting. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/lock_impl.h"

_Noreturn void abort_saying(const char *line, int length)
{
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        abort(); /* as below: there is nowhere left to say it */
    abort();
}

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
    abort_saying(line, n);
}
