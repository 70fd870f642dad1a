/* See calls_ring.h.
 *
 * The ring is made for a thread when it first waits so, and known by the thread's number: a forked
 * child, or the child of a vfork, which shares its parent's memory, is another thread and leaves it
 * alone; it makes plain calls. */
#include "tools/python/calls_try.h"

#include "tools/python/calls_ring.h"

#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "kernel-helpers/futex.h"
#include "kernel-helpers/ring.h"

enum { ENTRIES = 2, WORKERS = 2 };

bool py_rings;
static pthread_key_t exit_key;

static _Thread_local struct {
    int32_t tid; /* whose ring it is; 0: there is none */
    bool cannot; /* have one */
    bool busy;   /* a signal handler has interrupted a call */
    uint64_t id; /* of the last request */
    struct ring ring;
} mine;

static void thread_exit(void *arg)
{
    (void)arg;
    ring_free(&mine.ring);
    mine.tid = 0;
    mine.cannot = true;
}

void py_rings_start(void)
{
    py_rings = pthread_key_create(&exit_key, thread_exit) == 0;
}

static bool has_ring(void)
{
    int32_t tid = (int32_t)syscall(SYS_gettid);

    if (mine.tid)
        return mine.tid == tid;
    if (mine.cannot)
        return false;
    mine.cannot =
        pthread_setspecific(exit_key, &mine) != 0 || ring_make(&mine.ring, ENTRIES, WORKERS) != 0;
    if (mine.cannot)
        pthread_setspecific(exit_key, NULL);
    else
        mine.tid = tid;
    return !mine.cannot;
}

/* ---- Is a request the same as the call? ---- */

static bool cancellation_is_off(void)
{
    int old;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    if (old != PTHREAD_CANCEL_DISABLE)
        pthread_setcancelstate(old, NULL);
    return old == PTHREAD_CANCEL_DISABLE;
}

static bool has_time_limit(int fd)
{
    struct timeval limit = {0, 0};
    socklen_t size = sizeof limit;

    return getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &size) == 0 &&
           (limit.tv_sec || limit.tv_usec);
}

/* Only these wait; and the position of a file is not for a request. */
static bool is_pipe_or_socket(int fd)
{
    struct stat64 about;

    return !fstat64(fd, &about) && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
}

static bool is_the_same(int fd, size_t size, int flags)
{
    return size > 0 && size <= INT_MAX && !(flags & (MSG_DONTWAIT | MSG_WAITALL | MSG_OOB)) &&
           is_pipe_or_socket(fd) && !py_nonblocking(fd) && !has_time_limit(fd) &&
           !(py_low_water_used && py_waits_for_more(fd));
}

/* ---- The wait ---- */

static bool take_result(int *result)
{
    struct io_uring_cqe cqe;
    bool taken = false;

    while (ring_next(&mine.ring, &cqe)) {
        if (cqe.user_data != mine.id)
            continue; /* of a cancellation */
        *result = cqe.res;
        taken = true;
    }
    return taken;
}

/* The request's own completion says whether it or the signal came first. */
static int call_off(void)
{
    int result = 0;

    ring_cancel(ring_prepare(&mine.ring), mine.id, 0);
    do {
        int error = ring_enter(&mine.ring, 1, FUTEX_FOREVER, NULL, 0);

        if (ring_refused(error))
            ring_endure(&mine.ring, error);
    } while (!take_result(&result));
    return result == -ECANCELED ? -EINTR : result;
}

/* False: the kernel has not taken the request. */
static bool wait_for_it(int *result)
{
    int error = ring_enter(&mine.ring, 1, FUTEX_FOREVER, NULL, 0);

    if (take_result(result))
        return true;
    if (ring_prepared(&mine.ring)) {
        ring_take_back(&mine.ring);
        *result = -EINTR;
        return error == -EINTR;
    }
    *result = call_off();
    return true;
}

bool py_ring_call(uint8_t opcode, int fd, const void *what, size_t size, uint64_t extra, int flags,
                  ssize_t *result)
{
    int saved_errno = errno, got;
    struct io_uring_sqe *sqe;
    bool made;

    if (mine.busy || !cancellation_is_off() || !is_the_same(fd, size, flags) || !has_ring()) {
        errno = saved_errno;
        return false;
    }
    mine.busy = true;
    sqe = ring_prepare(&mine.ring);
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->addr = (uintptr_t)what;
    sqe->len = opcode == IORING_OP_ACCEPT ? 0 : (uint32_t)size;
    sqe->off = extra;
    sqe->msg_flags = (uint32_t)flags;
    sqe->user_data = ++mine.id;
    made = wait_for_it(&got);
    mine.busy = false;
    errno = made && got < 0 ? -got : saved_errno;
    *result = got < 0 ? -1 : got;
    return made && got != -EAGAIN;
}
