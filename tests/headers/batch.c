/* gil/batch.h alone, as C and as C++: requests of every kind, all ways to wait for them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* for mkdtemp and statx */
#endif
#include <gil/batch.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gil/eval.h>

#define SOON 1000000000

static char buf[8];
static struct iovec iov;

/* Awaits the only request, and empties the batch. */
static long one(gil_batch *batch)
{
    long result = gil_batch_wait_all(batch) ? -1 : gil_batch_result(batch, 0);

    gil_batch_clear(batch);
    return result;
}

static int pipes(gil_batch *batch)
{
    int ends[2], failed = pipe(ends);

    gil_batch_write(batch, ends[1], "a", 1);
    gil_batch_writev(batch, ends[1], &iov, 1);
    gil_batch_submit(batch);
    failed |= gil_batch_wait_any(batch) < 0 || gil_batch_wait_any_for(batch, SOON) < 0;
    gil_batch_read(batch, ends[0], buf, 1);
    gil_batch_readv(batch, ends[0], &iov, 1);
    failed |= gil_batch_wait_all_for(batch, SOON);
    for (unsigned i = 0; i < 4; i++)
        failed |= gil_batch_result(batch, i) != 1;
    gil_batch_read(batch, ends[0], buf, 1);
    failed |= gil_batch_cancel(batch) != 1;
    gil_batch_clear(batch);
    return failed || close(ends[0]) || close(ends[1]);
}

static int files(gil_batch *batch)
{
    struct statx about;
    long fd;
    int failed;

    gil_batch_open(batch, "batch-a", O_RDWR | O_CREAT, 0600);
    fd = one(batch);
    gil_batch_pwrite(batch, (int)fd, "a", 1, 0);
    failed = fd < 0 || one(batch) != 1;
    gil_batch_pwritev(batch, (int)fd, &iov, 1, 1);
    failed |= one(batch) != 1;
    gil_batch_pread(batch, (int)fd, buf, 2, 0);
    failed |= one(batch) != 2;
    gil_batch_preadv(batch, (int)fd, &iov, 1, 0);
    failed |= one(batch) != 1;
    gil_batch_fsync(batch, (int)fd);
    failed |= one(batch) != 0;
    gil_batch_fdatasync(batch, (int)fd);
    failed |= one(batch) != 0 || close((int)fd);
    gil_batch_statx(batch, AT_FDCWD, "batch-a", 0, STATX_SIZE, &about);
    failed |= one(batch) != 0 || about.stx_size != 2;
    gil_batch_openat(batch, AT_FDCWD, "batch-a", O_RDONLY, 0);
    fd = one(batch);
    return failed || fd < 0 || close((int)fd) || unlink("batch-a");
}

static int pairs(gil_batch *batch)
{
    struct msghdr message;
    int ends[2], failed = socketpair(AF_UNIX, SOCK_STREAM, 0, ends);

    memset(&message, 0, sizeof message);
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    gil_batch_send(batch, ends[0], "a", 1, 0);
    failed |= one(batch) != 1;
    gil_batch_recv(batch, ends[1], buf, 1, 0);
    failed |= one(batch) != 1;
    gil_batch_sendmsg(batch, ends[0], &message, 0);
    failed |= one(batch) != 1;
    gil_batch_recvmsg(batch, ends[1], &message, 0);
    failed |= one(batch) != 1;
    return failed || close(ends[0]) || close(ends[1]);
}

int main(void)
{
    char folder[] = "/tmp/gil-batch-XXXXXX";
    int failed = gil_initialize(0) || !mkdtemp(folder) || chdir(folder);
    gil_batch *batch = gil_batch_create(8);

    iov.iov_base = buf;
    iov.iov_len = 1;
    gil_init_threads();
    failed |= pipes(batch) || files(batch) || pairs(batch);
    gil_batch_destroy(batch);
    failed |= gil_batch_create(GIL_BATCH_MAX + 1u) != NULL || rmdir(folder);
    gil_finalize();
    return failed;
}
