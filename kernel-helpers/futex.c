/* See futex.h. */
#include "kernel-helpers/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel-helpers/cannot.h"

#define NS_PER_S INT64_C(1000000000)

void futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    int saved = errno;
    struct timespec at = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S};

    /* The BITSET form takes an absolute time, so that a wait that is interrupted and repeated does
     * not drift. */
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
            deadline_ns == FUTEX_FOREVER ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
    errno = saved;
}

void futex_wake(uint32_t *word)
{
    int saved = errno;

    /* A wait that fails is as good as a spurious wake-up, but a sleeper whose wake is lost may sleep
     * for ever. Only a kernel without futexes, or a filter that forbids them, refuses this. */
    if (syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0) < 0)
        cannot("wake a thread", strerror(errno));
    errno = saved;
}
