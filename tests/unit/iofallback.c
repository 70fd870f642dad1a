/* What blocking calls do without a ring, or when it cannot be had: the same, and they say why. And
 * in a forked child, which has no ring yet; and in very many threads. */
#include "blocking.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <gil/batch.h>

static int ends[2];

/* A call that waits, and one that is ended, work. */
static void check_calls(void)
{
    job j;

    make_pipe(ends);
    job_start_asleep(&j, read_one, ends);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    job_expect(&j, 1);
    job_start_asleep(&j, read_one, ends);
    job_interrupt(&j);
    job_expect(&j, -EINTR);
    close(ends[0]);
    close(ends[1]);
}

static void begin_auto(void)
{
    unsetenv("GIL_IO");
    ck_assert_int_eq(gil_initialize(0), 0);
    gil_init_threads();
    test_state = gil_save_thread();
}

/* ---- why not ---- */

static void refuse(unsigned number, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

static const struct {
    int error;
    gil_io_reason reason;
} refusals[] = {
    {EPERM, GIL_IO_FORBIDDEN}, {EACCES, GIL_IO_FORBIDDEN},  {ENOSYS, GIL_IO_UNKNOWN},
    {EINVAL, GIL_IO_OLD},      {ENOMEM, GIL_IO_NO_MEMORY},  {EMFILE, GIL_IO_NO_FILES},
    {ENFILE, GIL_IO_NO_FILES}, {EOWNERDEAD, GIL_IO_FAILED},
};

START_TEST(a_filter_refuses_io_uring)
{
    begin_auto();
    refuse(SYS_io_uring_setup, refusals[_i].error);
    check_calls();
    ck_assert_int_eq(gil_io_status(), refusals[_i].reason);
    check_calls();
}
END_TEST

START_TEST(each_reason_has_a_text_of_its_own)
{
    for (int a = GIL_IO_URING; a <= GIL_IO_FAILED; a++)
        for (int b = a + 1; b <= GIL_IO_FAILED; b++)
            ck_assert_str_ne(gil_io_reason_text((gil_io_reason)a),
                             gil_io_reason_text((gil_io_reason)b));
}
END_TEST

START_TEST(the_environment_asks_for_system_calls)
{
    begin_io(1);
    ck_assert_int_eq(gil_io_status(), GIL_IO_BY_REQUEST);
    check_calls();
}
END_TEST

START_TEST(a_value_that_is_none_is_said)
{
    char line[256] = "";
    int out[2];

    make_pipe(out);
    dup2(out[1], STDERR_FILENO);
    setenv("GIL_IO", "yes", 1);
    ck_assert_int_ne(gil_io_status(), GIL_IO_BY_REQUEST);
    gil_io_status();
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    ck_assert_int_gt(read(out[0], line, sizeof line - 1), 0);
    ck_assert_str_eq(line, "libgil: GIL_IO is 'yes', and none of auto, uring, syscall: auto is "
                           "used\n");
}
END_TEST

/* ---- limits ---- */

/* Whatever a process without privileges may lock: either way, it works. */
START_TEST(no_memory_may_be_locked)
{
    struct rlimit none = {0, 0};

    begin_auto();
    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    if (geteuid() == 0)
        ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
    check_calls();
    ck_assert(gil_io_status() == GIL_IO_URING || gil_io_status() == GIL_IO_NO_MEMORY);
}
END_TEST

static long read_after_refusal(void *arg)
{
    refuse(SYS_io_uring_setup, ENOMEM); /* of this thread only */
    return read_one(arg);
}

START_TEST(a_thread_without_a_ring_makes_system_calls)
{
    job j;

    begin_auto();
    check_calls();
    make_pipe(ends);
    job_start_asleep(&j, read_after_refusal, ends);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    job_expect(&j, 1);
}
END_TEST

/* Containers have filters that know only the calls of their time. */
START_TEST(a_filter_that_knows_no_preadv2)
{
    gil_batch *b;
    char c = 0;

    begin_io(1);
    refuse(SYS_preadv2, ENOSYS);
    refuse(SYS_pwritev2, ENOSYS);
    check_calls();
    gil_restore_thread(test_state);
    make_pipe(ends);
    b = gil_batch_create(2);
    gil_batch_read(b, ends[0], &c, 1);
    gil_batch_write(b, ends[1], "x", 1);
    ck_assert_int_eq(gil_batch_wait_all_for(b, 1000 * MS), 0);
    ck_assert_int_eq(gil_batch_result(b, 0), 1);
    ck_assert_int_eq(gil_batch_result(b, 1), 1);
    ck_assert_int_eq(c, 'x');
    gil_batch_destroy(b);
    gil_save_thread();
}
END_TEST

/* ---- fork ---- */

static void *write_soon(void *arg)
{
    sleep_ns(2 * MS);
    ck_assert_int_eq(write(*(int *)arg, "x", 1), 1);
    return NULL;
}

/* The main thread has a ring, and another one a request in flight. The child makes a ring of its
 * own, and the parent's are as they were. */
START_TEST(fork_with_requests_in_flight)
{
    int own[2];
    pid_t pid;
    job j;
    char c;

    begin_io(_i);
    ck_assert_int_eq(gil_install_fork_handlers(), 0);
    make_pipe(ends);
    make_pipe(own);
    job_start_asleep(&j, read_one, ends);
    gil_restore_thread(test_state);
    ck_assert_int_eq(gil_read_for(own[0], &c, 1, MS), -1);
    pid = fork();
    if (pid == 0) {
        _exit(gil_read(own[0], &c, 1) != 1 || gil_read_for(own[0], &c, 1, MS) != -1 ||
              errno != ETIMEDOUT);
    }
    join(start(write_soon, &own[1]));
    check_child(pid);
    ck_assert_int_eq(gil_read_for(own[0], &c, 1, MS), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    gil_save_thread();
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    job_expect(&j, 1);
}
END_TEST

START_TEST(ring_creation_in_a_child)
{
    pid_t pid;
    char c;

    begin_io(_i);
    ck_assert_int_eq(gil_install_fork_handlers(), 0);
    make_pipe(ends);
    gil_restore_thread(test_state);
    pid = fork();
    if (pid == 0)
        _exit(gil_read_for(ends[0], &c, 1, MS) != -1 || errno != ETIMEDOUT);
    check_child(pid);
}
END_TEST

/* ---- many threads ---- */

static long count_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    long lines = 0;
    int c;

    ck_assert_ptr_nonnull(file);
    while ((c = fgetc(file)) != EOF)
        lines += c == '\n';
    fclose(file);
    return lines;
}

START_TEST(a_ring_goes_with_its_thread)
{
    long before = 0;

    begin_io(_i);
    for (int i = 0; i < 300; i++) {
        check_calls();
        if (i == 20)
            before = count_lines("/proc/self/maps");
    }
    ck_assert_int_lt(count_lines("/proc/self/maps"), before + 10);
}
END_TEST

static pthread_key_t last_words;

static void wait_once_more(void *arg)
{
    gil_state state = gil_ensure();
    int fds[2];
    char c;

    (void)arg;
    make_pipe(fds);
    ck_assert_int_eq(gil_read_for(fds[0], &c, 1, MS), -1);
    close(fds[0]);
    close(fds[1]);
    gil_release(state);
}

static void *waits_at_its_end_main(void *arg)
{
    pthread_setspecific(last_words, arg);
    wait_once_more(NULL);
    return NULL;
}

/* A key that is younger than the library's: its destructor runs after that has freed the ring. */
START_TEST(a_ring_that_is_made_while_its_thread_ends)
{
    long before = 0;

    begin_io(_i);
    check_calls();
    pthread_key_create(&last_words, wait_once_more);
    for (int i = 0; i < 100; i++) {
        join(start(waits_at_its_end_main, &before));
        if (i == 20)
            before = count_lines("/proc/self/maps");
    }
    ck_assert_int_lt(count_lines("/proc/self/maps"), before + 10);
}
END_TEST

enum { MANY = 200 };

START_TEST(many_threads_wait_at_once)
{
    static job jobs[MANY];
    static int fds[MANY][2];

    begin_io(_i);
    for (int i = 0; i < MANY; i++) {
        make_pair(fds[i]);
        job_start(&jobs[i], recv_one, fds[i]);
    }
    for (int i = 0; i < MANY; i++)
        WAIT_FOR(atomic_load(&jobs[i].called) && asleep(atomic_load(&jobs[i].tid)));
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(write(fds[i][1], "x", 1), 1);
    for (int i = 0; i < MANY; i++)
        job_expect(&jobs[i], 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("iofallback");
    TCase *tc = tcase_create("iofallback"), *native = tcase_create("native");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, each_reason_has_a_text_of_its_own);
    tcase_add_test(tc, the_environment_asks_for_system_calls);
    tcase_add_test(tc, a_value_that_is_none_is_said);
    ADD_BOTH(tc, fork_with_requests_in_flight);
    ADD_BOTH(tc, ring_creation_in_a_child);
    ADD_BOTH(tc, a_ring_goes_with_its_thread);
    ADD_BOTH(tc, a_ring_that_is_made_while_its_thread_ends);
    ADD_BOTH(tc, many_threads_wait_at_once);
    suite_add_tcase(suite, tc);
    /* An emulator has no filters, and may not know io_uring. */
    tcase_set_timeout(native, 30);
    tcase_set_tags(native, "native");
    tcase_add_loop_test(native, a_filter_refuses_io_uring, 0, sizeof refusals / sizeof *refusals);
    tcase_add_test(native, no_memory_may_be_locked);
    tcase_add_test(native, a_thread_without_a_ring_makes_system_calls);
    tcase_add_test(native, a_filter_that_knows_no_preadv2);
    suite_add_tcase(suite, native);
    return run_suite(suite);
}
