/* A lock gets to whoever waits for it, though nobody else ever comes along to put right what went
 * wrong. Two kinds of runs, by the seed:
 *  - the interval never ends, and each thread that has given the lock up stays away until another
 *    one has had it;
 *  - all threads compute, and give the lock up at checkpoints only (every third seed).
 *
 * Environment: SEED, SECONDS, THREADS (2 to 8), and STEPS (steps.h). Time is counted in ticks of a
 * watchdog, which do not come while the process is stopped. Prints TAP. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <gil.h>

#include "tests/stress/steps.h"

#define MS INT64_C(1000000)

enum { THREADS_MAX = 8, TICK_MS = 20, STUCK_TICKS = 100 };

static gil_lock lock;
static unsigned long guarded; /* by the lock */
static atomic_ulong turns;
static atomic_bool stop;
static bool defers, computing;
static unsigned long threads;

static void sleep_ns(int64_t ns)
{
    struct timespec ts = {ns / 1000000000, ns % 1000000000};

    nanosleep(&ts, NULL);
}

/* Half of the seeds never defer: heads that watch would hide a fault in the other ways. */
static void give_up(uint64_t how)
{
    bool pending;

    if (how % 8 == 0)
        gil_lock_yield(&lock);
    if (!defers || how % 2) {
        gil_lock_release(&lock);
        return;
    }
    pending = gil_lock_release_deferred(&lock);
    if (pending && how % 4)
        gil_lock_release_complete(&lock); /* otherwise the head looks by itself */
}

/* Has the lock, and lets others have it only when they ask. */
static void compute(int id, uint64_t *random)
{
    static int last;

    gil_lock_acquire(&lock);
    while (!atomic_load(&stop)) {
        if (last != id) {
            last = id;
            guarded++;
            atomic_fetch_add(&turns, 1);
        }
        for (uint64_t i = next_random(random) & 1023; i > 0; i--)
            __builtin_ia32_pause();
        gil_lock_checkpoint(&lock);
    }
    gil_lock_release(&lock);
}

/* Now and then it takes the lock right back, from the one that was woken for it. */
static void use(uint64_t r)
{
    for (int again = r >> 52 & 3 ? 0 : (int)(r >> 54 & 3); again > 0; again--) {
        gil_lock_release(&lock);
        for (uint64_t i = r >> 56; i > 0; i--)
            __builtin_ia32_pause();
        gil_lock_acquire(&lock);
    }
    for (uint64_t i = r >> 24 & (r & 8 ? 4095 : 63); i > 0; i--)
        __builtin_ia32_pause();
}

/* One thread gives up waiting, if there are two others: these get the lock from each other. */
static bool get(int id, uint64_t r)
{
    if (id == 0 && threads > 2 && r % 4)
        return gil_lock_acquire_for(&lock, (int64_t)(r >> 32) % (MS / 5)) == 0;
    gil_lock_acquire(&lock);
    return true;
}

static void *turn_main(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    int id = (int)(random % 16);

    steps_thread(id, random);
    if (computing)
        compute(id + 1, &random);
    while (!atomic_load(&stop)) {
        uint64_t r = next_random(&random);
        unsigned long seen = atomic_load(&turns);

        if (get(id, r)) {
            guarded++;
            seen = atomic_fetch_add(&turns, 1) + 1;
            use(r);
            give_up(r >> 16 & 0xff);
        }
        while (atomic_load(&turns) == seen && !atomic_load(&stop))
            sched_yield();
        if ((r >> 8 & 63) == 0)
            sleep_ns((int64_t)(r >> 40 & 0xfffff));
    }
    gil_lock_release_complete(&lock);
    return NULL;
}

static unsigned long number_from(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

int main(void)
{
    unsigned long seed = number_from("SEED", 1);
    unsigned long ticks = number_from("SECONDS", 2) * 1000 / TICK_MS, seen = 0;
    unsigned still = 0, longest = 0;
    pthread_t thread[THREADS_MAX];
    uint64_t random = seed;

    threads = number_from("THREADS", 2);
    if (threads < 2 || threads > THREADS_MAX)
        return 2;
    printf("1..2\n# SEED=%lu THREADS=%lu\n", seed, threads);
    steps_begin(next_random(&random));
    defers = seed % 2 == 0;
    computing = seed % 3 == 0;
    gil_lock_set_interval(&lock, computing ? MS + (int64_t)(seed % 50) * MS : 1000 * 1000 * MS);
    for (unsigned i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, turn_main,
                       (void *)(uintptr_t)((next_random(&random) & ~UINT64_C(15)) + i));
    for (unsigned long tick = 0; tick < ticks && still < STUCK_TICKS; tick++) {
        unsigned long now = atomic_load(&turns);

        sleep_ns(TICK_MS * MS);
        if (steps_tick((unsigned)tick * 16))
            break;
        still = now == seen ? still + 1 : 0;
        longest = still > longest ? still : longest;
        seen = now;
        if (still)
            ticks++;
    }
    printf("# %lu turns, the longest took %u ms\n", seen, longest * TICK_MS);
    if (still == STUCK_TICKS) {
        printf("not ok 1 - the lock gets to whoever waits\n# word, owner, head, drop:");
        for (int i = 0; i < 4; i++)
            printf(" %lx", (unsigned long)lock.opaque[i]);
        printf("\nnot ok 2 - no entry is lost\n");
        fflush(stdout);
        _exit(1);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    steps_end();
    printf("ok 1 - the lock gets to whoever waits\n%sok 2 - no entry is lost\n",
           guarded == atomic_load(&turns) ? "" : "not ");
    return guarded != atomic_load(&turns);
}
