/* The load generator of the echo rows: one client, UDP or TCP, in a process of its own.
 *
 *     load udp|tcp PORT SECONDS PAUSE_US
 *
 * Sends a request, waits for the reply, compares it byte by byte, optionally pauses, and goes on;
 * the first part of the run (a quarter of a second) is not counted. Prints one JSON line.
 *
 * Invariant: a figure is printed only when every single reply was complete and right; otherwise the
 * program says what was wrong and exits 1. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 64, WARM_UP_MS = 250, PATIENCE_S = 10 };

struct latencies {
    uint64_t *ns;
    size_t count;
    size_t room;
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void add(struct latencies *all, uint64_t ns)
{
    if (all->count == all->room) {
        all->room = all->room ? all->room * 2 : 65536;
        all->ns = realloc(all->ns, all->room * sizeof *all->ns);
        if (!all->ns)
            fail("latencies");
    }
    all->ns[all->count++] = ns;
}

static int connect_to(int type, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, type, 0);
    int on = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("connect");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        fail("SO_RCVTIMEO");
    if (type == SOCK_STREAM && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        fail("TCP_NODELAY");
    return fd;
}

/* One request and its reply. No two requests of a run are the same, so that an old or repeated
 * reply does not pass. */
static void exchange(int fd, int type, uint64_t number)
{
    char request[SIZE], reply[SIZE];
    size_t got = 0;

    memset(request, 'a' + (int)(number % 26), sizeof request);
    memcpy(request, &number, sizeof number);
    if (send(fd, request, sizeof request, MSG_NOSIGNAL) != (ssize_t)sizeof request)
        fail("send");
    while (got < sizeof reply) {
        ssize_t n = recv(fd, reply + got, sizeof reply - got, 0);

        if (n == 0 && type == SOCK_STREAM)
            errno = ECONNRESET;
        if (n <= 0)
            fail("no reply");
        got += (size_t)n;
        if (type == SOCK_DGRAM)
            break;
    }
    if (got != sizeof reply || memcmp(request, reply, sizeof reply) != 0) {
        fprintf(stderr, "load: reply %llu differs from its request\n", (unsigned long long)number);
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double quantile_us(const struct latencies *all, double q)
{
    size_t at = (size_t)(q * (double)all->count);

    return (double)all->ns[at < all->count ? at : all->count - 1] / 1e3;
}

int main(int argc, char **argv)
{
    struct latencies all = {0};

    if (argc != 5 || (strcmp(argv[1], "udp") != 0 && strcmp(argv[1], "tcp") != 0)) {
        fprintf(stderr, "usage: load udp|tcp PORT SECONDS PAUSE_US\n");
        return 2;
    }
    int type = strcmp(argv[1], "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
    int fd = connect_to(type, atoi(argv[2]));
    uint64_t pause_ns = strtoull(argv[4], NULL, 10) * 1000;
    struct timespec pause = {.tv_sec = (time_t)(pause_ns / 1000000000),
                             .tv_nsec = (long)(pause_ns % 1000000000)};
    uint64_t start = now_ns() + (uint64_t)WARM_UP_MS * 1000000;
    uint64_t end = start + (uint64_t)(atof(argv[3]) * 1e9);
    uint64_t first = 0, before, after = 0;

    for (uint64_t number = 1; after < end; number++) {
        before = now_ns();
        exchange(fd, type, number);
        after = now_ns();
        if (before >= start) {
            add(&all, after - before);
            if (!first)
                first = before;
        }
        if (pause_ns)
            nanosleep(&pause, NULL);
    }
    if (!all.count) {
        fprintf(stderr, "load: no request fell into the measured time\n");
        return 1;
    }
    qsort(all.ns, all.count, sizeof *all.ns, by_value);
    printf("{\"requests\": %zu, \"rate\": %.2f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
           "\"p999_us\": %.2f, \"max_us\": %.2f}\n",
           all.count, (double)all.count * 1e9 / (double)(after - first), quantile_us(&all, 0.5),
           quantile_us(&all, 0.99), quantile_us(&all, 0.999), quantile_us(&all, 1.0));
    close(fd);
    return 0;
}
