/* Does the lock exclude? The count of how often it was held is read when it is taken, and written,
 * one higher, just before it is given up: it comes out right only if nobody else was in between.
 *
 * Invariant: `inside` and `held` change between enter() and leave() only. */
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/bench/locks/bench.h"

enum { PROVERS = 3, ROUNDS = 300, YIELD_EVERY = 10 };

/* Relaxed atomics, so that it is the lock that keeps the threads apart, and no data race that the
 * compiler may do as it likes with. */
static uint64_t held;
static bool inside;

static void broken(void)
{
    fprintf(stderr, "%s does not exclude: two threads had it at a time\n", peer.name);
    _exit(1);
}

uint64_t enter(void)
{
    if (__atomic_exchange_n(&inside, true, __ATOMIC_RELAXED))
        broken();
    return __atomic_load_n(&held, __ATOMIC_RELAXED);
}

void leave(uint64_t entered)
{
    if (!__atomic_exchange_n(&inside, false, __ATOMIC_RELAXED) ||
        __atomic_load_n(&held, __ATOMIC_RELAXED) != entered)
        broken();
    __atomic_store_n(&held, entered + 1, __ATOMIC_RELAXED);
}

uint64_t times_held(void)
{
    return __atomic_load_n(&held, __ATOMIC_RELAXED);
}

static void *prover(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        peer.acquire();
        uint64_t entered = enter();
        if (i % YIELD_EVERY == 0)
            sched_yield();
        leave(entered);
        peer.release();
    }
    return NULL;
}

void prove(void)
{
    uint64_t before = times_held();

    for (int i = 0; i < PROVERS; i++)
        start_thread(prover, NULL);
    join_threads();
    if (times_held() - before != (uint64_t)PROVERS * ROUNDS)
        broken();
}
