/* Misuse of batches is fatal, with one line that names it. */
#include "statemisuse.h"

#include <gil/batch.h>
#include <sys/socket.h>

static gil_batch *batch;
static int ends[2];
static char bytes[4];

static void begin_batch(void)
{
    runs();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    batch = gil_batch_create(2);
}

static void in_flight(void)
{
    begin_batch();
    gil_batch_recv(batch, ends[0], bytes, 1, 0);
    gil_batch_submit(batch);
    about(gil_thread_state_get_unchecked());
}

static void a_full_batch(void)
{
    in_flight();
    gil_batch_read(batch, ends[0], bytes, 1);
    gil_batch_read(batch, ends[0], bytes, 1);
}

static void an_index_that_no_request_has(void)
{
    in_flight();
    gil_batch_result(batch, 1);
}

static void destroyed_in_flight(void)
{
    in_flight();
    gil_batch_destroy(batch);
}

static void cleared_in_flight(void)
{
    in_flight();
    gil_batch_clear(batch);
}

static void *wait_elsewhere(void *arg)
{
    gil_ensure();
    about(gil_thread_state_get_unchecked());
    gil_batch_wait_all(batch);
    return arg;
}

static void used_by_another_thread(void)
{
    in_flight();
    gil_save_thread();
    join(start(wait_elsewhere, NULL));
}

static void *submit_and_end(void *arg)
{
    gil_state state = gil_ensure();

    gil_batch_recv(batch, ends[0], bytes, 1, 0);
    gil_batch_submit(batch);
    gil_release(state);
    about(NULL);
    return arg;
}

static void the_thread_ends(void)
{
    begin_batch();
    gil_save_thread();
    join(start(submit_and_end, NULL));
}

static const struct {
    const char *function;
    void (*fn)(void);
    const char *what;
} wrongs[] = {
    {"gil_batch_read", a_full_batch, "the batch is full"},
    {"gil_batch_result", an_index_that_no_request_has, "no request of the batch has this index"},
    {"gil_batch_destroy", destroyed_in_flight, "requests of the batch are going on"},
    {"gil_batch_clear", cleared_in_flight, "requests of the batch are going on"},
    {"gil_batch_wait_all", used_by_another_thread,
     "another thread has started requests of the batch"},
    {"gil_batch_submit", the_thread_ends,
     "the thread ends while requests of its batch are going on"},
};

enum { WRONGS = sizeof wrongs / sizeof *wrongs };

START_TEST(each_misuse_is_named)
{
    setenv("GIL_IO", _i % 2 ? "syscall" : "auto", 1);
    run_child(wrongs[_i / 2].fn);
    check_aborted(wrongs[_i / 2].function);
    ck_assert_ptr_nonnull(strstr(child.text, wrongs[_i / 2].what));
}
END_TEST

/* ---- without the lock ---- */

#define CALLS(X)                                                                                   \
    X(read, batch, 0, NULL, 0)                                                                     \
    X(write, batch, 0, NULL, 0)                                                                    \
    X(readv, batch, 0, NULL, 0)                                                                    \
    X(writev, batch, 0, NULL, 0)                                                                   \
    X(pread, batch, 0, NULL, 0, 0)                                                                 \
    X(pwrite, batch, 0, NULL, 0, 0)                                                                \
    X(preadv, batch, 0, NULL, 0, 0)                                                                \
    X(pwritev, batch, 0, NULL, 0, 0)                                                               \
    X(recv, batch, 0, NULL, 0, 0)                                                                  \
    X(send, batch, 0, NULL, 0, 0)                                                                  \
    X(recvmsg, batch, 0, NULL, 0)                                                                  \
    X(sendmsg, batch, 0, NULL, 0)                                                                  \
    X(open, batch, "", 0, 0)                                                                       \
    X(openat, batch, 0, "", 0, 0)                                                                  \
    X(fsync, batch, 0)                                                                             \
    X(fdatasync, batch, 0)                                                                         \
    X(statx, batch, 0, "", 0, 0, NULL)                                                             \
    X(submit, batch)                                                                               \
    X(wait_all, batch)                                                                             \
    X(wait_any, batch)                                                                             \
    X(cancel, batch)                                                                               \
    X(result, batch, 0)                                                                            \
    X(clear, batch)                                                                                \
    X(destroy, batch)                                                                              \
    X(create, 1)

#define MAKE(name, ...)                                                                            \
    static void call_##name(void)                                                                  \
    {                                                                                              \
        gil_batch_##name(__VA_ARGS__);                                                             \
    }
#define ENTRY(name, ...) {"gil_batch_" #name, call_##name},

CALLS(MAKE)

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {CALLS(ENTRY)};

enum { COUNT = sizeof calls / sizeof *calls };

static int chosen;

static void without_a_state(void)
{
    begin_batch();
    gil_save_thread();
    about(NULL);
    calls[chosen].call();
}

START_TEST(a_call_without_a_state_is_fatal)
{
    chosen = _i;
    run_child(without_a_state);
    check_aborted(calls[_i].name);
}
END_TEST

START_TEST(a_bound_that_is_none)
{
    runs();
    ck_assert_ptr_null(gil_batch_create(0));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(gil_batch_create(GIL_BATCH_MAX + 1));
    ck_assert_int_eq(errno, EINVAL);
    gil_batch_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batchmisuse");
    TCase *tc = tcase_create("batchmisuse");

    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return 1;
    tcase_add_loop_test(tc, each_misuse_is_named, 0, WRONGS * 2);
    tcase_add_loop_test(tc, a_call_without_a_state_is_fatal, 0, COUNT);
    tcase_add_test(tc, a_bound_that_is_none);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
