/* What a build with LOCK_STEPS does at each step of the protocol (STEP in lib/lock_impl.h). The
 * environment variable STEPS lists what:
 *   delay   goes on at once, or after a yield, a spin or a short sleep, at random; or after a long
 *           one, at a few kinds of steps, others in each moment
 *   signal  now and then raises SIGUSR2, whose handler write()s: at one kind of step after another
 *   log     notes the step in memory, to be written to the file $LOG at the end (replay.py)
 * The seed chooses the lock's limits, too (limits.h). In a build without LOCK_STEPS all this is
 * nothing. */
#ifndef TESTS_STRESS_STEPS_H
#define TESTS_STRESS_STEPS_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

#ifdef LOCK_STEPS

#include "lib/lock_impl.h"

enum { TAGS = 27, LOG_THREADS = 16, LOG_RECORDS = 1 << 16 };

/* One step, as replay.py reads it. */
struct record {
    uint64_t number; /* over all threads: the order */
    uint64_t lock, node, word, head;
    uint32_t state; /* of the node */
    uint16_t tag, thread;
};

struct limits limits;

static struct {
    bool delay, signal, log;
    uint64_t one_in;  /* delays */
    atomic_int tag;   /* signals are raised at */
    atomic_uint slow; /* a bit for each kind of step that is delayed for long */
    atomic_ulong raised[TAGS];
    int pipe[2];
    atomic_ulong number;
    atomic_bool full; /* a thread's buffer is: the run is over */
    struct record *records[LOG_THREADS];
    unsigned used[LOG_THREADS];
} steps;

static _Thread_local struct {
    uint64_t random;
    int thread; /* slot + 1; 0: none */
    bool in_handler;
} step_thread;

static void note(const char *tag, const struct lock *l, const struct node *n)
{
    int t = step_thread.thread - 1;
    struct record *r;

    if (t < 0 || t >= LOG_THREADS || atomic_load(&steps.full))
        return;
    if (steps.used[t] == LOG_RECORDS) {
        atomic_store(&steps.full, true);
        return;
    }
    r = &steps.records[t][steps.used[t]++];
    r->number = atomic_fetch_add(&steps.number, 1);
    r->lock = (uintptr_t)l;
    r->node = (uintptr_t)n;
    r->word = l ? relaxed_load(&l->word) : 0;
    r->head = l ? (uintptr_t)relaxed_load(&l->head) : 0;
    r->state = n ? relaxed_load(&n->state) : 0;
    r->tag = (uint16_t)atoi(tag + 1);
    r->thread = (uint16_t)t;
}

/* At one kind of step, or at a few, others in each moment, a thread stays for so long that the rest
 * come to rest. */
static void delay(int tag)
{
    uint64_t r = next_random(&step_thread.random);

    if (atomic_load(&steps.slow) >> tag & 1 && r % 4 == 0)
        usleep(50 + (r >> 32 & 255));
    if (r % steps.one_in)
        return;
    switch (r >> 32 & 7) {
    case 0:
        usleep(r >> 40 & 63);
        break;
    case 1:
    case 2:
    case 3:
        sched_yield();
        break;
    default:
        for (uint64_t i = r >> 40 & 2047; i > 0; i--)
            __builtin_ia32_pause();
    }
}

void lock_step(const char *tag, const struct lock *l, const struct node *n)
{
    int saved = errno;

    if (step_thread.in_handler)
        return;
    if (steps.log)
        note(tag, l, n);
    if (steps.delay)
        delay(atoi(tag + 1));
    if (steps.signal && atoi(tag + 1) == atomic_load(&steps.tag) &&
        next_random(&step_thread.random) % 4 == 0) {
        atomic_fetch_add(&steps.raised[atoi(tag + 1)], 1);
        raise(SIGUSR2);
    }
    errno = saved;
}

static void on_step_signal(int sig)
{
    int saved = errno;

    (void)sig;
    step_thread.in_handler = true;
    if (write(steps.pipe[1], "x", 1) < 0)
        (void)!read(steps.pipe[0], &(char[4096]){0}, 4096);
    step_thread.in_handler = false;
    errno = saved;
}

static int64_t some_limit(uint64_t *random, int64_t normal)
{
    uint64_t r = next_random(random);

    switch (r % 4) {
    case 0:
        return normal;
    case 1:
        return 1 + (int64_t)(r >> 32) % 1000;
    default:
        return 1 + (int64_t)(r >> 32) % normal;
    }
}

static void steps_begin(uint64_t seed)
{
    const char *what = getenv("STEPS");
    uint64_t random = seed;

    limits = (struct limits){
        .spin = some_limit(&random, as_built.spin),
        .early = some_limit(&random, as_built.early),
        .watch = some_limit(&random, as_built.watch),
        .look_again = some_limit(&random, as_built.look_again),
        .heir = some_limit(&random, as_built.heir),
        .late = some_limit(&random, as_built.late),
        .interruption = some_limit(&random, as_built.interruption),
        .granularity = some_limit(&random, as_built.granularity),
        .sprint = some_limit(&random, as_built.sprint),
        .glances = (int)some_limit(&random, as_built.glances) % (as_built.glances + 1),
        .settle = 1 + (int)some_limit(&random, as_built.settle) % as_built.settle,
        .watch_slices =
            1 + (uint32_t)some_limit(&random, as_built.watch_slices) % as_built.watch_slices,
        .take_in = 1 + (int)some_limit(&random, as_built.take_in) % as_built.take_in,
        .sweep_above = (uint32_t)some_limit(&random, as_built.sweep_above) % as_built.sweep_above,
    };
    what = what ? what : "";
    steps.delay = strstr(what, "delay");
    steps.signal = strstr(what, "signal");
    steps.log = strstr(what, "log");
    steps.one_in = 1 + next_random(&random) % 16;
    if (steps.signal) {
        struct sigaction action = {.sa_handler = on_step_signal};

        if (pipe2(steps.pipe, O_NONBLOCK) != 0)
            exit(2);
        sigaction(SIGUSR2, &action, NULL);
    }
    for (int i = 0; steps.log && i < LOG_THREADS; i++) {
        steps.records[i] = mmap(NULL, LOG_RECORDS * sizeof(struct record), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (steps.records[i] == MAP_FAILED)
            exit(2);
    }
}

/* A thread begins: its place in the log, and its own sequence of delays. */
static void steps_thread(int slot, uint64_t seed)
{
    step_thread.thread = slot + 1;
    step_thread.random = ~seed;
}

/* Called now and then: the signals go on to the next kind of step. True: the log is full. */
static bool steps_tick(unsigned ticks)
{
    uint64_t random = ticks / 16;
    int tag = 1 + (int)(ticks / 32 % (TAGS - 1));

    atomic_store(&steps.tag, tag);
    atomic_store(&steps.slow, ticks / 16 % 2
                                  ? 1u << tag
                                  : (uint32_t)(next_random(&random) & next_random(&random)));
    return atomic_load(&steps.full);
}

/* Nothing more is done at steps: in a forked child. */
static inline void steps_off(void)
{
    steps.delay = steps.signal = steps.log = false;
}

/* Writes the log, and says what was raised where. */
static void steps_end(void)
{
    const char *path = getenv("LOG");
    FILE *file = steps.log && path ? fopen(path, "w") : NULL;

    for (int i = 0; file && i < LOG_THREADS; i++)
        fwrite(steps.records[i], sizeof(struct record), steps.used[i], file);
    if (file && fclose(file) != 0)
        exit(2);
    if (!steps.signal)
        return;
    printf("# signals at");
    for (int i = 1; i < TAGS; i++)
        printf(" T%d %lu", i, atomic_load(&steps.raised[i]));
    printf("\n");
}

#else

static inline void steps_begin(uint64_t seed)
{
    (void)seed;
}

static inline void steps_thread(int slot, uint64_t seed)
{
    (void)slot;
    (void)seed;
}

static inline bool steps_tick(unsigned ticks)
{
    (void)ticks;
    return false;
}

static inline void steps_off(void)
{
}

static inline void steps_end(void)
{
}

#endif

#endif
