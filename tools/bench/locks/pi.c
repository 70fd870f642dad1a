/* The C library's mutex with priority inheritance: the kernel hands it over. */
#include <errno.h>
#include <pthread.h>

#include "tools/bench/locks/bench.h"

static pthread_mutex_t mutex;

static void init(void)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    errno = pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    if (!errno)
        errno = pthread_mutex_init(&mutex, &attr);
    if (errno)
        fail("PTHREAD_PRIO_INHERIT");
}

static inline void acquire(void)
{
    pthread_mutex_lock(&mutex);
}

static inline void release(void)
{
    pthread_mutex_unlock(&mutex);
}

PAIRS(acquire, release)

const struct peer peer = {
    .name = "pi", .init = init, .acquire = acquire, .release = release, .pairs = pairs};
