/* poll, select and epoll: tried with a timeout of zero, and with the caller's signal mask where
 * there is one, so that a signal that the mask lets through ends the try as it would end the call.
 *
 * The plain call after a try has the whole timeout. select and pselect try on copies of the sets,
 * since they overwrite what they are given; sets at an address that is none crash here instead of
 * giving EFAULT. A call that waits for no file is a sleep, and yields as
 * one (calls_sleep.c). */
#include "tools/python/calls_try.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

int __poll_chk(struct pollfd *, nfds_t, int, size_t);
int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);

enum timeout { NONE, SOME, BAD };

static enum timeout timespec_kind(const struct timespec *timeout)
{
    if (!timeout)
        return SOME;
    if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999)
        return BAD;
    return timeout->tv_sec || timeout->tv_nsec ? SOME : NONE;
}

/* After a try: is its result that of the plain call? If not, completes the release. */
static bool final_result(int result, int saved_errno)
{
    if (result != 0) {
        py_call_done();
        return true;
    }
    py_after_try(saved_errno);
    return false;
}

static int poll_deferred(struct pollfd *fds, nfds_t count, int timeout)
{
    int saved_errno = errno;
    int ready = PY_TRY(REAL(poll)(fds, count, 0));
    if (timeout == 0)
        return PY_DONE(ready);
    if (final_result(ready, saved_errno))
        return ready;
    return REAL(poll)(fds, count, timeout);
}

PY_WRAPPER int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (count == 0 && timeout != 0)
        py_call_yields();
    return py_deferred() ? poll_deferred(fds, count, timeout) : REAL(poll)(fds, count, timeout);
}

PY_WRAPPER int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
    return py_deferred() && count <= room / sizeof *fds
               ? poll_deferred(fds, count, timeout)
               : REAL(__poll_chk)(fds, count, timeout, room);
}

static int ppoll_deferred(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                          const sigset_t *mask)
{
    static const struct timespec none;
    enum timeout kind = timespec_kind(timeout);
    if (kind != SOME)
        return PY_DONE(PY_TRY(REAL(ppoll)(fds, count, timeout, mask)));
    int saved_errno = errno;
    int ready = PY_TRY(REAL(ppoll)(fds, count, &none, mask));
    if (final_result(ready, saved_errno))
        return ready;
    return REAL(ppoll)(fds, count, timeout, mask);
}

PY_WRAPPER int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                     const sigset_t *mask)
{
    if (count == 0 && timespec_kind(timeout) == SOME)
        py_call_yields();
    return py_deferred() ? ppoll_deferred(fds, count, timeout, mask)
                         : REAL(ppoll)(fds, count, timeout, mask);
}

PY_WRAPPER int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                           const sigset_t *mask, size_t room)
{
    return py_deferred() && count <= room / sizeof *fds
               ? ppoll_deferred(fds, count, timeout, mask)
               : REAL(__ppoll_chk)(fds, count, timeout, mask, room);
}

/* Copies of the caller's sets. */
struct sets {
    size_t bytes;
    fd_set read, write, except;
};

static bool is_sleep(int count, const fd_set *read, const fd_set *write, const fd_set *except)
{
    return count == 0 || !(read || write || except);
}

/* False when there is nothing to copy, or more than fits. */
static bool copy_sets(struct sets *copy, int count, const fd_set *read, const fd_set *write,
                      const fd_set *except)
{
    if (count <= 0 || count > FD_SETSIZE)
        return false;
    copy->bytes = ((size_t)count + NFDBITS - 1) / NFDBITS * sizeof(fd_mask);
    if (read)
        memcpy(&copy->read, read, copy->bytes);
    if (write)
        memcpy(&copy->write, write, copy->bytes);
    if (except)
        memcpy(&copy->except, except, copy->bytes);
    return true;
}

/* The kernel writes the sets back unless the call fails. */
static void give_back(const struct sets *copy, int ready, fd_set *read, fd_set *write,
                      fd_set *except)
{
    if (ready < 0)
        return;
    if (read)
        memcpy(read, &copy->read, copy->bytes);
    if (write)
        memcpy(write, &copy->write, copy->bytes);
    if (except)
        memcpy(except, &copy->except, copy->bytes);
}

/* A try that ends the call leaves the timeout as a call that took no time does: the same, in
 * proper form. */
static void normalise(struct timeval *timeout)
{
    if (timeout) {
        timeout->tv_sec += timeout->tv_usec / 1000000;
        timeout->tv_usec %= 1000000;
    }
}

static int select_deferred(int count, fd_set *read, fd_set *write, fd_set *except,
                           struct timeval *timeout)
{
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0 ||
                    (timeout->tv_sec == 0 && timeout->tv_usec == 0)))
        return PY_DONE(PY_TRY(REAL(select)(count, read, write, except, timeout)));
    struct sets copy;
    if (!copy_sets(&copy, count, read, write, except)) {
        py_call_blocks(false);
        return REAL(select)(count, read, write, except, timeout);
    }
    int saved_errno = errno;
    struct timeval none = {0, 0};
    int ready = PY_TRY(REAL(select)(count, read ? &copy.read : 0, write ? &copy.write : 0,
                                    except ? &copy.except : 0, &none));
    if (!final_result(ready, saved_errno))
        return REAL(select)(count, read, write, except, timeout);
    give_back(&copy, ready, read, write, except);
    normalise(timeout);
    return ready;
}

PY_WRAPPER int select(int count, fd_set *read, fd_set *write, fd_set *except,
                      struct timeval *timeout)
{
    if (is_sleep(count, read, write, except) &&
        !(timeout && timeout->tv_sec == 0 && timeout->tv_usec == 0))
        py_call_yields();
    return py_deferred() ? select_deferred(count, read, write, except, timeout)
                         : REAL(select)(count, read, write, except, timeout);
}

static int pselect_deferred(int count, fd_set *read, fd_set *write, fd_set *except,
                            const struct timespec *timeout, const sigset_t *mask)
{
    if (timespec_kind(timeout) != SOME)
        return PY_DONE(PY_TRY(REAL(pselect)(count, read, write, except, timeout, mask)));
    struct sets copy;
    if (!copy_sets(&copy, count, read, write, except)) {
        py_call_blocks(false);
        return REAL(pselect)(count, read, write, except, timeout, mask);
    }
    int saved_errno = errno;
    static const struct timespec none;
    int ready = PY_TRY(REAL(pselect)(count, read ? &copy.read : 0, write ? &copy.write : 0,
                                     except ? &copy.except : 0, &none, mask));
    if (!final_result(ready, saved_errno))
        return REAL(pselect)(count, read, write, except, timeout, mask);
    give_back(&copy, ready, read, write, except);
    return ready;
}

PY_WRAPPER int pselect(int count, fd_set *read, fd_set *write, fd_set *except,
                       const struct timespec *timeout, const sigset_t *mask)
{
    if (is_sleep(count, read, write, except) && timespec_kind(timeout) == SOME)
        py_call_yields();
    return py_deferred() ? pselect_deferred(count, read, write, except, timeout, mask)
                         : REAL(pselect)(count, read, write, except, timeout, mask);
}

static int epoll_wait_deferred(int fd, struct epoll_event *events, int room, int timeout)
{
    if (timeout == 0)
        return PY_DONE(PY_TRY(REAL(epoll_wait)(fd, events, room, 0)));
    int saved_errno = errno;
    int ready = PY_TRY(REAL(epoll_wait)(fd, events, room, 0));
    if (final_result(ready, saved_errno))
        return ready;
    return REAL(epoll_wait)(fd, events, room, timeout);
}

PY_WRAPPER int epoll_wait(int fd, struct epoll_event *events, int room, int timeout)
{
    return py_deferred() ? epoll_wait_deferred(fd, events, room, timeout)
                         : REAL(epoll_wait)(fd, events, room, timeout);
}

static int epoll_pwait_deferred(int fd, struct epoll_event *events, int room, int timeout,
                                const sigset_t *mask)
{
    if (timeout == 0)
        return PY_DONE(PY_TRY(REAL(epoll_pwait)(fd, events, room, 0, mask)));
    int saved_errno = errno;
    int ready = PY_TRY(REAL(epoll_pwait)(fd, events, room, 0, mask));
    if (final_result(ready, saved_errno))
        return ready;
    return REAL(epoll_pwait)(fd, events, room, timeout, mask);
}

PY_WRAPPER int epoll_pwait(int fd, struct epoll_event *events, int room, int timeout,
                           const sigset_t *mask)
{
    return py_deferred() ? epoll_pwait_deferred(fd, events, room, timeout, mask)
                         : REAL(epoll_pwait)(fd, events, room, timeout, mask);
}

static int epoll_pwait2_deferred(int fd, struct epoll_event *events, int room,
                                 const struct timespec *timeout, const sigset_t *mask)
{
    static const struct timespec none;
    if (timespec_kind(timeout) != SOME)
        return PY_DONE(PY_TRY(REAL(epoll_pwait2)(fd, events, room, timeout, mask)));
    int saved_errno = errno;
    int ready = PY_TRY(REAL(epoll_pwait2)(fd, events, room, &none, mask));
    if (final_result(ready, saved_errno))
        return ready;
    return REAL(epoll_pwait2)(fd, events, room, timeout, mask);
}

PY_WRAPPER int epoll_pwait2(int fd, struct epoll_event *events, int room,
                            const struct timespec *timeout, const sigset_t *mask)
{
    return py_deferred() ? epoll_pwait2_deferred(fd, events, room, timeout, mask)
                         : REAL(epoll_pwait2)(fd, events, room, timeout, mask);
}
