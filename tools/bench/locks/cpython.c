/* The algorithm of CPython's lock (3.2 to 3.12), written anew.
 *
 * A flag below a mutex. A waiter sleeps on `given_up` for an interval; if nothing has changed hands
 * by then, it asks the owner to drop the lock. Whoever takes the lock says so on `changed_hands`,
 * and an owner that was asked waits there, after it has given the lock up, until somebody else has
 * had it.
 *
 * Invariant: `taken` is written with `mutex` held; switches and last_owner with switch_mutex, too. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "tools/bench/locks/bench.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t switch_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t given_up, changed_hands;

static bool taken;
static uint64_t switches;
static const void *last_owner; /* the address of the thread's own `me` */
static bool drop_request;
static int64_t interval_ns = 5000000;

static _Thread_local char me;

static void init(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    errno = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (errno)
        fail("CLOCK_MONOTONIC");
    pthread_cond_init(&given_up, &attr);
    pthread_cond_init(&changed_hands, &attr);
}

/* Waits for an interval at most, and asks if all of it has passed without a change of owner. */
static void wait_and_ask(void)
{
    uint64_t seen = switches;
    int64_t until = now_ns() + interval_ns;
    struct timespec deadline = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};

    if (pthread_cond_timedwait(&given_up, &mutex, &deadline) == ETIMEDOUT && taken &&
        switches == seen)
        __atomic_store_n(&drop_request, true, __ATOMIC_RELAXED);
}

static inline void acquire(void)
{
    pthread_mutex_lock(&mutex);
    while (taken)
        wait_and_ask();
    pthread_mutex_lock(&switch_mutex);
    taken = true;
    if (last_owner != &me) {
        last_owner = &me;
        switches++;
    }
    pthread_cond_signal(&changed_hands);
    pthread_mutex_unlock(&switch_mutex);
    if (__atomic_load_n(&drop_request, __ATOMIC_RELAXED))
        __atomic_store_n(&drop_request, false, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&mutex);
}

static inline void release(void)
{
    pthread_mutex_lock(&mutex);
    taken = false;
    pthread_cond_signal(&given_up);
    pthread_mutex_unlock(&mutex);
    if (!__atomic_load_n(&drop_request, __ATOMIC_RELAXED))
        return;
    pthread_mutex_lock(&switch_mutex);
    if (last_owner == &me) {
        __atomic_store_n(&drop_request, false, __ATOMIC_RELAXED);
        pthread_cond_wait(&changed_hands, &switch_mutex);
    }
    pthread_mutex_unlock(&switch_mutex);
}

static bool asked(void)
{
    return __atomic_load_n(&drop_request, __ATOMIC_RELAXED);
}

/* As if it had been asked. */
static void yield(void)
{
    __atomic_store_n(&drop_request, true, __ATOMIC_RELAXED);
    release();
    acquire();
}

static void set_interval(int64_t ns)
{
    interval_ns = ns;
}

PAIRS(acquire, release)

const struct peer peer = {.name = "cpython",
                          .init = init,
                          .acquire = acquire,
                          .release = release,
                          .pairs = pairs,
                          .asked = asked,
                          .yield = yield,
                          .set_interval = set_interval};
