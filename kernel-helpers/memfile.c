/* See memfile.h. */
#define _GNU_SOURCE
#include "kernel-helpers/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define FD_LEAST 512

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3, which complains to its log when neither is said */
#define MFD_NOEXEC_SEAL 8u
#endif

/* close() is a cancellation point. */
static void close_number(int fd)
{
    syscall(SYS_close, fd);
}

static int make_fd(const char *name)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL), high = -1;

    if (fd < 0)
        fd = memfd_create(name, flags);
    for (int least = FD_LEAST; fd >= 0 && high < 0 && least > fd; least /= 2)
        high = fcntl(fd, F_DUPFD_CLOEXEC, least);
    if (high < 0)
        return fd;
    close_number(fd);
    return high;
}

int memfile_make(struct memfile *file, const char *name, size_t size)
{
    int saved = errno;
    struct stat about;

    file->fd = make_fd(name);
    if (file->fd >= 0 && (ftruncate(file->fd, (off_t)size) != 0 || fstat(file->fd, &about) != 0 ||
                          fcntl(file->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)) {
        close_number(file->fd);
        file->fd = -1;
    }
    if (file->fd >= 0)
        file->inode = about.st_ino;
    errno = saved;
    return file->fd >= 0;
}

void memfile_close(struct memfile *file)
{
    int saved = errno;
    struct stat about;

    if (file->fd >= 0 && fstat(file->fd, &about) == 0 && about.st_ino == file->inode &&
        fcntl(file->fd, F_GET_SEALS) > 0)
        close_number(file->fd);
    file->fd = -1;
    errno = saved;
}

void memfile_send(const struct memfile *file, const char *address)
{
    int saved = errno;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = strlen(address);
    char byte = 0, control[CMSG_SPACE(sizeof file->fd)] = {0};
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *passed = CMSG_FIRSTHDR(&message);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN(sizeof file->fd);
    memcpy(CMSG_DATA(passed), &file->fd, sizeof file->fd);
    if (fd >= 0 && length < sizeof to.sun_path) {
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);

        memcpy(to.sun_path + 1, address, length);
        /* connect() and sendmsg() are cancellation points. */
        if (syscall(SYS_connect, fd, &to, size) == 0)
            syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
    }
    if (fd >= 0)
        close_number(fd);
    errno = saved;
}
