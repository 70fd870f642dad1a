/* A fixed piece of blocking calls, for io.test to make system calls fail in: streams, files, waits
 * with an end from outside, children, and a batch; over rings, or over plain system calls.
 *
 *   io ERRNO uring|syscall    what is refused with that error is tried again
 *
 * Prints "done" and exits 0 if everything came to its end, with nothing lost; "refused" if one thing
 * was refused a hundred times in a row. The library's own system calls come by here, since the
 * program is linked with --wrap=interruptible_syscall: they are counted as
 *
 *   ring_enter   io_uring_enter
 *   io_try       what is made with the lock held, and does not wait
 *   io_call      what waits */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <gil.h>

enum { ROUNDS = 20, BULK = 300000, REQUESTS = 6, REFUSALS_MOST = 100, NS_PER_MS = 1000000 };

/* Of faultpreload.c: is this the call that fails? Sets errno. */
__attribute__((weak)) bool fault_hits(const char *call);

long __real_interruptible_syscall(const uint32_t *word, uint32_t bits, long number,
                                  const long args[6]);
long __wrap_interruptible_syscall(const uint32_t *word, uint32_t bits, long number,
                                  const long args[6]);

long __wrap_interruptible_syscall(const uint32_t *word, uint32_t bits, long number,
                                  const long args[6])
{
    const char *name = number == SYS_io_uring_enter ? "ring_enter" : bits ? "io_call" : "io_try";
    int saved = errno;
    long result;

    if (fault_hits && fault_hits(name)) {
        result = -errno;
        errno = saved;
        return result;
    }
    return __real_interruptible_syscall(word, bits, number, args);
}

static int expected_error;

static void check(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "io: %s (%s)\n", what, strerror(errno));
    _exit(1);
}

/* A call has failed: it may be tried again if that was on purpose. */
static void refused(int *times, const char *call)
{
    check(errno == expected_error, call);
    if (++*times < REFUSALS_MOST)
        return;
    printf("refused\n");
    fflush(stdout);
    _exit(0);
}

#define until(call)                                                                                \
    for (int refusals_ = 0; !(call);)                                                              \
    refused(&refusals_, #call)

/* The call fails, with that error. */
#define until_it_fails(call, error)                                                                \
    for (int refusals_ = 0; check((call) < 0, #call), errno != (error);)                           \
    refused(&refusals_, #call)

static unsigned long run(gil_thread **thread, void (*fn)(void *arg), void *arg)
{
    unsigned long ident = gil_thread_start(thread, NULL, fn, arg);

    check(ident != GIL_NO_THREAD, "no thread");
    return ident;
}

static void make_pair(int fds[2])
{
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "no sockets");
}

static void close_pair(const int fds[2])
{
    until(gil_close(fds[0]) == 0);
    until(gil_close(fds[1]) == 0);
}

/* ---- Streams ---- */

static void answer(void *arg)
{
    int fd = *(int *)arg;
    char c;

    for (int i = 0; i < ROUNDS; i++) {
        until(gil_recv(fd, &c, 1, 0) == 1);
        until(gil_send(fd, &c, 1, 0) == 1);
    }
}

static void echo(void)
{
    gil_thread *thread;
    int fds[2];

    make_pair(fds);
    run(&thread, answer, &fds[1]);
    for (char i = 0; i < ROUNDS; i++) {
        char c = i;

        until(gil_send(fds[0], &c, 1, 0) == 1);
        until(gil_recv_for(fds[0], &c, 1, 0, INT64_MAX) == 1);
        check(c == i, "a byte was lost");
    }
    gil_thread_join(thread, -1);
    close_pair(fds);
}

static void write_bulk(void *arg)
{
    static char bulk[BULK];
    size_t done = 0;
    ssize_t n;

    while (done < sizeof bulk) {
        until((n = gil_write(*(int *)arg, bulk + done, sizeof bulk - done)) > 0);
        done += (size_t)n;
    }
}

static void read_bulk(void)
{
    gil_thread *thread;
    static char buf[10000];
    size_t done = 0;
    int fds[2];
    ssize_t n;

    check(pipe(fds) == 0, "no pipe");
    run(&thread, write_bulk, &fds[1]);
    while (done < BULK) {
        until((n = gil_read(fds[0], buf, sizeof buf)) > 0);
        done += (size_t)n;
    }
    check(done == BULK, "bytes too many");
    gil_thread_join(thread, -1);
    close_pair(fds);
}

static void take_connection(void *arg)
{
    int fd;

    until((fd = gil_accept(*(int *)arg, NULL, NULL)) >= 0);
    until(gil_close(fd) == 0);
}

static void connections(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof address.sun_family; /* the kernel chooses a name */
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);
    gil_thread *thread;
    char c;

    check(bind(listener, (struct sockaddr *)&address, size) == 0, "no name");
    size = sizeof address;
    check(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "which name");
    check(listen(listener, 1) == 0, "no listener");
    run(&thread, take_connection, &listener);
    until(gil_connect(fd, (struct sockaddr *)&address, size) == 0);
    until(gil_recv(fd, &c, 1, 0) == 0);
    gil_thread_join(thread, -1);
    close_pair((const int[2]){fd, listener});
}

/* ---- Files, time, children ---- */

static void files(void)
{
    char buf[512];
    int fd;

    until((fd = gil_open("/proc/self/exe", O_RDONLY)) >= 0);
    until(gil_pread(fd, buf, sizeof buf, 0) == sizeof buf);
    check(memcmp(buf, "\177ELF", 4) == 0, "another file");
    until(gil_close(fd) == 0);
}

static void times(void)
{
    struct pollfd p = {.events = POLLIN};
    int fds[2];
    char c;

    check(pipe(fds) == 0, "no pipe");
    p.fd = fds[0];
    until_it_fails(gil_read_for(fds[0], &c, 1, 2 * NS_PER_MS), ETIMEDOUT);
    until(gil_poll_for(&p, 1, NS_PER_MS) == 0);
    until(gil_sleep(NS_PER_MS) == 0);
    close_pair(fds);
}

static void children(void)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        usleep(1000);
        _exit(7);
    }
    until(gil_waitpid(child, &status, 0) == child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 7, "another status");
}

/* ---- Ends from outside ---- */

static void wait_for_interrupt(void *arg)
{
    char c;

    until_it_fails(gil_read(*(int *)arg, &c, 1), EINTR);
}

static void wait_for_close(void *arg)
{
    char c;

    until_it_fails(gil_recv(*(int *)arg, &c, 1, 0), EBADF);
}

static void ends(void)
{
    unsigned long ident;
    gil_thread *thread;
    int fds[2];

    make_pair(fds);
    ident = run(&thread, wait_for_interrupt, &fds[0]);
    until(gil_sleep(NS_PER_MS) == 0);
    check(gil_interrupt(ident) == 0, "no such thread");
    gil_thread_join(thread, -1);
    run(&thread, wait_for_close, &fds[0]);
    until(gil_sleep(NS_PER_MS) == 0);
    close_pair(fds);
    gil_thread_join(thread, -1);
}

/* ---- A batch ---- */

/* Of each pair, one end is written to and the other one read from. */
static void add_pairs(gil_batch *b, int fds[REQUESTS][2], char bytes[REQUESTS][2])
{
    gil_batch_clear(b);
    for (int i = 0; i < REQUESTS; i++) {
        gil_batch_recv(b, fds[i][0], &bytes[i][0], 1, 0);
        gil_batch_send(b, fds[i][1], &bytes[i][1], 1, 0);
    }
}

/* What failed on purpose is done over, one at a time. */
static void check_pairs(gil_batch *b, int fds[REQUESTS][2], char bytes[REQUESTS][2])
{
    for (unsigned i = 0; i < REQUESTS; i++) {
        ssize_t got = gil_batch_result(b, 2 * i), error = errno;
        ssize_t sent = gil_batch_result(b, 2 * i + 1);

        if (sent != 1)
            until(gil_send(fds[i][1], &bytes[i][1], 1, 0) == 1);
        check(got == 1 || error == expected_error || error == ECANCELED, "a receive failed");
        if (got != 1)
            until(gil_recv(fds[i][0], &bytes[i][0], 1, 0) == 1);
        check(bytes[i][0] == bytes[i][1], "a byte was lost");
    }
}

static void batches(void)
{
    gil_batch *b = gil_batch_create(2 * REQUESTS);
    char bytes[REQUESTS][2] = {0};
    int fds[REQUESTS][2];

    check(b, "no batch");
    for (int i = 0; i < REQUESTS; i++) {
        make_pair(fds[i]);
        bytes[i][1] = (char)(i + 1);
    }
    add_pairs(b, fds, bytes);
    if (gil_batch_wait_all_for(b, 100 * NS_PER_MS) != 0)
        gil_batch_cancel(b); /* a send has failed, and so nothing arrives */
    check_pairs(b, fds, bytes);
    gil_batch_clear(b);
    gil_batch_recv(b, fds[0][0], bytes[0], 1, 0);
    check(gil_batch_wait_any_for(b, NS_PER_MS) <= 0, "an index that no request has");
    gil_batch_cancel(b);
    check(gil_batch_result(b, 0) < 0, "a receive of nothing");
    gil_batch_destroy(b);
    for (int i = 0; i < REQUESTS; i++)
        close_pair(fds[i]);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: io ERRNO uring|syscall\n");
        return 2;
    }
    expected_error = atoi(argv[1]);
    setenv("GIL_IO", argv[2], 1);
    if (gil_initialize(0) != 0)
        return 1;
    echo();
    read_bulk();
    connections();
    files();
    times();
    children();
    ends();
    batches();
    gil_finalize();
    puts("done");
    return 0;
}
