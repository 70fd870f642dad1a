/* gil/io.h alone, as C and as C++: calls of every kind. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* for mkdtemp and AT_FDCWD */
#endif
#include <gil/io.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gil/eval.h>

#define SOON 1000000

static char buf[8];

static int pipes(void)
{
    struct iovec iov;
    int ends[2], failed = pipe(ends);

    iov.iov_base = buf;
    iov.iov_len = 1;
    failed |= gil_write(ends[1], "a", 1) != 1 || gil_read(ends[0], buf, 1) != 1;
    failed |= gil_writev(ends[1], &iov, 1) != 1 || gil_readv(ends[0], &iov, 1) != 1;
    failed |= gil_write_for(ends[1], "a", 1, SOON) != 1 || gil_read_for(ends[0], buf, 1, SOON) != 1;
    failed |= gil_writev_for(ends[1], &iov, 1, SOON) != 1;
    failed |= gil_readv_for(ends[0], &iov, 1, SOON) != 1;
    failed |= gil_read_for(ends[0], buf, 1, SOON) != -1;
    return failed || gil_close(ends[0]) || gil_close(ends[1]);
}

static int files(void)
{
    struct iovec iov;
    int out[2], failed = pipe(out), fd = gil_open("io-a", O_RDWR | O_CREAT | O_TRUNC, 0600);

    iov.iov_base = buf;
    iov.iov_len = 1;
    failed |= fd < 0 || gil_pwrite(fd, "abcd", 4, 0) != 4 || gil_pread(fd, buf, 4, 0) != 4;
    failed |= gil_pwritev(fd, &iov, 1, 0) != 1 || gil_preadv(fd, &iov, 1, 0) != 1;
    failed |= gil_splice(fd, NULL, out[1], NULL, 1, 0) != 1;
    failed |= gil_splice_for(fd, NULL, out[1], NULL, 1, 0, SOON) != 1;
    failed |= gil_sendfile(out[1], fd, NULL, 1) != 1;
    failed |= gil_sendfile_for(out[1], fd, NULL, 1, SOON) != 1;
    failed |= gil_fsync(fd) || gil_fdatasync(fd) || gil_fallocate(fd, 0, 0, 8) || gil_close(fd);
    failed |= gil_renameat(AT_FDCWD, "io-a", AT_FDCWD, "io-b");
    fd = gil_openat(AT_FDCWD, "io-b", O_RDONLY);
    failed |= fd < 0 || gil_close(fd);
    fd = gil_open_for("io-b", O_RDONLY, 0, SOON);
    failed |= fd < 0 || gil_close(fd);
    fd = gil_openat_for(AT_FDCWD, "io-b", O_RDONLY, 0, SOON);
    failed |= fd < 0 || gil_close(fd);
    failed |= gil_statx(AT_FDCWD, "io-c", 0, 0, NULL) != -1;
    failed |= gil_unlinkat(AT_FDCWD, "io-b", 0);
    failed |= gil_mkdirat(AT_FDCWD, "io-d", 0700) || rmdir("io-d");
    return failed || gil_close(out[0]) || gil_close(out[1]);
}

static int pairs(void)
{
    struct iovec iov;
    struct msghdr message;
    int ends[2], failed = socketpair(AF_UNIX, SOCK_STREAM, 0, ends);

    iov.iov_base = buf;
    iov.iov_len = 1;
    memset(&message, 0, sizeof message);
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    failed |= gil_send(ends[0], "a", 1, 0) != 1 || gil_recv(ends[1], buf, 1, 0) != 1;
    failed |= gil_send_for(ends[0], "a", 1, 0, SOON) != 1;
    failed |= gil_recv_for(ends[1], buf, 1, 0, SOON) != 1;
    failed |= gil_sendto(ends[0], "a", 1, 0, NULL, 0) != 1;
    failed |= gil_recvfrom(ends[1], buf, 1, 0, NULL, NULL) != 1;
    failed |= gil_sendto_for(ends[0], "a", 1, 0, NULL, 0, SOON) != 1;
    failed |= gil_recvfrom_for(ends[1], buf, 1, 0, NULL, NULL, SOON) != 1;
    failed |= gil_sendmsg(ends[0], &message, 0) != 1 || gil_recvmsg(ends[1], &message, 0) != 1;
    failed |= gil_sendmsg_for(ends[0], &message, 0, SOON) != 1;
    failed |= gil_recvmsg_for(ends[1], &message, 0, SOON) != 1;
    failed |= gil_shutdown(ends[0], SHUT_WR) || gil_recv(ends[1], buf, 1, 0) != 0;
    return failed || gil_close(ends[0]) || gil_close(ends[1]);
}

static int connections(void)
{
    struct sockaddr_in at;
    struct sockaddr *to = (struct sockaddr *)&at;
    socklen_t size = sizeof at;
    int failed = 0, server = socket(AF_INET, SOCK_STREAM, 0);

    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    failed |= bind(server, to, size) || listen(server, 4) || getsockname(server, to, &size);
    for (int i = 0; i < 4; i++) {
        int client = socket(AF_INET, SOCK_STREAM, 0), peer;

        failed |= i % 2 ? gil_connect(client, to, size) : gil_connect_for(client, to, size, SOON);
        peer = i == 0   ? gil_accept(server, NULL, NULL)
               : i == 1 ? gil_accept_for(server, NULL, NULL, SOON)
               : i == 2 ? gil_accept4(server, NULL, NULL, 0)
                        : gil_accept4_for(server, NULL, NULL, 0, SOON);
        failed |= peer < 0 || gil_close(peer) || gil_close(client);
    }
    return failed || gil_close(server);
}

static long add(void *arg)
{
    return ++*(int *)arg;
}

static void nothing(void *arg)
{
    (void)arg;
}

static int waits(void)
{
    struct pollfd none;
    int calls = 0, failed = gil_sleep(SOON) || gil_sleep_until(0);

    none.fd = -1;
    failed |= gil_poll(&none, 1, 1) || gil_poll_for(&none, 1, SOON);
    failed |= gil_waitpid(-1, NULL, 0) != -1 || gil_waitpid_for(-1, NULL, 0, SOON) != -1;
    failed |= gil_waitid(0, 0, NULL, 4) != -1 || gil_waitid_for(0, 0, NULL, 4, SOON) != -1;
    failed |= gil_without(add, &calls, NULL, NULL) != 1;
    failed |= gil_without(add, &calls, nothing, NULL) != 2;
    return failed || !*gil_io_reason_text(gil_io_status());
}

int main(void)
{
    char folder[] = "/tmp/gil-io-XXXXXX";
    int failed = gil_initialize(0) || !mkdtemp(folder) || chdir(folder);

    gil_init_threads();
    failed |= pipes() || files() || pairs() || connections() || waits();
    failed |= rmdir(folder);
    gil_finalize();
    return failed;
}
