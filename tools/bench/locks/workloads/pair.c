/* What the lock costs when nobody else wants it: release + acquire, and the checkpoint.
 *
 * A process with a single thread is a special case to the C library and to libgil, which leave
 * out the bus lock then. So the pair is measured twice: at first ("single_ns"), and with a second
 * thread that sleeps ("pair_ns"), which is what counts.
 *
 * Figures are the median of many short loops, so that a thread that was not let run for a while
 * does not change them. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/bench/locks/bench.h"

enum { LOOPS = 4096, LOOPS_MOST = 200000 };

static void *sleeper(void *arg)
{
    (void)arg;
    pause();
    return NULL;
}

static double loop_ns(void (*fn)(uint64_t count), int64_t ns)
{
    int64_t end = now_ns() + ns;
    double *each = malloc(LOOPS_MOST * sizeof *each), median;
    size_t count = 0;

    if (!each)
        fail("malloc");
    fn(LOOPS); /* warm */
    for (int64_t before = now_ns(), after; before < end && count < LOOPS_MOST; before = after) {
        fn(LOOPS);
        after = now_ns();
        each[count++] = (double)(after - before) / LOOPS;
    }
    median = quantile(each, count, 0.5);
    free(each);
    return median;
}

void pair(int64_t ns)
{
    double single, two;

    peer.acquire();
    single = loop_ns(peer.pairs, ns / 4);
    peer.release();
    prove();
    start_thread(sleeper, NULL);
    peer.acquire();
    two = loop_ns(peer.pairs, ns);
    peer.release();
    printf("{\"pair_ns\": %.3f, \"single_ns\": %.3f}\n", two, single);
}

static void nothing(uint64_t count)
{
    while (count--)
        __asm__ volatile("" ::: "memory");
}

void checkpoint(int64_t ns)
{
    double loop, calls;

    prove();
    start_thread(sleeper, NULL);
    peer.acquire();
    loop = loop_ns(nothing, ns / 4);
    calls = loop_ns(peer.checkpoints, ns);
    peer.release();
    printf("{\"checkpoint_ns\": %.3f, \"loop_ns\": %.3f}\n", calls - loop, loop);
}
