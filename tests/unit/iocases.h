/* Shared by the tests that hold calls of libgil's beside the plain calls of the same names: results,
 * errno and out-parameters are the same, while another thread competes for the lock. A *case* is run
 * with a table of plain calls, then with one of libgil's, and writes down all that a caller can see
 * (iotables.h). */
#ifndef TESTS_UNIT_IOCASES_H
#define TESTS_UNIT_IOCASES_H

#include "iotables.h"

#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/un.h>

/* ---- cases ---- */

static char buf[256], *const nowhere = (char *)1;

static void files(const struct calls *c)
{
    int fd = make_file(10000);
    struct iovec two[] = {{buf, 5}, {buf + 5, 100}}, bad[] = {{buf, 5}, {nowhere, 5}};

    NOTE(c->read(fd, buf, 100));
    NOTE(c->readv(fd, two, 2));
    NOTE(c->pread(fd, buf, 100, 9950));
    NOTE(c->pread(fd, buf, 100, 10000));
    NOTE(c->pread(fd, buf, 100, -1));
    NOTE(c->preadv(fd, two, 2, 4090));
    note_bytes(buf, 105);
    NOTE(c->preadv(fd, two, 2, -1));
    NOTE(c->preadv(fd, two, -1, 0));
    NOTE(c->readv(fd, two, 0));
    NOTE(c->read(fd, buf, 0));
    NOTE(c->read(fd, nowhere, 10));
    NOTE(c->pread(fd, nowhere, 10, 0));
    NOTE(c->readv(fd, bad, 2));
    NOTE(c->readv(fd, (struct iovec *)nowhere, 2));
    NOTE(lseek(fd, 0, SEEK_CUR));
    NOTE(c->write(fd, "abc", 3));
    NOTE(c->writev(fd, two, 2));
    NOTE(c->pwrite(fd, "xyz", 3, 0));
    NOTE(c->pwrite(fd, "xyz", 3, -1));
    NOTE(c->pwritev(fd, two, 2, 20000));
    NOTE(c->write(fd, "", 0));
    NOTE(c->write(fd, nowhere, 10));
    NOTE(lseek(fd, 0, SEEK_CUR));
    NOTE(lseek(fd, 0, SEEK_END));
    NOTE(c->read(fd, buf, 10));
    NOTE(c->fsync(fd));
    NOTE(c->fdatasync(fd));
    NOTE(c->fallocate(fd, 0, 0, 65536));
    NOTE(c->fallocate(fd, 0, 0, 0));
    NOTE(c->close(fd));
    NOTE(c->close(-1));
    NOTE(c->read(-1, buf, 10));
    NOTE(c->write(-1, buf, 10));
    NOTE(c->pread(-1, buf, 10, 0));
    NOTE(c->fsync(-1));
}

static void names(const struct calls *c)
{
    char folder[] = "/tmp/gil-io-XXXXXX";
    struct statx about;
    int dir, fd;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    NOTE_FILE(dir, c->open(folder, O_RDONLY | O_DIRECTORY));
    NOTE_FILE(fd, c->openat(dir, "a", O_RDWR));
    NOTE_FILE(fd, c->openat(dir, "a", O_RDWR | O_CREAT | O_EXCL, 0640));
    NOTE(c->write(fd, "abc", 3));
    NOTE(c->statx(dir, "a", 0, STATX_SIZE | STATX_MODE, &about));
    note("%o %llu\n", about.stx_mode, (unsigned long long)about.stx_size);
    NOTE(c->statx(dir, "b", 0, STATX_SIZE, &about));
    NOTE(c->statx(dir, nowhere, 0, STATX_SIZE, &about));
    NOTE_FILE(dir, dir);
    NOTE(c->renameat(dir, "a", dir, "b"));
    NOTE(c->renameat(dir, "a", dir, "b"));
    NOTE(c->mkdirat(dir, "d", 0700));
    NOTE(c->mkdirat(dir, "d", 0700));
    NOTE(c->read(dir, buf, 10));
    NOTE(c->unlinkat(dir, "b", 0));
    NOTE(c->unlinkat(dir, "b", 0));
    NOTE(c->unlinkat(dir, "d", 0));
    NOTE(c->unlinkat(dir, "d", AT_REMOVEDIR));
    NOTE(c->close(fd));
    NOTE(c->close(dir));
    rmdir(folder);
}

static void pipes(const struct calls *c)
{
    struct iovec two[] = {{buf, 5}, {buf + 5, 100}};
    pthread_t closer;
    int ends[2];

    make_pipe(ends);
    join(move_soon(ends[1], 8, 8, false));
    NOTE(c->read(ends[0], buf, 100));
    for (int i = 0; i < 2; i++) {
        pthread_t writer = move_soon(ends[1], 8, 8, false);

        NOTE(i ? c->readv(ends[0], two, 2) : c->read(ends[0], buf, 100));
        note_bytes(buf, 8);
        join(writer);
    }
    NOTE(c->pread(ends[0], buf, 10, 0));
    NOTE(c->pwrite(ends[1], buf, 10, 0));
    NOTE(c->write(ends[0], buf, 10));
    NOTE(c->fsync(ends[0]));
    NOTE(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    NOTE(c->read(ends[0], buf, 10));
    NOTE(c->readv(ends[0], two, 2));
    NOTE(fcntl(ends[0], F_SETFL, 0));
    closer = start(close_later, &ends[1]);
    NOTE(c->read(ends[0], buf, 10));
    join(closer);
    NOTE(c->close(ends[0]));
}

static void transfers_of_a_whole(const struct calls *c)
{
    enum { SIZE = 1 << 20 };
    static char big[SIZE];
    const struct iovec parts[] = {{big, 100000}, {big, 1}, {big, SIZE - 100001}};
    const struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = 3};

    for (int way = 0; way < 7; way++) {
        size_t size = way == 3 ? 60000 : SIZE;
        pthread_t reader;
        int ends[2];

        if (way < 4)
            make_pipe(ends);
        else
            make_pair(ends);
        ck_assert_int_gt(write(ends[1], big, 40000), 0);
        reader = move_soon(ends[0], size + 40000, 50000, true);
        if (way == 0 || way == 3 || way == 4)
            NOTE(c->write(ends[1], big, size));
        else if (way == 1)
            NOTE(c->writev(ends[1], parts, 3));
        else if (way == 2)
            NOTE(c->write(ends[1], big, size));
        else if (way == 5)
            NOTE(c->send(ends[1], big, size, 0));
        else
            NOTE(c->sendmsg(ends[1], &message, 0));
        join(reader);
        close(ends[0]);
        close(ends[1]);
    }
}

static void streams(const struct calls *c)
{
    struct iovec two[] = {{buf, 5}, {buf + 5, 100}};
    struct msghdr message = {.msg_iov = two, .msg_iovlen = 2};
    int ends[2];

    make_tcp_pair(ends);
    for (int way = 0; way < 6; way++) {
        pthread_t writer = move_soon(ends[1], way < 4 ? 8 : 16, 8, false);

        if (way == 0)
            NOTE(c->recv(ends[0], buf, 100, 0));
        else if (way == 1)
            NOTE(c->recvfrom(ends[0], buf, 100, 0, NULL, NULL));
        else if (way == 2)
            NOTE(c->recvmsg(ends[0], &message, 0));
        else if (way == 3)
            NOTE(c->read(ends[0], buf, 100));
        else if (way == 4)
            NOTE(c->recv(ends[0], buf, 16, MSG_WAITALL));
        else {
            NOTE(c->recv(ends[0], buf, 4, MSG_PEEK));
            NOTE(c->recv(ends[0], buf, 16, MSG_WAITALL));
        }
        note_bytes(buf, 16);
        join(writer);
    }
    NOTE(c->recv(ends[0], buf, 10, MSG_DONTWAIT));
    NOTE(c->recv(ends[0], buf, 10, MSG_OOB));
    NOTE(c->send(ends[0], "abc", 3, 0));
    NOTE(c->sendto(ends[0], "abc", 3, 0, NULL, 0));
    NOTE(c->send(ends[0], "", 0, 0));
    NOTE(c->recv(ends[1], nowhere, 3, 0));
    NOTE(c->send(ends[0], nowhere, 3, 0));
    NOTE(c->recvmsg(ends[1], (struct msghdr *)nowhere, 0));
    NOTE(c->sendmsg(ends[1], (struct msghdr *)nowhere, 0));
    NOTE(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    NOTE(c->recv(ends[0], buf, 10, 0));
    NOTE(c->read(ends[0], buf, 10));
    NOTE(c->recvmsg(ends[0], &message, 0));
    NOTE(c->shutdown(ends[1], SHUT_WR));
    NOTE(c->recv(ends[0], buf, 10, 0));
    NOTE(c->shutdown(-1, SHUT_WR));
    NOTE(c->recv(-1, buf, 10, 0));
    NOTE(c->close(ends[0]));
    NOTE(c->close(ends[1]));
}

static void datagrams(const struct calls *c)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from;
    socklen_t size = sizeof at;
    char control[64];
    struct iovec iov = {buf, 4};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);

    ck_assert_int_eq(bind(a, (struct sockaddr *)&at, size), 0);
    ck_assert_int_eq(getsockname(a, (struct sockaddr *)&at, &size), 0);
    NOTE(c->sendto(b, "abcdefgh", 8, 0, (struct sockaddr *)&at, size));
    NOTE(c->recvfrom(a, buf, 4, MSG_TRUNC, (struct sockaddr *)&from, &size));
    note("%u %x\n", size, ntohl(from.sin_addr.s_addr));
    NOTE(c->connect(b, (struct sockaddr *)&at, sizeof at));
    for (int way = 0; way < 3; way++) {
        pthread_t writer = move_soon(b, 8, 8, false);

        memset(&from, 0, sizeof from);
        size = sizeof from;
        if (way == 0)
            NOTE(c->recvfrom(a, buf, 4, 0, (struct sockaddr *)&from, &size));
        else if (way == 1)
            NOTE(c->recvmsg(a, &message, 0));
        else
            NOTE(c->recv(a, buf, 4, MSG_TRUNC));
        note("%u %x %x %u %zu\n", size, ntohl(from.sin_addr.s_addr), message.msg_flags,
             message.msg_namelen, message.msg_controllen);
        join(writer);
    }
    NOTE(c->send(b, "", 0, 0));
    NOTE(c->recv(a, buf, 4, 0));
    NOTE(c->send(a, "x", 1, 0));
    NOTE(c->close(a));
    NOTE(c->close(b));
}

/* Control data: a file that is sent along. */
static void passed_files(const struct calls *c)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec iov = {buf, 4};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int ends[2], fd;

    make_pair(ends);
    memcpy(CMSG_DATA(&control.header), ends, sizeof(int));
    NOTE(c->sendmsg(ends[0], &message, 0));
    memset(&control, 0, sizeof control);
    NOTE(c->recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC));
    note("%d %zu %x\n", control.header.cmsg_type, message.msg_controllen, message.msg_flags);
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    NOTE(c->close(fd));
    NOTE(c->close(ends[0]));
    NOTE(c->close(ends[1]));
}

static struct sockaddr_in connect_to;

static void *connect_later(void *arg)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    sleep_ns(2 * MS);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&connect_to, sizeof connect_to), 0);
    close(fd);
    return arg;
}

static void connections(const struct calls *c)
{
    struct sockaddr_in from;
    struct sockaddr *to = (struct sockaddr *)&connect_to;
    int server = make_server(&connect_to), client = socket(AF_INET, SOCK_STREAM, 0), peer;

    for (int way = 0; way < 3; way++) {
        pthread_t other = start(connect_later, NULL);
        socklen_t size = sizeof from;

        if (way == 0)
            NOTE_FILE(peer, c->accept(server, (struct sockaddr *)&from, &size));
        else if (way == 1)
            NOTE_FILE(peer, c->accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
        else
            NOTE_FILE(peer, c->accept4(server, (struct sockaddr *)&from, &size, SOCK_CLOEXEC));
        note("%u %x %x %x\n", size, ntohl(from.sin_addr.s_addr), fcntl(peer, F_GETFD),
             fcntl(peer, F_GETFL));
        NOTE(c->close(peer));
        join(other);
    }
    NOTE(c->connect(client, to, sizeof connect_to));
    NOTE(c->connect(client, to, sizeof connect_to));
    NOTE(c->accept(client, NULL, NULL));
    NOTE(c->accept4(server, NULL, NULL, -1));
    NOTE(c->accept(-1, NULL, NULL));
    NOTE(c->connect(-1, to, sizeof connect_to));
    NOTE(c->connect(client, (struct sockaddr *)nowhere, sizeof connect_to));
    NOTE(c->close(client));
    NOTE_FILE(peer, c->accept(server, NULL, NULL));
    NOTE(c->close(peer));
    NOTE(fcntl(server, F_SETFL, O_NONBLOCK));
    NOTE(c->accept(server, NULL, NULL));
    NOTE(c->close(server));
    client = socket(AF_INET, SOCK_STREAM, 0);
    NOTE(c->connect(client, to, sizeof connect_to));
    NOTE(c->accept(STDIN_FILENO, NULL, NULL));
    NOTE(c->close(client));
}

static void time_limits_of_sockets(const struct calls *c)
{
    struct timeval limit = {.tv_usec = 10000};
    struct sockaddr_in at;
    static char some[1 << 20];
    int ends[2], server = make_server(&at);

    make_pair(ends);
    NOTE(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    NOTE(c->recv(ends[0], buf, 10, 0));
    NOTE(c->read(ends[0], buf, 10));
    NOTE(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
    while (send(ends[0], some, sizeof some, MSG_DONTWAIT) > 0)
        ;
    NOTE(c->send(ends[0], some, sizeof some, 0));
    NOTE(c->write(ends[0], some, 10));
    NOTE(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    NOTE(c->accept(server, NULL, NULL));
    close(server);
    close(ends[0]);
    close(ends[1]);
}

static void waits(const struct calls *c)
{
    struct pollfd files[2] = {{.events = POLLIN}, {.fd = -1}};
    siginfo_t info = {.si_signo = 0};
    int ends[2], status = 0;
    pthread_t writer;
    pid_t pid;

    make_pipe(ends);
    files[0].fd = ends[0];
    NOTE(c->poll(files, 2, 0));
    NOTE(c->poll(files, 2, 2));
    writer = move_soon(ends[1], 8, 8, false);
    NOTE(c->poll(files, 2, -1));
    note("%x %x\n", files[0].revents, files[1].revents);
    join(writer);
    close(ends[1]);
    NOTE(c->poll(files, 1, -1));
    note("%x\n", files[0].revents);
    close(ends[0]);
    NOTE(c->poll(files, 1, -1));
    note("%x\n", files[0].revents);
    NOTE(c->poll((struct pollfd *)nowhere, 1, 0));

    NOTE(c->waitpid(-1, &status, 0));
    NOTE(c->waitid(P_ALL, 0, &info, WEXITED));
    for (int way = 0; way < 4; way++) {
        pid = fork();
        if (pid == 0) {
            sleep_ns(3 * MS);
            _exit(10 + way);
        }
        if (way == 0)
            NOTE(c->waitpid(pid, &status, WNOHANG));
        if (way < 2)
            NOTE(c->waitpid(way ? -1 : pid, &status, 0) == pid);
        else
            NOTE(c->waitid(way == 2 ? P_ALL : P_PID, (unsigned)pid, way == 2 ? NULL : &info,
                           WEXITED));
        note("%x %d %d %d %d\n", status, info.si_signo, info.si_code, info.si_status,
             info.si_pid == pid);
    }
}

static void between_files(const struct calls *c)
{
    int fd = make_file(10000), ends[2], out[2];
    off_t offset = 100;
    pthread_t writer;

    make_pipe(ends);
    make_pair(out);
    NOTE(c->sendfile(out[0], fd, &offset, 200));
    NOTE(c->sendfile(out[0], fd, NULL, 200));
    NOTE(c->splice(fd, &offset, ends[1], NULL, 50, 0));
    note("%ld %ld\n", (long)offset, (long)lseek(fd, 0, SEEK_CUR));
    NOTE(c->splice(ends[0], NULL, out[0], NULL, 100, 0));
    writer = move_soon(ends[1], 8, 8, false);
    NOTE(c->splice(ends[0], NULL, out[0], NULL, 100, 0));
    NOTE(c->splice(ends[0], NULL, out[0], NULL, 100, SPLICE_F_NONBLOCK));
    NOTE(c->splice(fd, NULL, fd, NULL, 100, 0));
    NOTE(c->sendfile(-1, fd, NULL, 1));
    join(writer);
    close(fd);
    close(ends[0]);
    close(ends[1]);
    close(out[0]);
    close(out[1]);
}

static void other_files(const struct calls *c)
{
    int fd = eventfd(0, 0);
    pthread_t writer = move_soon(fd, 8, 8, false);

    NOTE(c->read(fd, buf, 8));
    note_bytes(buf, 8);
    NOTE(c->read(fd, buf, 4));
    NOTE(c->write(fd, "\1\0\0\0\0\0\0\0", 8));
    NOTE(c->read(fd, buf, 8));
    note_bytes(buf, 8);
    join(writer);
    close(fd);
    NOTE_FILE(fd, c->open("/dev/zero", O_RDWR));
    NOTE(c->read(fd, buf, 10));
    NOTE(c->write(fd, buf, 10));
    close(fd);
    NOTE_FILE(fd, c->open("/proc/self/cmdline", O_RDONLY));
    NOTE(c->read(fd, buf, 1));
    close(fd);
}

static void (*const cases[])(const struct calls *) = {
    files,        names,       pipes, transfers_of_a_whole, streams,     datagrams,
    passed_files, connections, waits, between_files,        other_files, time_limits_of_sockets,
};

enum { CASES = sizeof cases / sizeof *cases };

static void run_case(int number, int which, const struct calls *calls)
{
    note_at = notes[which];
    note_end = note_at + sizeof notes[which];
    memset(buf, 0, sizeof buf);
    cases[number](calls);
}

/* Runs a case with both tables, the second contended. */
HARNESS void compare(int number, int backend, const struct calls *ours)
{
    rival r = {0};

    begin_io(backend);
    run_case(number, 0, &plain);
    rival_start(&r);
    gil_restore_thread(test_state);
    run_case(number, 1, ours);
    gil_save_thread();
    rival_end(&r);
    ck_assert_str_eq(notes[1], notes[0]);
}

#endif
