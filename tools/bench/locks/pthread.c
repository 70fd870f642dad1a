/* The C library's mutex. */
#include <pthread.h>

#include "tools/bench/locks/bench.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

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
    .name = "pthread", .acquire = acquire, .release = release, .pairs = pairs};
