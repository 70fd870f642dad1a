/* See futex.h. */
#include "kernel-helpers/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel-helpers/cannot.h"
#include "kernel-helpers/clock.h"

#define NS_PER_S INT64_C(1000000000)

int64_t futex_deadline(int64_t timeout_ns)
{
    int64_t now;

    if (timeout_ns <= 0)
        return timeout_ns < 0 ? FUTEX_FOREVER : 0;
    now = clock_now_ns();
    return timeout_ns < INT64_MAX - now ? now + timeout_ns : FUTEX_FOREVER;
}

/* Only a kernel without futexes, or a filter that forbids them, refuses them. */
static bool refused(void)
{
    return errno != EINTR && errno != EAGAIN && errno != ETIMEDOUT;
}

void futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    int saved = errno;
    struct timespec at = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S};

    /* The BITSET form takes an absolute time, so that a wait that is interrupted and repeated does
     * not drift. */
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                deadline_ns == FUTEX_FOREVER ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY) < 0 &&
        refused())
        cannot("put a thread to sleep", strerror(errno)); /* it would run in circles */
    errno = saved;
}

void futex_wake(uint32_t *word)
{
    int saved = errno;

    if (syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0) < 0)
        cannot("wake a thread", strerror(errno)); /* it might sleep for ever */
    errno = saved;
}
