/* Interrupting blocking calls: gil_interrupt(), signals, and deadlines. */
#include "blocking.h"

#include <gil/thread.h>

#include <sys/stat.h>

static int ends[2];

/* ---- the calls ---- */

static int64_t limit_ns = -1;

static long read_limited(void *arg)
{
    char c;

    return gil_read_for(*(int *)arg, &c, 1, limit_ns);
}

static long write_limited(void *arg)
{
    return gil_write_for(*(int *)arg, "x", 1, limit_ns);
}

static long recv_limited(void *arg)
{
    char c;

    return gil_recv_for(*(int *)arg, &c, 1, 0, limit_ns);
}

static long recv_all_limited(void *arg)
{
    char some[8];

    return gil_recv_for(*(int *)arg, some, sizeof some, MSG_WAITALL, limit_ns);
}

static long recvfrom_limited(void *arg)
{
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    char c;

    return gil_recvfrom_for(*(int *)arg, &c, 1, 0, (struct sockaddr *)&from, &size, limit_ns);
}

static long recvmsg_limited(void *arg)
{
    char c;
    struct iovec iov = {&c, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    return gil_recvmsg_for(*(int *)arg, &message, 0, limit_ns);
}

static long send_limited(void *arg)
{
    return gil_send_for(*(int *)arg, "x", 1, 0, limit_ns);
}

static long accept_limited(void *arg)
{
    return gil_accept_for(*(int *)arg, NULL, NULL, limit_ns);
}

static long splice_limited(void *arg)
{
    int out[2];

    make_pipe(out);
    return gil_splice_for(*(int *)arg, NULL, out[1], NULL, 1, 0, limit_ns);
}

/* Nobody opens the other end. */
static long open_limited(void *arg)
{
    char path[] = "/tmp/gil-io-XXXXXX";
    long fd;

    (void)arg;
    ck_assert_ptr_nonnull(mkdtemp(path));
    ck_assert_int_eq(chdir(path), 0);
    ck_assert_int_eq(mkfifo("fifo", 0600), 0);
    fd = gil_open_for("fifo", O_RDONLY, 0, limit_ns);
    unlink("fifo");
    rmdir(path);
    return fd;
}

static long waitpid_limited(void *arg)
{
    pid_t pid = fork();
    long result;
    int error;

    (void)arg;
    if (pid == 0) {
        pause();
        _exit(0);
    }
    result = gil_waitpid_for(-1, NULL, 0, limit_ns);
    error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    errno = error;
    return result;
}

static void make_listener(int fds[2])
{
    struct sockaddr_in at;

    fds[0] = make_server(&at);
}

static void make_full_pipe(int fds[2])
{
    static char full[65536];

    make_pipe(fds);
    ck_assert_int_eq(write(fds[1], full, sizeof full), (ssize_t)sizeof full);
    fds[0] = fds[1];
}

static void make_full_pair(int fds[2])
{
    static char some[65536];

    make_pair(fds);
    while (send(fds[0], some, sizeof some, MSG_DONTWAIT) > 0)
        ;
}

static void make_none(int fds[2])
{
    (void)fds;
}

static const struct {
    long (*call)(void *arg);
    void (*make)(int fds[2]);
} ways[] = {
    {splice_limited, make_pipe}, /* the first: for real processors only */
    {read_limited, make_pipe},
    {read_limited, make_pair},
    {write_limited, make_full_pipe},
    {write_limited, make_full_pair},
    {recv_limited, make_pair},
    {recv_limited, make_tcp_pair},
    {recv_all_limited, make_pair},
    {recvfrom_limited, make_pair},
    {recvmsg_limited, make_pair},
    {send_limited, make_full_pair},
    {accept_limited, make_listener},
    {open_limited, make_none},
    {waitpid_limited, make_none},
    /* these have no such limit: */
    {poll_one, make_pipe},
    {sleep_long, make_none},
};

enum { WAYS = sizeof ways / sizeof *ways, LIMITED = WAYS - 2 };

/* ---- gil_interrupt ---- */

START_TEST(an_interrupt_ends_a_blocked_call)
{
    int way = _i / BACKENDS;
    job j;

    begin_io(_i % BACKENDS);
    ways[way].make(ends);
    job_start_asleep(&j, ways[way].call, ends);
    job_interrupt(&j);
    job_expect(&j, -EINTR);
}
END_TEST

static atomic_int rounds;

/* Waits again and again for what never comes; counts how often it was interrupted. */
static long wait_again(void *arg)
{
    while (atomic_load(&rounds) < 500)
        if (read_one(arg) < 0 && errno == EINTR)
            atomic_fetch_add(&rounds, 1);
    return 0;
}

START_TEST(each_interrupt_ends_one_call)
{
    job j;

    begin_io(_i);
    make_pipe(ends);
    job_start(&j, wait_again, ends);
    WAIT_FOR(atomic_load(&j.called));
    for (int i = 0; i < 500; i++) {
        job_interrupt(&j);
        WAIT_FOR(atomic_load(&rounds) == i + 1);
    }
    job_expect(&j, 0);
}
END_TEST

static void read_at_once(void *arg)
{
    long *error = arg;

    *error = read_one(ends) < 0 ? errno : 0;
}

/* Whatever the thread has come to by then, and though nothing has passed between the two. */
START_TEST(an_interrupt_reaches_a_thread_that_has_just_begun)
{
    begin_io(_i);
    make_pipe(ends);
    for (int i = 0; i < 100; i++) {
        gil_thread *thread;
        unsigned long ident;
        long error = 0;

        gil_restore_thread(test_state);
        ident = gil_thread_start(&thread, NULL, read_at_once, &error);
        gil_save_thread();
        sleep_ns(i % 10 * 20 * US);
        ck_assert_int_eq(gil_interrupt(ident), 0);
        gil_restore_thread(test_state);
        ck_assert_int_eq(gil_thread_join(thread, -1), 0);
        gil_save_thread();
        ck_assert_int_eq(error, EINTR);
    }
}
END_TEST

static long read_twice(void *arg)
{
    long first = read_one(arg);

    return first < 0 && errno == EINTR ? read_one(arg) : -2;
}

START_TEST(the_next_call_is_not_interrupted)
{
    job j;

    begin_io(_i);
    make_pipe(ends);
    job_start_asleep(&j, read_twice, ends);
    job_interrupt(&j);
    sleep_ns(20 * MS);
    ck_assert(!atomic_load(&j.done));
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    job_expect(&j, 1);
}
END_TEST

static long interrupt_self_and_read(void *arg)
{
    gil_interrupt(gil_thread_ident());
    return read_one(arg);
}

START_TEST(an_interrupt_is_there_for_the_next_call_that_waits)
{
    job j;

    begin_io(_i);
    make_pipe(ends);
    job_start(&j, interrupt_self_and_read, ends);
    job_expect(&j, -EINTR);
    ck_assert_int_eq(write(ends[1], "xy", 2), 2);
    job_start(&j, interrupt_self_and_read, ends); /* does not wait */
    job_expect(&j, 1);
}
END_TEST

#ifndef __SANITIZE_THREAD__
static atomic_bool stop_interrupting;

/* Sleeps by itself, after calls that end at about the moment at which they are interrupted. */
static long sleep_between_calls(void *arg)
{
    long broken = 0;

    (void)arg;
    for (int i = 0; i < 3000; i++) {
        struct timespec time = {0, 30000};

        gil_sleep(10 * US);
        GIL_BEGIN_ALLOW_THREADS
        broken += nanosleep(&time, NULL) != 0;
        GIL_END_ALLOW_THREADS
    }
    atomic_store(&stop_interrupting, true);
    return broken;
}

/* It would find the thread in a call of the host's. */
START_TEST(no_signal_comes_late)
{
    job j;

    begin_io(_i);
    job_start(&j, sleep_between_calls, NULL);
    WAIT_FOR(atomic_load(&j.called));
    while (!atomic_load(&stop_interrupting)) {
        gil_interrupt(atomic_load(&j.ident));
        spin_ns(7 * US);
    }
    job_expect(&j, 0);
}
END_TEST
#endif

/* ---- signals: the test's own thread is the main one ---- */

static atomic_int arrivals;
static int verdict;

static int on_signal(int signum, void *arg)
{
    (void)signum;
    ck_assert(gil_check());
    atomic_fetch_add(&arrivals, 1);
    if (arg)
        ck_assert_int_eq(write(*(int *)arg, "x", 1), 1);
    return verdict;
}

static void *signal_soon(void *arg)
{
    pid_t main_tid = getpid();

    WAIT_FOR(asleep(main_tid));
    ck_assert_int_eq(syscall(SYS_tgkill, main_tid, main_tid, *(int *)arg), 0);
    return NULL;
}

START_TEST(a_signals_function_runs_and_the_call_goes_on)
{
    static int signum = SIGUSR1;
    pthread_t sender;
    char c;

    begin_io(_i);
    make_pipe(ends);
    gil_restore_thread(test_state);
    ck_assert_int_eq(gil_on_signal(SIGUSR1, on_signal, &ends[1]), 0);
    sender = start(signal_soon, &signum);
    ck_assert_int_eq(gil_read(ends[0], &c, 1), 1);
    ck_assert_int_eq(atomic_load(&arrivals), 1);
    join(sender);
}
END_TEST

START_TEST(a_signals_function_can_end_the_call)
{
    static int signum = SIGUSR1;
    pthread_t sender;
    char c;

    begin_io(_i);
    make_pipe(ends);
    gil_restore_thread(test_state);
    verdict = -1;
    ck_assert_int_eq(gil_on_signal(SIGUSR1, on_signal, NULL), 0);
    sender = start(signal_soon, &signum);
    ck_assert_int_eq(gil_read(ends[0], &c, 1), -1);
    ck_assert_int_eq(errno, EINTR);
    ck_assert_int_eq(atomic_load(&arrivals), 1);
    join(sender);
}
END_TEST

START_TEST(a_retry_has_the_time_that_is_left)
{
    static int signum = SIGUSR1;
    int64_t from;
    pthread_t sender;
    char c;

    begin_io(_i);
    make_pipe(ends);
    gil_restore_thread(test_state);
    ck_assert_int_eq(gil_on_signal(SIGUSR1, on_signal, NULL), 0);
    sender = start(signal_soon, &signum);
    from = now_ns();
    ck_assert_int_eq(gil_read_for(ends[0], &c, 1, 100 * MS), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(atomic_load(&arrivals), 1);
    ck_assert_int_ge(now_ns() - from, 100 * MS);
    join(sender);
}
END_TEST

static void *signal_and_interrupt(void *arg)
{
    pid_t main_tid = getpid();

    WAIT_FOR(asleep(main_tid));
    ck_assert_int_eq(syscall(SYS_tgkill, main_tid, main_tid, SIGUSR1), 0);
    gil_interrupt(*(unsigned long *)arg);
    return NULL;
}

START_TEST(an_interrupt_beside_a_signal_ends_one_call)
{
    unsigned long ident = gil_thread_ident();
    char c;

    begin_io(_i);
    gil_restore_thread(test_state);
    ck_assert_int_eq(gil_on_signal(SIGUSR1, on_signal, NULL), 0);
    for (int i = 0; i < 50; i++) {
        pthread_t sender;

        make_pipe(ends);
        sender = start(signal_and_interrupt, &ident);
        ck_assert_int_eq(gil_read(ends[0], &c, 1), -1);
        ck_assert_int_eq(errno, EINTR);
        join(sender);
        ck_assert_int_eq(gil_read_for(ends[0], &c, 1, MS), -1);
        ck_assert_int_eq(errno, ETIMEDOUT);
        close(ends[0]);
        close(ends[1]);
    }
}
END_TEST

/* ---- foreign signals ---- */

static void only_counts(int signum)
{
    (void)signum;
    atomic_fetch_add(&arrivals, 1);
}

static void signals_do_not_end(int backend, int flags)
{
    struct sigaction action = {.sa_handler = only_counts, .sa_flags = flags};
    job j;

    begin_io(backend);
    make_pipe(ends);
    ck_assert_int_eq(sigaction(SIGUSR2, &action, NULL), 0);
    job_start_asleep(&j, read_one, ends);
    for (int i = 1; i <= 20; i++) {
        ck_assert_int_eq(pthread_kill(j.thread, SIGUSR2), 0);
        WAIT_FOR(atomic_load(&arrivals) == i && asleep(atomic_load(&j.tid)));
    }
    ck_assert(!atomic_load(&j.done));
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    job_expect(&j, 1);
}

START_TEST(eintr_without_sa_restart)
{
    signals_do_not_end(_i, 0);
}
END_TEST

#ifndef __SANITIZE_THREAD__ /* which puts off a handler until the call is over */
START_TEST(eintr_with_sa_restart)
{
    signals_do_not_end(_i, SA_RESTART);
}
END_TEST
#endif

/* ---- deadlines ---- */

START_TEST(a_deadline_ends_a_call)
{
    int way = _i / BACKENDS;
    int64_t from;

    begin_io(_i % BACKENDS);
    ways[way].make(ends);
    gil_restore_thread(test_state);
    limit_ns = 20 * MS;
    from = now_ns();
    ck_assert_int_eq(ways[way].call(ends), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_ge(now_ns() - from, limit_ns);
}
END_TEST

START_TEST(a_timeout_of_0_does_not_wait)
{
    struct sockaddr_in at;
    int server;
    char c;

    begin_io(_i);
    make_pipe(ends);
    server = make_server(&at);
    gil_restore_thread(test_state);
    ck_assert_int_eq(gil_read_for(ends[0], &c, 1, 0), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(gil_accept_for(server, NULL, NULL, 0), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(gil_read_for(ends[0], &c, 1, 0), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("iointerrupt");
    TCase *tc = tcase_create("iointerrupt"), *native = tcase_create("native");

    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, an_interrupt_ends_a_blocked_call, BACKENDS, WAYS * BACKENDS);
    ADD_BOTH(tc, each_interrupt_ends_one_call);
    ADD_BOTH(tc, an_interrupt_reaches_a_thread_that_has_just_begun);
    ADD_BOTH(tc, the_next_call_is_not_interrupted);
    ADD_BOTH(tc, a_signals_function_runs_and_the_call_goes_on);
    ADD_BOTH(tc, a_signals_function_can_end_the_call);
    ADD_BOTH(tc, a_retry_has_the_time_that_is_left);
    ADD_BOTH(tc, an_interrupt_beside_a_signal_ends_one_call);
    ADD_BOTH(tc, eintr_without_sa_restart);
#ifndef __SANITIZE_THREAD__ /* puts off handlers */
    ADD_BOTH(tc, no_signal_comes_late);
    ADD_BOTH(tc, eintr_with_sa_restart);
#endif
    tcase_add_loop_test(tc, a_deadline_ends_a_call, BACKENDS, LIMITED * BACKENDS);
    ADD_BOTH(tc, a_timeout_of_0_does_not_wait);
    suite_add_tcase(suite, tc);
    /* An emulator may restart splice() by itself, and know no call that only tries. */
    tcase_set_timeout(native, 20);
    tcase_set_tags(native, "native");
    tcase_add_loop_test(native, an_interrupt_ends_a_blocked_call, 0, BACKENDS);
    tcase_add_loop_test(native, a_deadline_ends_a_call, 0, BACKENDS);
    ADD_BOTH(native, an_interrupt_is_there_for_the_next_call_that_waits);
    suite_add_tcase(suite, native);
    return run_suite(suite);
}
