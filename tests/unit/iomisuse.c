/* A blocking call without the lock is misuse: fatal, with one line that names it. */
#include "statemisuse.h"

#include <gil/io.h>

/* Each call, with arguments that are of no use. */
#define CALLS(X)                                                                                   \
    X(read, 0, NULL, 0)                                                                            \
    X(write, 0, NULL, 0)                                                                           \
    X(readv, 0, NULL, 0)                                                                           \
    X(writev, 0, NULL, 0)                                                                          \
    X(pread, 0, NULL, 0, 0)                                                                        \
    X(pwrite, 0, NULL, 0, 0)                                                                       \
    X(preadv, 0, NULL, 0, 0)                                                                       \
    X(pwritev, 0, NULL, 0, 0)                                                                      \
    X(splice, 0, NULL, 0, NULL, 0, 0)                                                              \
    X(sendfile, 0, 0, NULL, 0)                                                                     \
    X(recv, 0, NULL, 0, 0)                                                                         \
    X(send, 0, NULL, 0, 0)                                                                         \
    X(recvfrom, 0, NULL, 0, 0, NULL, NULL)                                                         \
    X(sendto, 0, NULL, 0, 0, NULL, 0)                                                              \
    X(recvmsg, 0, NULL, 0)                                                                         \
    X(sendmsg, 0, NULL, 0)                                                                         \
    X(accept, 0, NULL, NULL)                                                                       \
    X(accept4, 0, NULL, NULL, 0)                                                                   \
    X(connect, 0, NULL, 0)                                                                         \
    X(shutdown, 0, 0)                                                                              \
    X(open, "", 0)                                                                                 \
    X(openat, 0, "", 0)                                                                            \
    X(close, 0)                                                                                    \
    X(fsync, 0)                                                                                    \
    X(fdatasync, 0)                                                                                \
    X(statx, 0, "", 0, 0, NULL)                                                                    \
    X(fallocate, 0, 0, 0, 0)                                                                       \
    X(unlinkat, 0, "", 0)                                                                          \
    X(renameat, 0, "", 0, "")                                                                      \
    X(mkdirat, 0, "", 0)                                                                           \
    X(poll, NULL, 0, 0)                                                                            \
    X(sleep, 0)                                                                                    \
    X(waitpid, 0, NULL, 0)                                                                         \
    X(waitid, 0, 0, NULL, 0)                                                                       \
    X(without, NULL, NULL, NULL, NULL)

#define MAKE(name, ...)                                                                            \
    static void call_##name(void)                                                                  \
    {                                                                                              \
        about(gil_thread_state_get_unchecked());                                                   \
        gil_##name(__VA_ARGS__);                                                                   \
    }
#define ENTRY(name, ...) {"gil_" #name, call_##name},

CALLS(MAKE)

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {CALLS(ENTRY)};

enum { COUNT = sizeof calls / sizeof *calls };

static int chosen;

static void without_a_state(void)
{
    gave_up();
    calls[chosen].call();
}

static void without_the_lock(void)
{
    gave_up_the_lock_only();
    calls[chosen].call();
}

START_TEST(a_call_without_a_state_is_fatal)
{
    chosen = _i;
    run_child(without_a_state);
    check_aborted(calls[_i].name);
}
END_TEST

START_TEST(a_call_without_the_lock_is_fatal)
{
    chosen = _i;
    run_child(without_the_lock);
    check_aborted(calls[_i].name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("iomisuse");
    TCase *tc = tcase_create("iomisuse");

    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return 1;
    tcase_add_loop_test(tc, a_call_without_a_state_is_fatal, 0, COUNT);
    tcase_add_loop_test(tc, a_call_without_the_lock_is_fatal, 0, COUNT);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
