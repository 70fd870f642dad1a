/* Many threads blocked in recv at once, their peers in another process, which wakes them one at a
 * time and waits for the answer.
 *
 * Of 10 and of 10 000: the median of the round trips, and, while all are blocked, the files, the
 * mappings and the resident memory that a thread takes. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/bench/io/bench.h"

enum { TRIPS_MOST = 20000, PAUSE_NS = 50000, SETTLE_NS = 200000000 };

static uint64_t blocked; /* threads that are about to, with the lock held */
static int64_t window_ns;

/* ---- The peers ---- */

/* All in an order that has nothing to do with that in which they came. */
static size_t next(size_t at, size_t count)
{
    const size_t stride = 7919; /* a prime */

    return (at + stride) % count;
}

static void wakers(struct peers *p, const int *fds, size_t count)
{
    static double trips[TRIPS_MOST];
    size_t done = 0, at = 0;
    int64_t end;
    char byte = 0;

    while (!__atomic_load_n(&p->go, __ATOMIC_ACQUIRE))
        sleep_ns(1000000);
    end = now_ns() + window_ns;
    for (int64_t start = now_ns(); start < end && done < TRIPS_MOST; start = now_ns()) {
        if (send(fds[at], &byte, 1, MSG_NOSIGNAL) != 1 || recv(fds[at], &byte, 1, 0) != 1)
            fail("a peer's send or recv");
        trips[done++] = (double)(now_ns() - start) / 1e3;
        at = next(at, count);
        sleep_ns(PAUSE_NS);
    }
    p->wake_us = quantile(trips, done, 0.5);
}

/* ---- The threads ---- */

static void *answer(void *arg)
{
    int fd = *(int *)arg;
    char byte;

    way->interpreter->enter();
    __atomic_store_n(&blocked, blocked + 1, __ATOMIC_RELEASE);
    while (way->recv(fd, &byte, 1, 0) == 1)
        if (way->send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
            break;
    way->interpreter->leave();
    return NULL;
}

/* ---- What they take ---- */

struct taken {
    double files, maps, kib;
};

static double files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double count = -3; /* itself and the two that every folder has */

    if (!dir)
        fail("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static double maps(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    double count = 0;
    int c;

    if (!f)
        fail("/proc/self/maps");
    while ((c = getc(f)) != EOF)
        count += c == '\n';
    fclose(f);
    return count;
}

static double resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long size, resident;

    if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
        fail("/proc/self/statm");
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static struct taken taken(void)
{
    return (struct taken){files(), maps(), resident_kib()};
}

static void crowd(size_t count, int64_t ns)
{
    struct peers *p;
    struct taken before, all;
    double n = (double)count;
    int *fds;

    window_ns = ns;
    fds = peers_start(count, wakers, &p);
    way->interpreter->start();
    before = taken();
    for (size_t i = 0; i < count; i++)
        start_thread(answer, &fds[i]);
    while (__atomic_load_n(&blocked, __ATOMIC_ACQUIRE) < count)
        sleep_ns(1000000);
    sleep_ns(SETTLE_NS);
    all = taken();
    __atomic_store_n(&p->go, true, __ATOMIC_RELEASE);
    peers_wait();
    join_threads();
    printf("{\"wake_us\": %.3f, \"files\": %.3f, \"maps\": %.3f, \"kib\": %.3f}\n", p->wake_us,
           (all.files - before.files) / n, (all.maps - before.maps) / n,
           (all.kib - before.kib) / n);
    free(fds);
}

void crowd_10(int64_t ns)
{
    crowd(10, ns);
}

void crowd_10000(int64_t ns)
{
    crowd(10000, ns);
}
