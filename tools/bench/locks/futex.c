/* The bare hand-over: each of two threads sleeps on a futex word of its own until the other one
 * sets it. No lock for general use, only the least that a hand-over to a sleeping thread can
 * cost. */
#include "kernel-helpers/futex.h"
#include "tools/bench/locks/bench.h"

/* Whose turn it is: a word a thread, each on a cache line of its own. */
static struct {
    uint32_t turn;
} __attribute__((aligned(64))) words[2] = {{1}, {0}};

static int threads;
static _Thread_local int self = -1;

static void acquire(void)
{
    if (self < 0)
        self = __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED);
    while (!__atomic_load_n(&words[self].turn, __ATOMIC_ACQUIRE))
        futex_wait(&words[self].turn, 0, FUTEX_FOREVER);
}

static void release(void)
{
    uint32_t *other = &words[1 - self].turn;

    __atomic_store_n(&words[self].turn, 0, __ATOMIC_RELAXED);
    __atomic_store_n(other, 1, __ATOMIC_RELEASE);
    futex_wake(other);
}

static void yield(void)
{
    release();
    acquire();
}

const struct peer peer = {.name = "futex", .acquire = acquire, .release = release, .yield = yield};
