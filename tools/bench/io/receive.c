/* Receiving, by itself: two threads on the lock send each other one datagram to and fro, on one
 * processor, so that each message is one wait, one wake-up and one change of threads. Sends are
 * plain in every way, so that only receiving is compared; and without the lock, or whoever is woken
 * by one would find it taken.
 *
 *   alone      nobody else wants the lock
 *   contended  beside a thread that computes, and gives the lock up when it is asked to */
#include <stdio.h>
#include <sys/socket.h>

#include "tools/bench/io/bench.h"

enum { PLAYERS = 2 };

static int fds[PLAYERS];
static uint64_t received;
static bool stop;

static bool stopped(void)
{
    return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* The one who stops sends once more, for the other one to stop as well. */
static void *player(void *arg)
{
    int fd = *(int *)arg;
    bool last = false;
    char byte = 0;

    pin(0);
    way->interpreter->enter();
    while (!last) {
        if (way->recv(fd, &byte, 1, 0) != 1)
            fail("recv");
        __atomic_store_n(&received, received + 1, __ATOMIC_RELAXED); /* with the lock held */
        last = stopped();
        way->interpreter->let_go();
        if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
            fail("send");
        way->interpreter->take_back();
    }
    way->interpreter->leave();
    return NULL;
}

static void *computing(void *arg)
{
    (void)arg;
    pin(0);
    way->interpreter->enter();
    while (!stopped())
        way->interpreter->checkpoint();
    way->interpreter->leave();
    return NULL;
}

static uint64_t messages(void)
{
    return __atomic_load_n(&received, __ATOMIC_RELAXED);
}

static void receive(int64_t ns, bool contended)
{
    char byte = 0;
    double rate;

    way->interpreter->start();
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) != 0)
        fail("socketpair");
    for (int i = 0; i < PLAYERS; i++)
        start_thread(player, &fds[i]);
    if (contended)
        start_thread(computing, NULL);
    if (send(fds[0], &byte, 1, MSG_NOSIGNAL) != 1)
        fail("send");
    rate = rate_of(messages, ns);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    join_threads();
    printf("{\"ops\": %.1f}\n", rate);
}

void recv_alone(int64_t ns)
{
    receive(ns, false);
}

void recv_contended(int64_t ns)
{
    receive(ns, true);
}
