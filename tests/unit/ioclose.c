/* gil_close(): the calls that wait for the file end, with errno EBADF, and no others. */
#include "blocking.h"

#include <sys/stat.h>

static int ends[2];

static long close_it(void *arg)
{
    return gil_close(*(int *)arg);
}

static long recv_long(void *arg)
{
    char c;

    return gil_recv_for(*(int *)arg, &c, 1, 0, LONG_NS);
}

static long splice_from(void *arg)
{
    int out[2];

    make_pipe(out);
    return gil_splice(*(int *)arg, NULL, out[1], NULL, 1, 0);
}

static long poll_many(void *arg)
{
    struct pollfd files[100];
    int fds[2];

    make_pipe(fds);
    for (int i = 0; i < 100; i++)
        files[i] = (struct pollfd){.fd = i == 77 ? *(int *)arg : fds[0], .events = POLLIN};
    return gil_poll(files, 100, -1);
}

static long write_much(void *arg)
{
    static char some[1 << 20];

    return gil_write(*(int *)arg, some, sizeof some);
}

static void make_listener(int fds[2])
{
    struct sockaddr_in at;

    fds[0] = make_server(&at);
}

static const struct {
    long (*call)(void *arg);
    void (*make)(int fds[2]);
} ways[] = {
    {splice_from, make_pipe}, /* the first: for real processors only */
    {read_one, make_pipe},    {recv_one, make_pair},       {recv_one, make_tcp_pair},
    {recv_long, make_pair},   {accept_one, make_listener}, {poll_one, make_pipe},
    {poll_many, make_pipe},
};

enum { WAYS = sizeof ways / sizeof *ways };

START_TEST(close_in_flight)
{
    int way = _i / BACKENDS;
    job j, closer;

    begin_io(_i % BACKENDS);
    ways[way].make(ends);
    job_start_asleep(&j, ways[way].call, ends);
    job_start(&closer, close_it, ends);
    job_expect(&closer, 0);
    job_expect(&j, -EBADF);
    ck_assert_int_eq(fcntl(ends[0], F_GETFD), -1);
}
END_TEST

/* What arrives afterwards is there for whoever has the file under another number. */
START_TEST(a_closed_call_takes_nothing)
{
    int other;
    char c;
    job j, closer;

    begin_io(_i);
    make_pair(ends);
    other = dup(ends[0]);
    job_start_asleep(&j, recv_one, ends);
    job_start(&closer, close_it, ends);
    job_expect(&closer, 0);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(recv(other, &c, 1, MSG_DONTWAIT), 1);
    job_expect(&j, -EBADF);
}
END_TEST

START_TEST(a_close_ends_a_write_with_what_is_written)
{
    job j, closer;

    begin_io(_i);
    make_pipe(ends);
    job_start_asleep(&j, write_much, &ends[1]);
    job_start(&closer, close_it, &ends[1]);
    job_expect(&closer, 0);
    job_expect(&j, 65536);
}
END_TEST

/* Numbers are reused while calls end: none of them touches the new file. */
START_TEST(fd_reuse)
{
    begin_io(_i);
    for (int i = 0; i < 100; i++) {
        int fresh[2];
        char c;
        job j, closer;

        make_pair(ends);
        job_start(&j, recv_one, ends);
        WAIT_FOR(atomic_load(&j.called));
        if (i % 2)
            sleep_ns(rand() % 100 * US);
        else
            WAIT_FOR(asleep(atomic_load(&j.tid)));
        job_start(&closer, close_it, ends);
        job_expect(&closer, 0);
        make_pair(fresh);
        ck_assert_int_eq(fresh[0], ends[0]);
        if (i % 2 == 0) {
            ck_assert_int_eq(write(fresh[1], "x", 1), 1);
            job_expect(&j, -EBADF);
            ck_assert_int_eq(recv(fresh[0], &c, 1, MSG_DONTWAIT), 1);
        } else {
            ck_assert_int_eq(shutdown(fresh[1], SHUT_RDWR), 0); /* it may have begun only now */
            join(j.thread);
        }
        close(fresh[0]);
        close(fresh[1]);
        close(ends[1]);
    }
}
END_TEST

/* Lists are shared by numbers that are 256 apart. */
START_TEST(others_wait_on)
{
    int other[2], same_list;
    job users[3], closer;

    begin_io(_i);
    make_pair(ends);
    make_pair(other);
    same_list = ends[0] + 256;
    ck_assert_int_eq(dup2(other[0], same_list), same_list);
    job_start_asleep(&users[0], recv_one, ends);
    job_start_asleep(&users[1], recv_one, &same_list);
    job_start_asleep(&users[2], poll_one, &other[0]);
    job_start(&closer, close_it, ends);
    job_expect(&closer, 0);
    job_expect(&users[0], -EBADF);
    ck_assert(!atomic_load(&users[1].done) && !atomic_load(&users[2].done));
    ck_assert_int_eq(write(other[1], "xy", 2), 2);
    job_expect(&users[1], 1);
    job_expect(&users[2], 1);
}
END_TEST

enum { USERS = 20 };

START_TEST(all_users_end)
{
    job users[USERS], closer;

    begin_io(_i);
    make_pair(ends);
    for (int i = 0; i < USERS; i++)
        job_start_asleep(&users[i], i % 3 ? recv_one : poll_one, ends);
    job_start(&closer, close_it, ends);
    job_expect(&closer, 0);
    for (int i = 0; i < USERS; i++)
        job_expect(&users[i], -EBADF);
}
END_TEST

/* A thread whose call was ended so makes its next one as if nothing had been. */
static long recv_then_read(void *arg)
{
    int *fds = arg;

    return recv_one(&fds[0]) < 0 && errno == EBADF ? read_one(&fds[1]) : -2;
}

START_TEST(the_next_call_waits)
{
    int fds[2], next[2];
    job j, closer;

    begin_io(_i);
    make_pair(ends);
    make_pipe(next);
    fds[0] = ends[0];
    fds[1] = next[0];
    job_start_asleep(&j, recv_then_read, fds);
    job_start(&closer, close_it, ends);
    job_expect(&closer, 0);
    sleep_ns(5 * MS);
    WAIT_FOR(asleep(atomic_load(&j.tid)));
    ck_assert(!atomic_load(&j.done));
    ck_assert_int_eq(write(next[1], "x", 1), 1);
    job_expect(&j, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ioclose");
    TCase *tc = tcase_create("ioclose"), *native = tcase_create("native");

    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, close_in_flight, BACKENDS, WAYS * BACKENDS);
    ADD_BOTH(tc, a_closed_call_takes_nothing);
    ADD_BOTH(tc, a_close_ends_a_write_with_what_is_written);
    ADD_BOTH(tc, fd_reuse);
    ADD_BOTH(tc, others_wait_on);
    ADD_BOTH(tc, all_users_end);
    ADD_BOTH(tc, the_next_call_waits);
    suite_add_tcase(suite, tc);
    /* An emulator may restart splice() by itself. */
    tcase_set_timeout(native, 20);
    tcase_set_tags(native, "native");
    tcase_add_loop_test(native, close_in_flight, 0, BACKENDS);
    suite_add_tcase(suite, native);
    return run_suite(suite);
}
