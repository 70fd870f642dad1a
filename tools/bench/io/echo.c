/* An echo server with a thread a connection, and clients in another process that have one request
 * under way each. A request is received, looked at for HOLD_NS with the lock held, which is what
 * the byte code of a loop of recv and send takes in CPython, and sent back.
 *
 * Counted in the server alone: requests, the context switches of the process, its system calls
 * where they can be counted, and how the requests spread over the threads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/io/bench.h"

enum { HOLD_NS = 1000, WARM_UP_NS = 200000000, SIZE = 64, MOST = 64 };

/* A thread's count is read while it runs; each on a line of its own. */
static struct server {
    int fd;
    uint64_t done;
} __attribute__((aligned(64))) servers[MOST];

/* ---- The clients ---- */

static void ask(int fd)
{
    char request[SIZE] = {0};

    if (send(fd, request, sizeof request, MSG_NOSIGNAL) != sizeof request)
        fail("client's send");
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
}

static void clients(struct peers *p, const int *fds, size_t count)
{
    struct epoll_event ready[MOST];
    int epoll = epoll_create1(0);
    char reply[SIZE];

    for (size_t i = 0; i < count; i++) {
        watch(epoll, fds[i]);
        ask(fds[i]);
    }
    while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED)) {
        int n = epoll_wait(epoll, ready, MOST, 1000);
        for (int i = 0; i < n; i++) {
            if (recv(ready[i].data.fd, reply, sizeof reply, 0) != sizeof reply)
                fail("client's recv");
            ask(ready[i].data.fd);
        }
    }
}

/* ---- The server ---- */

static void *serve(void *arg)
{
    struct server *s = arg;
    char request[SIZE];

    way->interpreter->enter();
    while (way->recv(s->fd, request, sizeof request, 0) == sizeof request) {
        busy_until(now_ns() + HOLD_NS);
        if (way->send(s->fd, request, sizeof request, MSG_NOSIGNAL) != sizeof request)
            break;
        __atomic_store_n(&s->done, s->done + 1, __ATOMIC_RELAXED);
    }
    way->interpreter->leave();
    return NULL;
}

struct counts {
    uint64_t done[MOST], all, switched, called;
    bool calls_known;
};

static void count(struct counts *c, size_t threads)
{
    *c = (struct counts){.switched = context_switches()};
    c->calls_known = syscalls_so_far(&c->called);
    for (size_t i = 0; i < threads; i++) {
        c->done[i] = __atomic_load_n(&servers[i].done, __ATOMIC_RELAXED);
        c->all += c->done[i];
    }
}

/* The least that a thread has done, of the mean. */
static double fairness(const struct counts *from, const struct counts *to, size_t threads)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < threads; i++)
        if (to->done[i] - from->done[i] < least)
            least = to->done[i] - from->done[i];
    return (double)least * (double)threads / (double)(to->all - from->all);
}

static void print(const struct counts *from, const struct counts *to, size_t threads, int64_t ns)
{
    double requests = (double)(to->all - from->all);

    if (requests == 0) {
        errno = ENODATA;
        fail("no request was answered");
    }
    printf("{\"ops\": %.1f, \"switches\": %.4f, \"fairness\": %.4f", requests * 1e9 / (double)ns,
           (double)(to->switched - from->switched) / requests, fairness(from, to, threads));
    if (from->calls_known && to->calls_known)
        printf(", \"syscalls\": %.4f", (double)(to->called - from->called) / requests);
    puts("}");
}

static void echo(size_t threads, int64_t ns)
{
    struct peers *p;
    int *fds = peers_start(threads, clients, &p);
    struct counts from, to;
    int64_t start;

    syscalls_start();
    way->interpreter->start();
    for (size_t i = 0; i < threads; i++) {
        servers[i].fd = fds[i];
        start_thread(serve, &servers[i]);
    }
    sleep_ns(WARM_UP_NS);
    start = now_ns();
    count(&from, threads);
    sleep_ns(ns);
    count(&to, threads);
    ns = now_ns() - start;
    __atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
    peers_wait();
    join_threads();
    print(&from, &to, threads, ns);
    free(fds);
}

void echo_16(int64_t ns)
{
    echo(16, ns);
}

void echo_64(int64_t ns)
{
    echo(64, ns);
}
