/* See receive.h. */
#define _GNU_SOURCE
#include "tools/cli/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECEIVER_VARIABLE "GIL_STATS_TO" /* as in lib/statspage.c */

enum { BACKLOG = 1024, PATIENCE_US = 100000 };

int receive_open(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char name[48];
    uint64_t any = 0;
    socklen_t size;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (getrandom(&any, sizeof any, 0) < 0)
        any = (uint64_t)getpid();
    snprintf(name, sizeof name, "gil-stats-%d-%016" PRIx64, getpid(), any);
    strcpy(at.sun_path + 1, name);
    size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&at, size) != 0 || listen(fd, BACKLOG) != 0 ||
        setenv(RECEIVER_VARIABLE, name, 1) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The descriptor that comes with the next message, -1 if none does. */
static int receive_fd(int connection)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *passed;
    int fd;

    if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) < 0)
        return -1;
    passed = CMSG_FIRSTHDR(&message);
    if (!passed || passed->cmsg_level != SOL_SOCKET || passed->cmsg_type != SCM_RIGHTS ||
        passed->cmsg_len != CMSG_LEN(sizeof fd))
        return -1;
    memcpy(&fd, CMSG_DATA(passed), sizeof fd);
    return fd;
}

int receive_page(int socket, pid_t *from)
{
    int connection;

    while ((connection = accept4(socket, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct timeval patience = {.tv_usec = PATIENCE_US};
        struct ucred peer;
        socklen_t size = sizeof peer;
        int fd = -1;

        if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
            getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
            fd = receive_fd(connection);
        close(connection);
        if (fd >= 0 && fcntl(fd, F_GET_SEALS) >= 0 && (fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK)) {
            *from = peer.pid;
            return fd;
        }
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

pid_t receive_start(char **argv)
{
    int error = 0, pipes[2];
    pid_t pid;

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return -errno;
    pid = fork();
    if (pid == 0) {
        execvp(argv[0], argv);
        error = errno;
        if (write(pipes[1], &error, sizeof error) < 0)
            _exit(126);
        _exit(127);
    }
    if (pid < 0)
        error = errno;
    close(pipes[1]);
    if (pid > 0 && read(pipes[0], &error, sizeof error) > 0)
        waitpid(pid, NULL, 0);
    close(pipes[0]);
    return error ? -error : pid;
}
