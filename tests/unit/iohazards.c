/* Blocking calls where rings, tries and files that change are easy to get wrong: each hazard is a
 * test named after it. Those of the ring itself are in ring.c, interrupts in iointerrupt.c, closing
 * in ioclose.c, what a process may lack in iofallback.c. */
#include "blocking.h"

#include "lib/runtime.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

static int ends[2];
static char some[4 << 20];

/* A thread that does something while the main one waits. */
static void *write_two(void *arg)
{
    sleep_ns(2 * MS);
    ck_assert_int_eq(write(*(int *)arg, "ab", 2), 2);
    return NULL;
}

static void *read_slowly(void *arg)
{
    static char away[65536];
    ssize_t n;

    do {
        sleep_ns(200 * US);
        n = read(*(int *)arg, away, sizeof away);
    } while (n > 0);
    return NULL;
}

/* Forgets what is in memory of a file, but for its first page. */
static void keep_first_page(int fd)
{
    char page[4096];

    ck_assert_int_eq(fsync(fd), 0);
    ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
    ck_assert_int_eq(pread(fd, page, sizeof page, 0), sizeof page);
}

#define AGAIN(call)                                                                                \
    do {                                                                                           \
        ck_assert_int_eq(call, -1);                                                                \
        ck_assert_int_eq(errno, EAGAIN);                                                           \
    } while (0)

START_TEST(o_nonblock)
{
    struct sockaddr_in at;
    int pair[2], server = make_server(&at);
    char c;

    begin_io(_i);
    make_pipe(ends);
    make_pair(pair);
    gil_restore_thread(test_state);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    fcntl(server, F_SETFL, O_NONBLOCK);
    AGAIN(gil_read(ends[0], &c, 1));
    AGAIN(gil_read(pair[0], &c, 1));
    AGAIN(gil_recv(pair[0], &c, 1, 0));
    AGAIN(gil_recv(pair[0], &c, 1, MSG_WAITALL));
    AGAIN(gil_recv_for(pair[0], &c, 1, 0, LONG_NS));
    AGAIN(gil_recvfrom(pair[0], &c, 1, 0, NULL, NULL));
    AGAIN(gil_accept(server, NULL, NULL));
    ck_assert_int_eq(gil_write(ends[1], some, 1 << 20), 65536);
    AGAIN(gil_write(ends[1], "x", 1));
    while (gil_send(pair[0], some, 60000, 0) > 0)
        ;
    AGAIN(gil_send(pair[0], some, 60000, 0));
}
END_TEST

/* A thread that has waited for the socket before remembers that it may. */
static void wait_for(int fd, int peer, int times)
{
    for (int i = 0; i < times; i++) {
        pthread_t writer = start(write_two, &peer);

        ck_assert_int_eq(gil_recv(fd, some, 2, 0), 2);
        join(writer);
    }
}

START_TEST(o_nonblock_that_is_set_later)
{
    begin_io(_i);
    make_pair(ends);
    gil_restore_thread(test_state);
    for (int i = 0; i < 12; i++) {
        wait_for(ends[0], ends[1], i);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        AGAIN(gil_recv(ends[0], some, 2, 0));
        AGAIN(gil_recv_for(ends[0], some, 2, 0, LONG_NS));
        fcntl(ends[0], F_SETFL, 0);
    }
}
END_TEST

START_TEST(a_time_limit_that_is_set_later)
{
    const struct timeval limit = {.tv_usec = 10000};

    begin_io(_i);
    make_pair(ends);
    gil_restore_thread(test_state);
    wait_for(ends[0], ends[1], 5);
    ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    AGAIN(gil_recv(ends[0], some, 2, 0));
    AGAIN(gil_recv(ends[0], some, 2, 0));
}
END_TEST

START_TEST(a_number_that_becomes_another_files)
{
    int fresh[2];

    begin_io(_i);
    make_pair(ends);
    gil_restore_thread(test_state);
    wait_for(ends[0], ends[1], 5);
    make_pair(fresh);
    fcntl(fresh[0], F_SETFL, O_NONBLOCK);
    ck_assert_int_eq(dup2(fresh[0], ends[0]), ends[0]);
    AGAIN(gil_recv(ends[0], some, 2, 0));
    wait_for(fresh[1], fresh[0], 20);
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_int_eq(gil_recv(ends[0], some, 2, 0), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

/* What is there is taken, whether or not there is a try. */
START_TEST(data_that_is_there_after_many_waits)
{
    begin_io(_i);
    make_pair(ends);
    gil_restore_thread(test_state);
    wait_for(ends[0], ends[1], 5);
    for (int i = 0; i < 30; i++) {
        ck_assert_int_eq(write(ends[1], "ab", 2), 2);
        ck_assert_int_eq(gil_recv_for(ends[0], some, 2, 0, 0), 2);
        ck_assert_int_eq(write(ends[1], "ab", 2), 2);
        ck_assert_int_eq(gil_recv(ends[0], some, 2, 0), 2);
    }
}
END_TEST

static void note_signal(int signum)
{
    (void)signum;
}

START_TEST(ecanceled_near_signals)
{
    struct sigaction action = {.sa_handler = note_signal};
    job j;

    begin_io(_i);
    make_pair(ends);
    ck_assert_int_eq(sigaction(SIGUSR2, &action, NULL), 0);
    job_start_asleep(&j, recv_one, ends);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(pthread_kill(j.thread, i % 2 ? SIGUSR2 : GIL_IO_SIGNAL), 0);
    ck_assert(!atomic_load(&j.done));
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    job_expect(&j, 1);
}
END_TEST

/* How many of the pages that make_file() wrote are not in `some`. */
static int wrong_pages(void)
{
    int wrong = 0;

    for (int at = 0; at < 1 << 20; at += 4096)
        wrong += some[at] != (at / 4096 & 127) || memcmp(&some[at], &some[at + 1], 4095) != 0;
    return wrong;
}

START_TEST(short_reads_on_partly_cached_files)
{
    int fd = make_file(1 << 20);

    begin_io(_i);
    gil_restore_thread(test_state);
    keep_first_page(fd);
    ck_assert_int_eq(gil_pread(fd, some, 1 << 20, 0), 1 << 20);
    ck_assert_int_eq(wrong_pages(), 0);
    keep_first_page(fd);
    memset(some, -1, 1 << 20);
    ck_assert_int_eq(gil_read(fd, some, 1 << 20), 1 << 20);
    ck_assert_int_eq(wrong_pages(), 0);
}
END_TEST

START_TEST(partial_sends)
{
    pthread_t reader;

    begin_io(_i);
    make_tcp_pair(ends);
    gil_restore_thread(test_state);
    reader = start(read_slowly, &ends[1]);
    ck_assert_int_eq(gil_send(ends[0], some, sizeof some, 0), sizeof some);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(gil_send(ends[0], some, 60000, 0), 60000);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(gil_write(ends[0], some, 60000), 60000);
    ck_assert_int_eq(gil_shutdown(ends[0], SHUT_WR), 0);
    join(reader);
}
END_TEST

/* A try of such a read would keep the lock while the device reads. */
START_TEST(o_direct_reads_are_made_without_the_lock)
{
    enum { READS = 20 };
    char path[64], *page;
    int fd, file = make_file(16384);
    struct iovec iov = {NULL, 4096};
    uint64_t before;

    begin_io(_i);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    fd = open(path, O_RDONLY | O_DIRECT);
    if (fd < 0)
        return; /* a file system without it */
    ck_assert_int_eq(posix_memalign((void **)&page, 4096, 4096), 0);
    iov.iov_base = page;
    gil_restore_thread(test_state);
    before = stats_of(&shared.lock, my_tid()).acquires;
    for (int i = 0; i < READS; i++) {
        ck_assert_int_eq(gil_pread(fd, page, 4096, 8192), 4096);
        ck_assert_int_eq(page[4095], 2);
        ck_assert_int_eq(gil_preadv(fd, &iov, 1, 4096), 4096);
        ck_assert_int_eq(page[4095], 1);
    }
    ck_assert_uint_eq(stats_of(&shared.lock, my_tid()).acquires, before + 2 * READS);
}
END_TEST

/* ---- two threads at one position ---- */

enum { RECORDS = 512 };

static atomic_int seen[RECORDS];

static long read_records(void *arg)
{
    int32_t record[1024];

    while (gil_read(*(int *)arg, record, sizeof record) == sizeof record)
        atomic_fetch_add(&seen[record[0]], 1);
    return 0;
}

START_TEST(shared_file_offset)
{
    int fd = make_file(RECORDS * 4096);
    job jobs[4];

    begin_io(_i);
    for (int32_t i = 0; i < RECORDS; i++)
        ck_assert_int_eq(pwrite(fd, &i, sizeof i, i * 4096), sizeof i);
    keep_first_page(fd);
    for (int i = 0; i < 4; i++)
        job_start(&jobs[i], read_records, &fd);
    for (int i = 0; i < 4; i++)
        job_expect(&jobs[i], 0);
    for (int i = 0; i < RECORDS; i++)
        ck_assert_msg(atomic_load(&seen[i]) == 1, "record %d: %d times", i, atomic_load(&seen[i]));
}
END_TEST

START_TEST(zero_length)
{
    begin_io(_i);
    make_pipe(ends);
    gil_restore_thread(test_state);
    ck_assert_int_eq(gil_read(ends[0], some, 0), 0);
    ck_assert_int_eq(gil_write(ends[1], some, 0), 0);
    ck_assert_int_eq(gil_readv(ends[0], NULL, 0), 0);
    make_tcp_pair(ends);
    ck_assert_int_eq(gil_send(ends[1], some, 0, 0), 0);
    ck_assert_int_eq(gil_send(ends[1], "x", 1, 0), 1);
    ck_assert_int_eq(gil_recv(ends[0], some, 0, 0), 0); /* which waits for the byte */
    ck_assert_int_eq(gil_recv(ends[0], some, 1, 0), 1);
}
END_TEST

START_TEST(efault_buffers)
{
    char *nowhere = (char *)1;
    pthread_t writer;

    begin_io(_i);
    make_pipe(ends);
    gil_restore_thread(test_state);
#define FAULT(call)                                                                                \
    do {                                                                                           \
        writer = start(write_two, &ends[1]);                                                       \
        ck_assert_int_eq(call, -1); /* it waits first */                                           \
        ck_assert_int_eq(errno, EFAULT);                                                           \
        join(writer);                                                                              \
    } while (0)
    FAULT(gil_read(ends[0], nowhere, 8));
    make_pair(ends);
    FAULT(gil_recv(ends[0], nowhere, 8, 0));
    ck_assert_int_eq(gil_readv(ends[0], (struct iovec *)nowhere, 1), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(gil_writev(ends[0], (struct iovec *)nowhere, 1), -1);
    ck_assert_int_eq(errno, EFAULT);
}
END_TEST

START_TEST(sizes_over_int_max)
{
    const size_t size = (size_t)3 << 30;
    int null = open("/dev/null", O_WRONLY);
    pthread_t writer;
    char *huge = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    ck_assert_ptr_ne(huge, MAP_FAILED);
    begin_io(_i);
    make_pair(ends);
    gil_restore_thread(test_state);
    ck_assert_int_eq(gil_write(null, huge, size), 0x7ffff000);
    writer = start(write_two, &ends[1]);
    ck_assert_int_eq(gil_recv(ends[0], huge, size, 0), 2);
    join(writer);
    writer = start(write_two, &ends[1]);
    ck_assert_int_eq(gil_read(ends[0], huge, size), 2);
    join(writer);
}
END_TEST

/* ---- SIGPIPE ---- */

static atomic_int sigpipes;

static void on_sigpipe(int signum)
{
    (void)signum;
    atomic_fetch_add(&sigpipes, 1);
}

static void *close_first(void *arg)
{
    sleep_ns(2 * MS);
    close(*(int *)arg);
    return NULL;
}

static void fill(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (write(fd, some, 4096) > 0)
        ;
    fcntl(fd, F_SETFL, 0);
}

/* The reader goes away before the call, or while it waits. */
static void broken(void (*make)(int ends[2]), bool waits, long (*call)(void *arg), int error,
                   int signals)
{
    pthread_t closer;

    make(ends);
    if (waits)
        fill(ends[1]);
    atomic_store(&sigpipes, 0);
    closer = start(close_first, &ends[0]);
    if (!waits)
        join(closer);
    errno = 0;
    ck_assert_int_eq(call(&ends[1]), -1);
    ck_assert_int_eq(errno, error);
    ck_assert_int_eq(atomic_load(&sigpipes), signals);
    if (waits)
        join(closer);
    close(ends[1]);
}

static long write_x(void *arg)
{
    return gil_write(*(int *)arg, "x", 1);
}

static long send_x(void *arg)
{
    return gil_send(*(int *)arg, "x", 1, 0);
}

static long send_x_quietly(void *arg)
{
    return gil_send(*(int *)arg, "x", 1, MSG_NOSIGNAL);
}

static long sendmsg_x(void *arg)
{
    struct iovec iov = {"x", 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    return gil_sendmsg(*(int *)arg, &message, 0);
}

START_TEST(sigpipe)
{
    struct sigaction action = {.sa_handler = on_sigpipe};

    ck_assert_int_eq(sigaction(SIGPIPE, &action, NULL), 0);
    begin_io(_i);
    gil_restore_thread(test_state);
    for (int waits = 0; waits < 2; waits++) {
        /* What a socket's peer has not read makes it a reset, to a call that waits. */
        int error = waits ? ECONNRESET : EPIPE;

        broken(make_pipe, waits, write_x, EPIPE, 1);
        broken(make_pair, waits, write_x, error, !waits);
        broken(make_pair, waits, send_x, error, !waits);
        broken(make_pair, waits, sendmsg_x, error, !waits);
        broken(make_pair, waits, send_x_quietly, error, 0);
    }
}
END_TEST

/* ---- the end of a thread, and of a deadline ---- */

START_TEST(thread_exit_with_a_request_in_flight)
{
    job j;

    begin_io(_i);
    make_pipe(ends);
    job_start_asleep(&j, read_one, ends);
    ck_assert_int_eq(pthread_cancel(j.thread), 0); /* no call is a cancellation point */
    sleep_ns(10 * MS);
    ck_assert(asleep(atomic_load(&j.tid)));
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    join(j.thread);
}
END_TEST

START_TEST(process_exit_with_a_request_in_flight)
{
    pid_t pid = fork();
    job j;

    if (pid == 0) {
        begin_io(_i);
        make_pipe(ends);
        job_start_asleep(&j, read_one, ends);
        exit(0);
    }
    check_child(pid);
}
END_TEST

static void *write_at_random(void *arg)
{
    unsigned seed = 1;

    for (int i = 0; i < *(int *)arg; i++) {
        spin_ns(rand_r(&seed) % 200 * US);
        ck_assert_int_eq(send(ends[1], "x", 1, 0), 1);
    }
    return NULL;
}

/* No byte is lost, or read twice, whether the deadline or the byte comes first. */
START_TEST(a_timeout_that_races_with_completion)
{
    int count = 2000, got = 0, late = 0;
    pthread_t writer;
    char c;

    begin_io(_i);
    make_pair(ends);
    gil_restore_thread(test_state);
    writer = start(write_at_random, &count);
    while (got < count) {
        long result = gil_recv_for(ends[0], &c, 1, 0, 100 * US);

        if (result < 0)
            ck_assert_int_eq(errno, ETIMEDOUT);
        got += result > 0;
        late += result < 0;
        ck_assert_int_lt(late, 100 * count);
    }
    join(writer);
    ck_assert_int_eq(gil_recv_for(ends[0], &c, 1, 0, MS), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
}
END_TEST

/* ---- files ---- */

START_TEST(fd_limits)
{
    struct rlimit limit;
    job j;

    begin_io(_i);
    make_pipe(ends);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)ends[1] + 2; /* one, for asleep() */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    job_start_asleep(&j, read_one, ends);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    job_expect(&j, 1);
}
END_TEST

static long read_two(void *arg)
{
    return read_one(arg) + gil_read(ends[0], some, 1);
}

START_TEST(a_program_that_closes_every_fd_and_opens_files_on_the_same_numbers)
{
    job j;

    begin_io(_i);
    make_pipe(ends);
    dup2(ends[0], 200);
    dup2(ends[1], 201);
    ends[0] = 200;
    ends[1] = 201;
    job_start_asleep(&j, read_two, ends);
    for (int fd = 3; fd < 200; fd++)
        close(fd);
    for (int fd = 3; fd < 200; fd++)
        ck_assert_int_eq(open("/dev/null", O_RDONLY), fd);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    WAIT_FOR(asleep(atomic_load(&j.tid)));
    job_interrupt(&j);
    job_expect(&j, 0); /* 1 and -1 */
    for (int fd = 3; fd < 200; fd++) {
        struct stat about;

        ck_assert_int_eq(fstat(fd, &about), 0);
        ck_assert(S_ISCHR(about.st_mode));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("iohazards");
    TCase *tc = tcase_create("iohazards");

    tcase_set_timeout(tc, 30);
    ADD_BOTH(tc, o_nonblock);
    ADD_BOTH(tc, o_nonblock_that_is_set_later);
    ADD_BOTH(tc, a_time_limit_that_is_set_later);
    ADD_BOTH(tc, a_number_that_becomes_another_files);
    ADD_BOTH(tc, data_that_is_there_after_many_waits);
    ADD_BOTH(tc, ecanceled_near_signals);
    ADD_BOTH(tc, short_reads_on_partly_cached_files);
    ADD_BOTH(tc, o_direct_reads_are_made_without_the_lock);
    ADD_BOTH(tc, partial_sends);
    ADD_BOTH(tc, shared_file_offset);
    ADD_BOTH(tc, zero_length);
    ADD_BOTH(tc, efault_buffers);
    ADD_BOTH(tc, sizes_over_int_max);
    ADD_BOTH(tc, sigpipe);
    ADD_BOTH(tc, thread_exit_with_a_request_in_flight);
    ADD_BOTH(tc, process_exit_with_a_request_in_flight);
    ADD_BOTH(tc, a_timeout_that_races_with_completion);
    ADD_BOTH(tc, fd_limits);
    ADD_BOTH(tc, a_program_that_closes_every_fd_and_opens_files_on_the_same_numbers);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
