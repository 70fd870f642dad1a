/* Any function that blocks, called without the lock (gil_without), and how an interrupt ends it. */
#include "blocking.h"

static int ends[2];

static atomic_int unblocked;

static void unblock(void *arg)
{
    atomic_fetch_add(&unblocked, 1);
    ck_assert_int_eq(write(*(int *)arg, "x", 1), 1);
}

static long read_plainly(void *arg)
{
    char c;
    long got = read(*(int *)arg, &c, 1);

    errno = EOWNERDEAD;
    return got + 16;
}

static long without(void *arg)
{
    int *fds = arg;

    return gil_without(read_plainly, &fds[0], unblock, &fds[1]);
}

static long without_twice(void *arg)
{
    long result = without(arg);

    return gil_sleep(MS) == 0 && errno == EOWNERDEAD ? result : -2;
}

START_TEST(without_the_lock_a_function_is_called_back_once)
{
    job j;

    begin_io(_i);
    make_pipe(ends);
    job_start_asleep(&j, without_twice, ends);
    job_interrupt(&j);
    job_expect(&j, 17);
    ck_assert_int_eq(atomic_load(&unblocked), 1);
}
END_TEST

static long without_then_sleep(void *arg)
{
    gil_without(read_plainly, arg, NULL, NULL);
    return gil_sleep(LONG_NS);
}

START_TEST(without_the_lock_an_interrupt_stays_for_the_next_call)
{
    job j;

    begin_io(_i);
    make_pipe(ends);
    job_start_asleep(&j, without_then_sleep, ends);
    job_interrupt(&j);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    job_expect(&j, -EINTR);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("iowithout");
    TCase *tc = tcase_create("iowithout");

    tcase_set_timeout(tc, 20);
    ADD_BOTH(tc, without_the_lock_a_function_is_called_back_once);
    ADD_BOTH(tc, without_the_lock_an_interrupt_stays_for_the_next_call);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
