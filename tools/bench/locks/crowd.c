/* 10 000 threads wait for one lock of libgil's: what that costs in memory, and how long the library
 * itself keeps the lock from everybody while it does its bookkeeping.
 *
 *     crowd THREADS SECONDS
 *
 * A step of bookkeeping begins when the owner calls release, or when a thread gets the lock, and
 * ends when the lock is given up, or when the call returns. The library is built with a hook at each
 * step of its protocol (lib/lock_impl.h), so that beginnings and ends are seen. Measured is the CPU
 * time of the thread that does it. With so many threads, any may lose its processor in between;
 * where there are many steps, one in which that happened is left out, since the kernel's own work
 * for it is in the CPU time. Interrupts are, too, and what the machine below does; therefore the
 * holds are measured likewise, each of which lasts at least as long as a step and ought to last
 * 2 µs.
 *
 *   burst    all threads have come while one had the lock, which is released for the first time
 *   steady   all threads take the lock for 2 µs and come back, again and again: how many steps
 *            are longer than 100 µs, and how many holds are. It ends before the threads do: they
 *            wait on one word then, and a wake-up that goes through the same list of the kernel's
 *            takes long.
 *   give up  all threads have waited with a timeout, given up, and the owner releases
 *
 * Prints one JSON line. Invariant: a figure is printed only if all threads had the lock in turn
 * (counted) and all gave up. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernel-helpers/clock.h"
#include "kernel-helpers/pause.h"
#include "lib/lock_impl.h"
#include "tools/bench/support/support.h"

enum { STACK = 65536, WARM = 16384, HOLD_NS = 2000, PATIENCE_NS = 300000000 };

static gil_lock lock = GIL_LOCK_INIT;
static pthread_barrier_t barrier;
static uint32_t pushed;      /* waits that have begun */
static uint64_t gave_up;     /* threads whose timeout has passed */
static uint64_t held, holds; /* by the lock's own count, and by the threads' */
static bool stop;

/* Of the present phase. */
enum { LONG_NS = 100000, LOST_NS = 20000 };
static int64_t longest_ns, steps, long_steps, long_holds;
static bool leave_out; /* steps and holds in which the thread lost its processor */

/* A stretch of time in one thread. */
struct stretch {
    int64_t wall, cpu; /* when it began; 0: there is none */
};

/* The calling thread's present step of bookkeeping. */
static _Thread_local struct stretch step;

static int64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static struct stretch begin(void)
{
    return (struct stretch){.wall = clock_now_ns(), .cpu = cpu_ns()};
}

/* How long it took, CPU time; 0 if it is left out. */
static int64_t end(struct stretch s)
{
    int64_t cpu = cpu_ns() - s.cpu, wall = clock_now_ns() - s.wall;

    return relaxed_load(&leave_out) && wall - cpu > LOST_NS ? 0 : cpu;
}

/* The lock is about to be given up, or the call to return. */
static void step_ends(void)
{
    int64_t took = step.wall ? end(step) : 0, longest = relaxed_load(&longest_ns);

    if (!took)
        return;
    while (took > longest && !__atomic_compare_exchange_n(&longest_ns, &longest, took, false,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    __atomic_fetch_add(&steps, 1, __ATOMIC_RELAXED);
    if (took > LONG_NS)
        __atomic_fetch_add(&long_steps, 1, __ATOMIC_RELAXED);
}

/* What the library calls; the tags are explained at the head of lib/lock.c. */
void lock_step(const char *tag, const struct lock *l, const struct node *n)
{
    int number = atoi(tag + 1);

    (void)l;
    (void)n;
    switch (number) {
    case 1: /* is about to take the lock */
    case 2:
    case 17: /* releases it, and it is not simple */
    case 25: /* has been given it */
    case 15: /* has freed it, and may take it back */
        step = begin();
        break;
    case 5: /* is about to free it */
    case 6:
    case 7:
        step_ends();
        break;
    case 12:
        __atomic_fetch_add(&pushed, 1, __ATOMIC_RELAXED);
        break;
    }
}

static void acquire(void)
{
    gil_lock_acquire(&lock);
    step_ends();
    step.wall = 0;
}

static void release(void)
{
    gil_lock_release(&lock);
    step.wall = 0;
}

static void hold(void)
{
    uint64_t before = held;
    struct stretch s = begin();

    while (clock_now_ns() < s.wall + HOLD_NS)
        pause_cpu();
    if (end(s) > LONG_NS)
        relaxed_store(&long_holds, long_holds + 1);
    held = before + 1;
}

static void together(void)
{
    int error = pthread_barrier_wait(&barrier);

    if (error && error != PTHREAD_BARRIER_SERIAL_THREAD) {
        errno = error;
        fail("pthread_barrier_wait");
    }
}

/* The threads' stacks are not the library's memory: their pages are there before it is measured. */
static __attribute__((noinline)) void warm_stack(void)
{
    volatile char room[WARM];

    for (size_t i = 0; i < sizeof room; i += 512)
        room[i] = 0;
}

static void *one_of_many(void *arg)
{
    uint64_t mine = 0;

    (void)arg;
    warm_stack();
    together();
    together();
    if (gil_lock_try_acquire(&lock) == 0)
        fail("the lock is not free");
    together();
    together();
    do {
        acquire();
        hold();
        mine++;
        release();
    } while (!relaxed_load(&stop));
    __atomic_fetch_add(&holds, mine, __ATOMIC_RELAXED);
    together();
    together();
    if (gil_lock_acquire_for(&lock, PATIENCE_NS) != 0)
        __atomic_fetch_add(&gave_up, 1, __ATOMIC_RELAXED);
    together();
    together();
    return NULL;
}

/* Memory of the process that no file stands behind. */
static int64_t anonymous_bytes(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long long kilobytes = -1;

    if (!f)
        fail("/proc/self/smaps_rollup");
    while (fgets(line, sizeof line, f))
        sscanf(line, "Anonymous: %lld", &kilobytes);
    fclose(f);
    if (kilobytes < 0)
        fail("Anonymous in /proc/self/smaps_rollup");
    return kilobytes * 1024;
}

static void nap(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    nanosleep(&ts, NULL);
}

static void begin_phase(bool many)
{
    relaxed_store(&leave_out, many);
    relaxed_store(&longest_ns, 0);
    relaxed_store(&steps, 0);
    relaxed_store(&long_steps, 0);
    relaxed_store(&long_holds, 0);
}

static double longest_us(void)
{
    return (double)relaxed_load(&longest_ns) / 1e3;
}

static void start(uint32_t count)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (uint32_t i = 0; i < count; i++) {
        errno = pthread_create(&thread, &attr, one_of_many, NULL);
        if (errno)
            fail("pthread_create");
    }
}

/* All threads have come while the caller had the lock; then they run. */
static void burst_and_steady(uint32_t count, int64_t ns)
{
    begin_phase(false);
    together();
    while (relaxed_load(&pushed) < count)
        nap(1000000);
    release();
    printf("\"burst_us\": %.1f, ", longest_us());
    begin_phase(true);
    nap(ns);
    printf("\"steady_us\": %.1f, \"steps\": %lld, \"long_steps\": %lld, \"long_holds\": %lld, ",
           longest_us(), (long long)relaxed_load(&steps), (long long)relaxed_load(&long_steps),
           (long long)relaxed_load(&long_holds));
    relaxed_store(&stop, true);
    together();
    if (held != holds) {
        fprintf(stderr, "crowd: libgil does not exclude: holds were lost\n");
        exit(1);
    }
}

static void give_up(uint32_t count)
{
    acquire();
    together();
    together();
    if (gave_up != count) {
        fprintf(stderr, "crowd: %llu threads gave up\n", (unsigned long long)gave_up);
        exit(1);
    }
    begin_phase(false);
    release();
    printf("\"giveup_us\": %.1f, ", longest_us());
}

int main(int argc, char **argv)
{
    uint32_t count = argc == 3 ? (uint32_t)atoi(argv[1]) : 0;
    int64_t before, after;

    if (!count) {
        fprintf(stderr, "usage: crowd THREADS SECONDS\n");
        return 2;
    }
    errno = pthread_barrier_init(&barrier, NULL, count + 1);
    if (errno)
        fail("pthread_barrier_init");
    acquire();
    start(count);
    together();
    before = anonymous_bytes();
    together();
    together();
    after = anonymous_bytes();
    fputs("{", stdout);
    burst_and_steady(count, (int64_t)(atof(argv[2]) * 1e9));
    give_up(count);
    printf("\"node_bytes\": %zu, \"thread_bytes\": %.1f}\n", sizeof(struct node),
           (double)(after - before) / count);
    together();
    return 0;
}
