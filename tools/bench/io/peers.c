/* See bench.h. The process is forked, connects so many times, and is killed when its parent ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bench/io/bench.h"

static pid_t child;

/* The hard limit of most systems is enough for one end of each connection, not for both. */
static void may_have_files(size_t count)
{
    const rlim_t others = 100;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail("getrlimit");
    if (limit.rlim_cur >= count + others)
        return;
    limit.rlim_cur = count + others;
    if (limit.rlim_max < limit.rlim_cur)
        limit.rlim_max = limit.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail("files for the sockets");
}

static int *room_for(size_t count)
{
    int *fds = calloc(count, sizeof *fds);

    if (!fds)
        fail("memory for the sockets");
    return fds;
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        fail("socket");
    return fd;
}

/* The kernel finds an address that no file has. */
static int listening(struct sockaddr_un *address, socklen_t *size)
{
    int fd = new_socket();

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *size = sizeof *address;
    if (bind(fd, (struct sockaddr *)address, sizeof address->sun_family) != 0 ||
        listen(fd, SOMAXCONN) != 0 || getsockname(fd, (struct sockaddr *)address, size) != 0)
        fail("a socket to listen at");
    return fd;
}

static int *connect_all(const struct sockaddr_un *address, socklen_t size, size_t count)
{
    int *fds = room_for(count);

    for (size_t i = 0; i < count; i++) {
        fds[i] = new_socket();
        if (connect(fds[i], (const struct sockaddr *)address, size) != 0)
            fail("connect");
    }
    return fds;
}

static int *accept_all(int listener, size_t count)
{
    int *fds = room_for(count);

    for (size_t i = 0; i < count; i++) {
        fds[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fds[i] < 0)
            fail("accept");
    }
    return fds;
}

int *peers_start(size_t count, void (*fn)(struct peers *p, const int *fds, size_t count),
                 struct peers **p)
{
    struct sockaddr_un address;
    socklen_t size;
    int listener, *fds;

    may_have_files(count);
    *p = mmap(NULL, sizeof **p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (*p == MAP_FAILED)
        fail("mmap");
    listener = listening(&address, &size);
    child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(listener);
        fn(*p, connect_all(&address, size, count), count);
        _exit(0);
    }
    fds = accept_all(listener, count);
    close(listener);
    return fds;
}

void peers_wait(void)
{
    int status;

    if (waitpid(child, &status, 0) < 0)
        fail("waitpid");
    errno = ECHILD;
    if (status != 0)
        fail("the process of the peers");
}
