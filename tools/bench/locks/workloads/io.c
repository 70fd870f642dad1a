/* Threads that do nothing but wait: 64 threads, each of which waits for a datagram without the
 * lock, takes the lock for 2 µs, gives it up and answers. They form 32 pairs, and each pair has one
 * datagram under way: at any time half of the threads wait for one, the others send, or want the
 * lock, or have it.
 *
 * Counted: operations (one datagram, one hold), and context switches of the whole process
 * (getrusage). One context switch an operation is the waiting itself. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/locks/bench.h"

enum { THREADS = 64, HOLD_NS = 2000, WARM_UP_NS = 100000000 };

/* A thread's count is read while it runs; each on a line of its own. */
static struct worker {
    int fd;
    uint64_t done;
} __attribute__((aligned(64))) workers[THREADS];
static bool stop;

static void answer(int fd)
{
    char byte = 0;

    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
        fail("send");
}

/* Each of a pair ends when it has answered once more: its partner gets that answer. */
static void *worker(void *arg)
{
    struct worker *w = (struct worker *)arg;
    bool last = false;
    char byte;

    while (!last) {
        if (recv(w->fd, &byte, 1, 0) != 1)
            fail("recv");
        peer.acquire();
        uint64_t entered = enter();
        busy_until(now_ns() + HOLD_NS);
        leave(entered);
        peer.release();
        __atomic_store_n(&w->done, w->done + 1, __ATOMIC_RELAXED);
        last = __atomic_load_n(&stop, __ATOMIC_RELAXED);
        answer(w->fd);
    }
    return NULL;
}

static uint64_t all_done(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < THREADS; i++)
        sum += __atomic_load_n(&workers[i].done, __ATOMIC_RELAXED);
    return sum;
}

void io(int64_t ns)
{
    uint64_t proved, done, switched;
    int64_t start;

    prove();
    proved = times_held();
    for (int i = 0; i < THREADS; i += 2) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0)
            fail("socketpair");
        for (int side = 0; side < 2; side++) {
            workers[i + side].fd = pair[side];
            start_thread(worker, &workers[i + side]);
        }
        answer(pair[0]);
    }
    sleep_ns(WARM_UP_NS);
    start = now_ns();
    done = all_done();
    switched = context_switches();
    sleep_ns(ns);
    done = all_done() - done;
    switched = context_switches() - switched;
    ns = now_ns() - start;
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    join_threads();
    if (times_held() - proved != all_done()) {
        fprintf(stderr, "%s does not exclude: holds were lost\n", peer.name);
        _exit(1);
    }
    printf("{\"ops\": %.1f, \"switches\": %.4f", (double)done * 1e9 / (double)ns,
           done ? (double)switched / (double)done : 0);
    print_end();
}
