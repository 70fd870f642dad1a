/* Each request of a batch is like the plain call of the same name: the cases are run with batches of
 * one request, and with libgil's blocking calls where batches have no such request. */
#include "iocases.h"

static gil_batch *batch;

static gil_batch *emptied(void)
{
    if (!batch)
        batch = gil_batch_create(1);
    gil_batch_clear(batch);
    return batch;
}

/* The result of the only request of the batch. */
static ssize_t only(void)
{
    ck_assert_int_eq(gil_batch_wait_all(batch), 0);
    return gil_batch_result(batch, 0);
}

#define ONE(name, ...) (gil_batch_##name(emptied(), __VA_ARGS__), only())

static ssize_t batch_read(int fd, void *to, size_t size)
{
    return ONE(read, fd, to, size);
}

static ssize_t batch_write(int fd, const void *from, size_t size)
{
    return ONE(write, fd, from, size);
}

static ssize_t batch_readv(int fd, const struct iovec *iov, int count)
{
    return ONE(readv, fd, iov, count);
}

static ssize_t batch_writev(int fd, const struct iovec *iov, int count)
{
    return ONE(writev, fd, iov, count);
}

static ssize_t batch_pread(int fd, void *to, size_t size, off_t offset)
{
    return ONE(pread, fd, to, size, offset);
}

static ssize_t batch_pwrite(int fd, const void *from, size_t size, off_t offset)
{
    return ONE(pwrite, fd, from, size, offset);
}

static ssize_t batch_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
    return ONE(preadv, fd, iov, count, offset);
}

static ssize_t batch_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return ONE(pwritev, fd, iov, count, offset);
}

static ssize_t batch_recv(int fd, void *to, size_t size, int flags)
{
    return ONE(recv, fd, to, size, flags);
}

static ssize_t batch_send(int fd, const void *from, size_t size, int flags)
{
    return ONE(send, fd, from, size, flags);
}

static ssize_t batch_recvmsg(int fd, struct msghdr *message, int flags)
{
    return ONE(recvmsg, fd, message, flags);
}

static ssize_t batch_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return ONE(sendmsg, fd, message, flags);
}

/* The cases give a mode only with O_CREAT. */
static int batch_open(const char *path, int flags, ...)
{
    return (int)ONE(open, path, flags, 0);
}

static int batch_openat(int dir, const char *path, int flags, ...)
{
    va_list list;
    mode_t mode = 0;

    va_start(list, flags);
    if (flags & O_CREAT)
        mode = va_arg(list, mode_t);
    va_end(list);
    return (int)ONE(openat, dir, path, flags, mode);
}

static int batch_fsync(int fd)
{
    return (int)ONE(fsync, fd);
}

static int batch_fdatasync(int fd)
{
    return (int)ONE(fdatasync, fd);
}

static int batch_statx(int dir, const char *path, int flags, unsigned mask, struct statx *about)
{
    return (int)ONE(statx, dir, path, flags, mask, about);
}

static struct calls batched = {
#define OURS(name) .name = gil_##name,
    CALLS(OURS)};

static void use_batches(void)
{
    batched.read = batch_read;
    batched.write = batch_write;
    batched.readv = batch_readv;
    batched.writev = batch_writev;
    batched.pread = batch_pread;
    batched.pwrite = batch_pwrite;
    batched.preadv = batch_preadv;
    batched.pwritev = batch_pwritev;
    batched.recv = batch_recv;
    batched.send = batch_send;
    batched.recvmsg = batch_recvmsg;
    batched.sendmsg = batch_sendmsg;
    batched.open = batch_open;
    batched.openat = batch_openat;
    batched.fsync = batch_fsync;
    batched.fdatasync = batch_fdatasync;
    batched.statx = batch_statx;
}

/* All but the last case, the time limits of sockets, which batches do not know. */
enum { COMPARED = CASES - 1 };

START_TEST(requests_are_like_the_plain_calls)
{
    use_batches();
    compare(_i / BACKENDS, _i % BACKENDS, &batched);
}
END_TEST

START_TEST(o_nonblock)
{
    int ends[2];

    begin_io(_i);
    gil_restore_thread(test_state);
    make_pipe(ends);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    ck_assert_int_eq(batch_read(ends[0], buf, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
    while (batch_write(ends[1], buf, sizeof buf) > 0)
        ;
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

/* With it, and without; the flag is not left in the file. */
START_TEST(open_of_a_fifo_does_not_wait)
{
    char folder[] = "/tmp/gil-io-XXXXXX";
    int fd;

    begin_io(_i);
    gil_restore_thread(test_state);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(mkfifo("a", 0600), 0);
    ck_assert_int_eq(batch_open("a", O_WRONLY), -1);
    ck_assert_int_eq(errno, ENXIO);
    fd = batch_open("a", O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    fd = batch_open("a", O_RDONLY | O_NONBLOCK);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    unlink("a");
    rmdir(folder);
}
END_TEST

START_TEST(send_raises_no_sigpipe)
{
    int ends[2];

    begin_io(_i); /* SIGPIPE would end the test */
    gil_restore_thread(test_state);
    make_pair(ends);
    close(ends[0]);
    ck_assert_int_eq(batch_send(ends[1], "x", 1, 0), -1);
    ck_assert_int_eq(errno, EPIPE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batchcalls");
    TCase *tc = tcase_create("batchcalls");

    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, requests_are_like_the_plain_calls, 0, COMPARED * BACKENDS);
    ADD_BOTH(tc, o_nonblock);
    ADD_BOTH(tc, open_of_a_fifo_does_not_wait);
    ADD_BOTH(tc, send_raises_no_sigpipe);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
