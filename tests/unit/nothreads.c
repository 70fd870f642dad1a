/* Built with GIL_NO_THREADS: the macros are empty, and whatever else there is works in one thread
 * and touches no lock. tests/cli/nothreads.test has what is not there. */
#include "harness.h"

#include <signal.h>
#include <sys/time.h>

#include "lib/lock_impl.h"

static atomic_long steps;

void lock_step(const char *tag, const struct lock *l, const struct node *n)
{
    (void)tag;
    (void)l;
    (void)n;
    atomic_fetch_add(&steps, 1);
}

#define TEXT(macro)    TEXT_OF(macro)
#define TEXT_OF(macro) #macro

START_TEST(the_macros_are_empty)
{
    ck_assert_str_eq(TEXT(GIL_BEGIN_ALLOW_THREADS), "");
    ck_assert_str_eq(TEXT(GIL_BLOCK_THREADS), "");
    ck_assert_str_eq(TEXT(GIL_UNBLOCK_THREADS), "");
    ck_assert_str_eq(TEXT(GIL_END_ALLOW_THREADS), "");
}
END_TEST

static int note(void *arg)
{
    ++*(int *)arg;
    return 0;
}

START_TEST(no_lock_is_touched)
{
    gil_thread_state *mine, *other;
    int calls = 0;

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(gil_initialize(0), 0);
        ck_assert(!gil_threads_initialized());
        mine = gil_thread_state_get();
        ck_assert(gil_check());
        ck_assert_ptr_eq(gil_save_thread(), mine);
        ck_assert(!gil_check());
        ck_assert_int_eq(gil_ensure(), GIL_STATE_UNLOCKED);
        ck_assert_int_eq(gil_ensure(), GIL_STATE_LOCKED);
        gil_release(GIL_STATE_LOCKED);
        gil_release(GIL_STATE_UNLOCKED);
        gil_restore_thread(mine);

        other = gil_thread_state_new(gil_interpreter_state_new(GIL_OWN_LOCK));
        gil_save_thread();
        gil_restore_thread(other);
        ck_assert(gil_check());
        gil_thread_state_delete_current();
        gil_restore_thread(mine);

        gil_set_check_interval(10);
        ck_assert_int_eq(gil_add_pending_call(note, &calls), 0);
        for (int n = 0; n < 10; n++)
            ck_assert_int_eq(gil_checkpoint(), 0);
        ck_assert_int_eq(calls, i + 1);
        gil_before_fork();
        gil_after_fork_parent();
        gil_finalize();
    }
    ck_assert_int_eq(steps, 0);
}
END_TEST

static int verdict;

static int on_alarm(int signum, void *arg)
{
    (void)signum;
    ++*(int *)arg;
    return verdict;
}

static void alarm_in(suseconds_t us)
{
    const struct itimerval when = {.it_value.tv_usec = us};

    ck_assert_int_eq(setitimer(ITIMER_REAL, &when, NULL), 0);
}

START_TEST(blocking_calls_work)
{
    int ends[2], alarms = 0;
    char c;

    ck_assert_int_eq(gil_initialize(0), 0);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(gil_write(ends[1], "x", 1), 1);
    ck_assert_int_eq(gil_read(ends[0], &c, 1), 1);
    ck_assert_int_eq(gil_read_for(ends[0], &c, 1, MS), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(gil_on_signal(SIGALRM, on_alarm, &alarms), 0);
    alarm_in(2000);
    ck_assert_int_eq(gil_read_for(ends[0], &c, 1, 20 * MS), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(alarms, 1);
    verdict = -1;
    alarm_in(2000);
    ck_assert_int_eq(gil_sleep(LONG_NS), -1);
    ck_assert_int_eq(errno, EINTR);
    ck_assert_int_eq(gil_interrupt(gil_thread_ident()), 0);
    ck_assert_int_eq(gil_read(ends[0], &c, 1), -1);
    ck_assert_int_eq(errno, EINTR);
    ck_assert_int_eq(gil_close(ends[0]), 0);
    gil_finalize();
    ck_assert_int_eq(steps, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nothreads");
    TCase *tc = tcase_create("nothreads");

    tcase_add_test(tc, the_macros_are_empty);
    tcase_add_test(tc, no_lock_is_touched);
    tcase_add_test(tc, blocking_calls_work);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
