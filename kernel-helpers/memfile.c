/* See memfile.h. */
#define _GNU_SOURCE
#include "kernel-helpers/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Its number is at least that, if the limit allows it. */
#define FD_LEAST 512

/* A fork copies the table of files up to the highest number. */
#define FAR 32768

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3, which complains to its log when neither is said */
#define MFD_NOEXEC_SEAL 8u
#endif

/* close() is a cancellation point. */
static void close_number(int fd)
{
    syscall(SYS_close, fd);
}

/* Programs get no number beyond their limit, and do not look there, nor close what is there. */
static int copy_beyond_limit(int fd)
{
    struct rlimit limit, raised;
    rlim_t least;
    int high;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > FAR)
        return -1;
    least = limit.rlim_cur < FD_LEAST ? FD_LEAST : limit.rlim_cur;
    raised = limit;
    raised.rlim_cur = least + 8; /* there may be others already */
    if (raised.rlim_max < raised.rlim_cur)
        raised.rlim_max = raised.rlim_cur; /* may be allowed */
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0)
        return -1;
    high = fcntl(fd, F_DUPFD_CLOEXEC, (int)least);
    setrlimit(RLIMIT_NOFILE, &limit);
    return high;
}

static int make_fd(const char *name)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL), high;

    if (fd < 0)
        fd = memfd_create(name, flags);
    if (fd < 0)
        return fd;
    high = copy_beyond_limit(fd);
    for (int least = FD_LEAST; high < 0 && least > fd; least /= 2)
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
