/* A ring by itself, in memory of either kind. */
#include "harness.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kernel-helpers/futex.h"
#include "kernel-helpers/ring.h"

static struct ring ring;

enum { WAYS = 2 }; /* RING_OURS, RING_KERNELS */

/* False: this kernel has no such ring, and the test says so. */
static bool make(int memory, uint32_t entries)
{
    int error = ring_make_in(&ring, (enum ring_memory)memory, entries, 2);

    if (error)
        fprintf(stderr, "no ring: %s\n", strerror(-error));
    return error == 0;
}

static void prepare(uint8_t opcode, uint64_t user_data)
{
    struct io_uring_sqe *sqe = ring_prepare(&ring);

    ck_assert_ptr_nonnull(sqe);
    sqe->opcode = opcode;
    sqe->user_data = user_data;
}

static void prepare_read(int fd, void *buf, uint32_t size, uint64_t user_data)
{
    struct io_uring_sqe *sqe = ring_prepare(&ring);

    ck_assert_ptr_nonnull(sqe);
    sqe->opcode = IORING_OP_READ;
    sqe->fd = fd;
    sqe->addr = (uintptr_t)buf;
    sqe->len = size;
    sqe->off = UINT64_MAX;
    sqe->user_data = user_data;
}

static int enter(uint32_t completions, int64_t timeout_ns)
{
    return ring_enter(&ring, completions, futex_deadline(timeout_ns), NULL, 0);
}

static struct done {
    uint64_t user_data;
    int res;
} next(void)
{
    struct io_uring_cqe cqe;

    ck_assert(ring_next(&ring, &cqe));
    return (struct done){cqe.user_data, cqe.res};
}

static bool is_empty(void)
{
    struct io_uring_cqe cqe;

    return !ring_next(&ring, &cqe);
}

START_TEST(requests_complete)
{
    if (!make(_i, 4))
        return;
    for (uint64_t i = 0; i < 100; i++) {
        prepare(IORING_OP_NOP, i);
        ck_assert_uint_eq(ring_prepared(&ring), 1);
        ck_assert_int_eq(enter(1, -1), 0);
        ck_assert_uint_eq(ring_prepared(&ring), 0);
        ck_assert_uint_eq(next().user_data, i);
        ck_assert(is_empty());
    }
    ring_free(&ring);
}
END_TEST

START_TEST(no_file_descriptor_is_left)
{
    int lowest = dup(0);

    close(lowest);
    if (!make(_i, 4))
        return;
    ck_assert_int_eq(dup(0), lowest);
    for (int fd = lowest; fd < 256; fd++)
        close(fd);
    prepare(IORING_OP_NOP, 1);
    ck_assert_int_eq(enter(1, -1), 0);
    ck_assert_uint_eq(next().user_data, 1);
    ring_free(&ring);
}
END_TEST

START_TEST(a_full_submission_takes_no_more)
{
    if (!make(_i, 4))
        return;
    for (uint64_t i = 0; i < 4; i++)
        prepare(IORING_OP_NOP, i);
    ck_assert_ptr_null(ring_prepare(&ring));
    ck_assert_int_eq(enter(4, -1), 0);
    for (uint64_t i = 0; i < 4; i++)
        ck_assert_uint_eq(next().user_data, i);
    ring_free(&ring);
}
END_TEST

START_TEST(cq_overflow)
{
    uint64_t sum = 0;

    if (!make(_i, 2))
        return;
    for (uint64_t i = 0; i < 20; i++) {
        prepare(IORING_OP_NOP, i);
        ck_assert_int_eq(enter(0, -1), 0);
    }
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(enter(1, -1), 0); /* what is kept comes in there */
        sum += next().user_data;
    }
    ck_assert_uint_eq(sum, 190);
    ring_free(&ring);
}
END_TEST

/* What the kernel did not take may be taken back, or submitted later. */
START_TEST(short_submit)
{
    const uint32_t interrupted = 1;

    if (!make(_i, 4))
        return;
    prepare(IORING_OP_NOP, 1);
    ck_assert_int_eq(ring_enter(&ring, 1, FUTEX_FOREVER, &interrupted, 1), -EINTR);
    ck_assert_uint_eq(ring_prepared(&ring), 1);
    prepare(IORING_OP_NOP, 2);
    ck_assert_int_eq(enter(2, -1), 0);
    ck_assert_uint_eq(next().user_data, 1);
    ck_assert_uint_eq(next().user_data, 2);
    prepare(IORING_OP_NOP, 3);
    ring_take_back(&ring);
    ck_assert_uint_eq(ring_prepared(&ring), 0);
    prepare(IORING_OP_NOP, 4);
    ck_assert_int_eq(enter(1, -1), 0);
    ck_assert_uint_eq(next().user_data, 4);
    ring_free(&ring);
}
END_TEST

/* A request that the kernel refuses has a completion, and so have those after it. */
START_TEST(a_bad_request_among_others)
{
    if (!make(_i, 4))
        return;
    prepare(IORING_OP_NOP, 1);
    prepare(255, 2);
    prepare(IORING_OP_NOP, 3);
    ck_assert_int_eq(enter(3, -1), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        struct done done = next();

        ck_assert_int_eq(done.res, done.user_data == 2 ? -EINVAL : 0);
    }
    ring_free(&ring);
}
END_TEST

START_TEST(a_deadline_leaves_the_request_going)
{
    int ends[2];
    char c = 0;
    int64_t from;

    if (!make(_i, 4))
        return;
    ck_assert_int_eq(pipe(ends), 0);
    prepare_read(ends[0], &c, 1, 7);
    from = now_ns();
    ck_assert_int_eq(enter(1, 5 * MS), 0); /* it was submitted */
    ck_assert_int_eq(enter(1, 5 * MS), -ETIME);
    ck_assert_int_ge(now_ns() - from, 10 * MS);
    ck_assert(is_empty());
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(enter(1, -1), 0);
    ck_assert_int_eq(next().res, 1);
    ck_assert_int_eq(c, 'x');
    ring_free(&ring);
}
END_TEST

START_TEST(a_cancelled_request_says_so_itself)
{
    struct done own, cancel, swap;
    int ends[2];
    char c;

    if (!make(_i, 4))
        return;
    ck_assert_int_eq(pipe(ends), 0);
    prepare_read(ends[0], &c, 1, 7);
    ck_assert_int_eq(enter(0, -1), 0);
    ring_cancel(ring_prepare(&ring), 7, 8);
    ck_assert_int_eq(enter(2, -1), 0);
    own = next();
    cancel = next();
    if (own.user_data == 8) {
        swap = own;
        own = cancel;
        cancel = swap;
    }
    ck_assert_int_eq(own.res, -ECANCELED);
    ck_assert_int_eq(cancel.res, 0);
    ring_cancel(ring_prepare(&ring), 7, 9);
    ck_assert_int_eq(enter(1, -1), 0);
    ck_assert_int_eq(next().res, -ENOENT);
    ring_free(&ring);
}
END_TEST

/* How many kernel threads work for this process. */
static int workers(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    int n = 0;

    while ((task = readdir(tasks))) {
        char name[64];

        read_task_file(atoi(task->d_name), "comm", name, sizeof name);
        n += strncmp(name, "iou-wrk", 7) == 0;
    }
    closedir(tasks);
    return n;
}

enum { OPENS = 16 };

/* Opening a FIFO waits in a kernel thread each, of which the ring may have two of either kind. */
START_TEST(io_wq_worker_bound)
{
    char path[] = "/tmp/gil-ring-XXXXXX";

    if (!make(_i, OPENS))
        return;
    ck_assert_ptr_nonnull(mkdtemp(path));
    ck_assert_int_eq(chdir(path), 0);
    ck_assert_int_eq(mkfifo("a", 0600), 0);
    for (uint64_t i = 0; i < OPENS; i++) {
        struct io_uring_sqe *sqe = ring_prepare(&ring);

        sqe->opcode = IORING_OP_OPENAT;
        sqe->flags = IOSQE_ASYNC; /* otherwise it opens as if with O_NONBLOCK */
        sqe->fd = AT_FDCWD;
        sqe->addr = (uintptr_t) "a";
        sqe->open_flags = O_RDONLY;
        sqe->user_data = i;
    }
    ck_assert_int_eq(enter(0, -1), 0);
    sleep_ns(50 * MS);
    ck_assert_int_ge(workers(), 1);
    ck_assert_int_le(workers(), 4);
    unlink("a");
    rmdir(path);
}
END_TEST

static void *make_and_free(void *arg)
{
    struct ring own;

    for (int i = 0; i < 40; i++) { /* more than a thread may have at once */
        ck_assert_int_eq(ring_make_in(&own, *(enum ring_memory *)arg, 4, 2), 0);
        ring_free(&own);
    }
    return NULL;
}

START_TEST(rings_come_and_go)
{
    enum ring_memory memory = (enum ring_memory)_i;

    if (!make(_i, 4))
        return;
    ring_free(&ring);
    for (int i = 0; i < 10; i++)
        join(start(make_and_free, &memory));
}
END_TEST

START_TEST(a_large_ring)
{
    if (ring_make(&ring, 1024, 2) < 0)
        return;
    for (uint64_t i = 0; i < 1024; i++)
        prepare(IORING_OP_NOP, i);
    ck_assert_int_eq(enter(1024, -1), 0);
    for (uint64_t i = 0; i < 1024; i++)
        ck_assert_uint_eq(next().user_data, i);
    ring_free(&ring);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tc = tcase_create("ring");

    tcase_add_loop_test(tc, requests_complete, 0, WAYS);
    tcase_add_loop_test(tc, no_file_descriptor_is_left, 0, WAYS);
    tcase_add_loop_test(tc, a_full_submission_takes_no_more, 0, WAYS);
    tcase_add_loop_test(tc, cq_overflow, 0, WAYS);
    tcase_add_loop_test(tc, short_submit, 0, WAYS);
    tcase_add_loop_test(tc, a_bad_request_among_others, 0, WAYS);
    tcase_add_loop_test(tc, a_deadline_leaves_the_request_going, 0, WAYS);
    tcase_add_loop_test(tc, a_cancelled_request_says_so_itself, 0, WAYS);
    tcase_add_loop_test(tc, io_wq_worker_bound, 0, WAYS);
    tcase_add_loop_test(tc, rings_come_and_go, 0, WAYS);
    tcase_add_test(tc, a_large_ring);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
