/* How long a hand-over takes: from the moment before the owner gives the lock up until the next
 * owner's call has returned. Two threads; which processors they run on is part of the workload, and
 * the same for every lock.
 *
 *   spin      on two processors; each owner computes until it is asked to drop the lock, and the
 *             other one waits in whatever way the lock waits then. Nobody asks for a lock that has
 *             no such thing: its owner gives it up at the end of an interval. The interval is
 *             1 ms, for more hand-overs in the time.
 *   apart     on two processors; the owner gives the lock to the other one soon after it has got
 *             it, before a waiter has a reason to wake up by itself.
 *   together  the same on one processor: the next owner runs when the last one sleeps. An owner
 *             lets the other thread run meanwhile, which may not have got as far as to wait.
 *
 * Invariant: handed_at and last_owner are written by the owner of the lock. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/bench/locks/bench.h"

enum { INTERVAL_NS = 1000000, HOLD_NS = 30000, SAMPLES_MOST = 1 << 20 };

static int64_t end;
static int64_t handed_at;
static int last_owner;
static double *samples;
static size_t count;

/* The calling thread has got the lock. */
static void got_it(int self, int64_t now)
{
    if (last_owner && last_owner != self && count < SAMPLES_MOST)
        samples[count++] = (double)(now - handed_at) / 1e3;
    last_owner = self;
}

static void *until_asked(void *arg)
{
    int self = *(int *)arg;
    bool more = true;

    pin(self - 1);
    while (more) {
        peer.acquire();
        int64_t now = now_ns(), until = now + INTERVAL_NS;
        uint64_t entered = enter();
        got_it(self, now);
        do {
            now = now_ns();
            more = now < end;
        } while (more && (peer.asked ? !peer.asked() : now < until));
        leave(entered);
        handed_at = now_ns();
        peer.release();
    }
    return NULL;
}

static void *to_and_fro(int self, bool let_run)
{
    bool more = true;

    peer.acquire();
    while (more) {
        int64_t now = now_ns();
        uint64_t entered = enter();
        got_it(self, now);
        if (let_run)
            sched_yield();
        busy_until(now + HOLD_NS);
        more = now < end;
        leave(entered);
        handed_at = now_ns();
        if (more)
            peer.yield();
    }
    peer.release();
    return NULL;
}

static void *apart(void *arg)
{
    int self = *(int *)arg;

    pin(self - 1);
    return to_and_fro(self, false);
}

static void *together(void *arg)
{
    pin(0);
    return to_and_fro(*(int *)arg, true);
}

static void handover(void *(*fn)(void *), int64_t ns)
{
    static int selves[] = {1, 2};

    if (peer.pairs)
        prove();
    samples = malloc(SAMPLES_MOST * sizeof *samples);
    if (!samples)
        fail("malloc");
    end = now_ns() + ns;
    start_thread(fn, &selves[0]);
    start_thread(fn, &selves[1]);
    join_threads();
    printf("{\"p50_us\": %.3f, \"p99_us\": %.3f, \"handovers\": %zu", quantile(samples, count, 0.5),
           quantile(samples, count, 0.99), count);
    print_end();
}

void handover_spin(int64_t ns)
{
    if (peer.set_interval)
        peer.set_interval(INTERVAL_NS);
    handover(until_asked, ns);
}

void handover_apart(int64_t ns)
{
    handover(apart, ns);
}

void handover_together(int64_t ns)
{
    handover(together, ns);
}
