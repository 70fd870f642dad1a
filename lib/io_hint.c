/* What a thread remembers of the files that it read from last, so that a call that waits each time,
 * as a server's does, needs one system call for it, and so does one that never waits.
 *
 * It may be wrong: the number may be another file's by now, or its flags have been changed. Then a
 * try is left out, or made, in vain; and a request that should not wait is found out after
 * CHECK_NS (io_block.c). */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include <fcntl.h>

enum { SOCKETS = 4, TRIES = 2, LEFT_OUT = 7 };

static _Thread_local struct hint {
    int fd;          /* one more than its number */
    bool by_request; /* a request may wait for it */
    uint8_t in_vain; /* so many tries one after another would have waited, up to TRIES */
    uint8_t left_out;
} hints[SOCKETS];

static struct hint *hint_of(int fd)
{
    struct hint *h = &hints[(unsigned)fd % SOCKETS];

    if (h->fd != fd + 1)
        *h = (struct hint){.fd = fd + 1};
    return h;
}

bool io_worth_a_try(int fd)
{
    struct hint *h = hint_of(fd);

    if (!h->by_request || h->in_vain < TRIES || h->left_out == LEFT_OUT)
        return true;
    h->left_out++;
    return false;
}

void io_tried(int fd, bool would_wait)
{
    struct hint *h = hint_of(fd);

    h->left_out = 0;
    if (!would_wait)
        h->in_vain = 0;
    else if (h->in_vain < TRIES)
        h->in_vain++;
}

enum io_way io_look_again(int fd)
{
    enum io_way way = io_nonblocking(fd)                   ? IO_NOT_AT_ALL
                      : io_has_time_limit(fd, SO_RCVTIMEO) ? IO_BY_CALL
                                                           : IO_BY_REQUEST;

    hint_of(fd)->by_request = way == IO_BY_REQUEST;
    return way;
}

enum io_way io_way_to_wait(int fd, bool *remembered)
{
    *remembered = hint_of(fd)->by_request;
    return *remembered ? IO_BY_REQUEST : io_look_again(fd);
}

/* ---- O_DIRECT ---- */

/* Of one file, and not among the hints, where it would push out a socket's. A wrong memory makes a try
 * that waits for the device, lock and all. */
enum { READS_MOST = 7 };

static _Thread_local struct {
    int fd;        /* one more than its number: it was not opened with O_DIRECT */
    uint8_t reads; /* since that was looked at */
} in_memory;

bool io_is_direct(int fd)
{
    long flags;

    if (in_memory.fd == fd + 1 && in_memory.reads < READS_MOST) {
        in_memory.reads++;
        return false;
    }
    flags = IO_NOW(SYS_fcntl, fd, F_GETFL);
    in_memory.fd = flags >= 0 && !(flags & O_DIRECT) ? fd + 1 : 0;
    in_memory.reads = 0;
    return flags >= 0 && flags & O_DIRECT;
}
