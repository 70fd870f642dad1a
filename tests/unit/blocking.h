/* Shared by the tests of blocking calls (io.h): a runtime that waits in one of two ways, *jobs*,
 * threads that make one call each, and a *rival*, a thread that computes and so wants the lock all
 * the time. The test's own thread runs without the lock.
 *
 * Each test runs twice, in processes of its own: over rings, and over plain system calls. Where the
 * kernel has no ring, the first is the second. */
#ifndef TESTS_UNIT_BLOCKING_H
#define TESTS_UNIT_BLOCKING_H

#include "harness.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <gil/io.h>

static const char *const backends[] = {"uring", "syscall"};

enum { BACKENDS = 2 };

static gil_thread_state *test_state;

HARNESS void begin_io(int backend)
{
    ck_assert_int_eq(setenv("GIL_IO", backends[backend], 1), 0);
    ck_assert_int_eq(gil_initialize(0), 0);
    gil_init_threads();
    test_state = gil_save_thread();
}

/* Does this run wait on rings? */
HARNESS bool on_rings(void)
{
    return gil_io_status() == GIL_IO_URING;
}

/* ---- jobs ---- */

typedef struct job {
    long (*fn)(void *arg); /* with the lock held */
    void *arg;
    pthread_t thread;
    atomic_int tid;
    atomic_ulong ident;
    atomic_bool called, done;
    long result;
    int error;
    bool ran; /* it held the lock again on return */
} job;

HARNESS void *job_main(void *arg)
{
    job *j = arg;
    gil_state state = gil_ensure();

    atomic_store(&j->ident, gil_thread_ident());
    atomic_store(&j->tid, my_tid());
    atomic_store(&j->called, true);
    errno = 0;
    j->result = j->fn(j->arg);
    j->error = errno;
    j->ran = gil_check();
    gil_release(state);
    atomic_store(&j->done, true);
    return NULL;
}

HARNESS void job_start(job *j, long (*fn)(void *arg), void *arg)
{
    memset(j, 0, sizeof *j);
    j->fn = fn;
    j->arg = arg;
    j->thread = start(job_main, j);
}

/* Returns when it sleeps in its call. */
HARNESS void job_start_asleep(job *j, long (*fn)(void *arg), void *arg)
{
    job_start(j, fn, arg);
    WAIT_FOR(atomic_load(&j->called));
    WAIT_FOR(asleep(atomic_load(&j->tid)));
    ck_assert(!atomic_load(&j->done));
}

/* It ends, with this result; a negative one is -errno. */
HARNESS void job_expect(job *j, long result)
{
    join(j->thread);
    ck_assert(j->ran);
    if (result < 0) {
        ck_assert_int_eq(j->result, -1);
        ck_assert_int_eq(j->error, (int)-result);
    } else {
        ck_assert_msg(j->result == result, "%ld instead of %ld, errno %d", j->result, result,
                      j->error);
    }
}

HARNESS void job_interrupt(const job *j)
{
    ck_assert_int_eq(gil_interrupt(atomic_load(&j->ident)), 0);
}

/* ---- a rival ---- */

typedef struct rival {
    pthread_t thread;
    atomic_bool stop;
    atomic_ulong steps;
} rival;

HARNESS void *rival_main(void *arg)
{
    rival *r = arg;
    gil_state state = gil_ensure();

    while (!atomic_load(&r->stop)) {
        atomic_fetch_add(&r->steps, 1);
        gil_checkpoint();
    }
    gil_release(state);
    return NULL;
}

HARNESS void rival_start(rival *r)
{
    r->thread = start(rival_main, r);
    WAIT_FOR(atomic_load(&r->steps) > 0);
}

HARNESS void rival_end(rival *r)
{
    atomic_store(&r->stop, true);
    join(r->thread);
}

/* ---- files ---- */

HARNESS void make_pipe(int ends[2])
{
    ck_assert_int_eq(pipe(ends), 0);
}

HARNESS void make_pair(int ends[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

HARNESS int make_server(struct sockaddr_in *at)
{
    socklen_t size = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(at, 0, sizeof *at);
    at->sin_family = AF_INET;
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)at, size), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)at, &size), 0);
    return fd;
}

HARNESS void make_tcp_pair(int ends[2])
{
    struct sockaddr_in at;
    int server = make_server(&at);

    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&at, sizeof at), 0);
    ends[1] = accept(server, NULL, NULL);
    ck_assert_int_ge(ends[1], 0);
    close(server);
}

/* A file without a name, of `size` bytes that count up. */
HARNESS int make_file(size_t size)
{
    char path[] = "/tmp/gil-io-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(path), 0);
    for (size_t at = 0; at < size; at += 4096) {
        char page[4096];

        memset(page, (int)(at / 4096) & 127, sizeof page);
        ck_assert_int_eq(pwrite(fd, page, size - at < 4096 ? size - at : 4096, (off_t)at),
                         size - at < 4096 ? size - at : 4096);
    }
    return fd;
}

/* ---- calls for jobs: on what arg points to ---- */

HARNESS long read_one(void *arg)
{
    char c;

    return gil_read(*(int *)arg, &c, 1);
}

HARNESS long recv_one(void *arg)
{
    char c;

    return gil_recv(*(int *)arg, &c, 1, 0);
}

HARNESS long accept_one(void *arg)
{
    return gil_accept(*(int *)arg, NULL, NULL);
}

HARNESS long sleep_long(void *arg)
{
    (void)arg;
    return gil_sleep(LONG_NS);
}

HARNESS long poll_one(void *arg)
{
    struct pollfd file = {.fd = *(int *)arg, .events = POLLIN};

    return gil_poll(&file, 1, -1);
}

/* Adds a test that runs over both backends. */
#define ADD_BOTH(tcase, test) tcase_add_loop_test(tcase, test, 0, BACKENDS)

#endif
