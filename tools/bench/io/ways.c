/* The ways: libgil's calls on both backends; what an interpreter can do by itself on libgil's lock,
 * which is to give it up around each call ("plain"), or around those that would wait ("try"); and
 * the former on CPython's lock, which is what CPython does. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <gil.h>

#include "tools/bench/io/bench.h"
#include "tools/bench/locks/bench.h"

/* ---- libgil's lock ---- */

static _Thread_local gil_state ensured;
static _Thread_local gil_thread_state *saved;

static void libgil_let_go(void)
{
    saved = gil_save_thread();
}

static void libgil_take_back(void)
{
    gil_restore_thread(saved);
}

static void libgil_start(void)
{
    gil_init_threads();
    if (gil_initialize(0) != 0)
        fail("gil_initialize");
    libgil_let_go();
}

static void libgil_enter(void)
{
    ensured = gil_ensure();
}

static void libgil_leave(void)
{
    gil_release(ensured);
}

static void libgil_checkpoint(void)
{
    if (gil_checkpoint() != 0)
        fail("gil_checkpoint");
}

static const struct interpreter on_libgil = {libgil_start,  libgil_enter,     libgil_leave,
                                             libgil_let_go, libgil_take_back, libgil_checkpoint};

/* ---- CPython's: `peer` is tools/bench/locks/cpython.c ---- */

static void cpython_start(void)
{
    peer.init();
}

static void cpython_enter(void)
{
    peer.acquire();
}

static void cpython_leave(void)
{
    peer.release();
}

static void cpython_checkpoint(void)
{
    if (!peer.asked())
        return;
    peer.release();
    peer.acquire();
}

static const struct interpreter on_cpython = {cpython_start, cpython_enter, cpython_leave,
                                              cpython_leave, cpython_enter, cpython_checkpoint};

/* ---- What gives the lock up by itself ---- */

static ssize_t plain_recv(int fd, void *buf, size_t size, int flags)
{
    ssize_t result;

    way->interpreter->let_go();
    result = recv(fd, buf, size, flags);
    way->interpreter->take_back();
    return result;
}

static ssize_t plain_send(int fd, const void *buf, size_t size, int flags)
{
    ssize_t result;

    way->interpreter->let_go();
    result = send(fd, buf, size, flags);
    way->interpreter->take_back();
    return result;
}

static ssize_t plain_pread(int fd, void *buf, size_t size, off_t offset)
{
    ssize_t result;

    way->interpreter->let_go();
    result = pread(fd, buf, size, offset);
    way->interpreter->take_back();
    return result;
}

static ssize_t try_recv(int fd, void *buf, size_t size, int flags)
{
    ssize_t result = recv(fd, buf, size, flags | MSG_DONTWAIT);

    return result >= 0 || errno != EAGAIN ? result : plain_recv(fd, buf, size, flags);
}

static ssize_t try_send(int fd, const void *buf, size_t size, int flags)
{
    ssize_t result = send(fd, buf, size, flags | MSG_DONTWAIT);

    return result >= 0 || errno != EAGAIN ? result : plain_send(fd, buf, size, flags);
}

static ssize_t try_pread(int fd, void *buf, size_t size, off_t offset)
{
    struct iovec iov = {buf, size};
    ssize_t result = preadv2(fd, &iov, 1, offset, RWF_NOWAIT);

    return result >= 0 || errno != EAGAIN ? result : plain_pread(fd, buf, size, offset);
}

/* ---- All of them ---- */

static const struct way ways[] = {
    {"ring", "uring", &on_libgil, gil_recv, gil_send, gil_pread},
    {"syscall", "syscall", &on_libgil, gil_recv, gil_send, gil_pread},
    {"try", NULL, &on_libgil, try_recv, try_send, try_pread},
    {"plain", NULL, &on_libgil, plain_recv, plain_send, plain_pread},
    {"cpython", NULL, &on_cpython, plain_recv, plain_send, plain_pread},
};

const struct way *way;

const struct way *way_of(const char *name)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strcmp(name, ways[i].name) == 0)
            return &ways[i];
    return NULL;
}
