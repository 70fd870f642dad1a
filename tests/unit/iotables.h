/* What the cases of iocases.h are made of: the tables of calls, how a case writes down what a caller
 * sees of one, and what another thread does while a call waits. */
#ifndef TESTS_UNIT_IOTABLES_H
#define TESTS_UNIT_IOTABLES_H

#include "blocking.h"

#include <stdarg.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

/* ---- the two tables ---- */

#define CALLS(X)                                                                                   \
    X(read)                                                                                        \
    X(write)                                                                                       \
    X(readv)                                                                                       \
    X(writev)                                                                                      \
    X(pread) X(pwrite) X(preadv) X(pwritev) X(recv) X(send) X(recvfrom) X(sendto) X(recvmsg)       \
        X(sendmsg) X(accept) X(accept4) X(connect) X(shutdown) X(poll) X(open) X(openat) X(close)  \
            X(fsync) X(fdatasync) X(statx) X(fallocate) X(unlinkat) X(renameat) X(mkdirat)         \
                X(splice) X(sendfile) X(waitpid) X(waitid)

#define MEMBER(name) __typeof__(&gil_##name) name;
#define PLAIN(name)  .name = plain_##name,

struct calls {
    CALLS(MEMBER)
};

/* Those whose declaration in libc differs in a way that C minds. */
static int plain_accept(int fd, struct sockaddr *from, socklen_t *size)
{
    return accept(fd, from, size);
}

static int plain_accept4(int fd, struct sockaddr *from, socklen_t *size, int flags)
{
    return accept4(fd, from, size, flags);
}

static int plain_connect(int fd, const struct sockaddr *to, socklen_t size)
{
    return connect(fd, to, size);
}

static ssize_t plain_recvfrom(int fd, void *buf, size_t size, int flags, struct sockaddr *from,
                              socklen_t *from_size)
{
    return recvfrom(fd, buf, size, flags, from, from_size);
}

static ssize_t plain_sendto(int fd, const void *buf, size_t size, int flags,
                            const struct sockaddr *to, socklen_t to_size)
{
    return sendto(fd, buf, size, flags, to, to_size);
}

static int plain_waitid(int type, unsigned id, void *info, int options)
{
    return waitid((idtype_t)type, id, info, options);
}

#define plain_read      read
#define plain_write     write
#define plain_readv     readv
#define plain_writev    writev
#define plain_pread     pread
#define plain_pwrite    pwrite
#define plain_preadv    preadv
#define plain_pwritev   pwritev
#define plain_recv      recv
#define plain_send      send
#define plain_recvmsg   recvmsg
#define plain_sendmsg   sendmsg
#define plain_shutdown  shutdown
#define plain_poll      poll
#define plain_open      open
#define plain_openat    openat
#define plain_close     close
#define plain_fsync     fsync
#define plain_fdatasync fdatasync
#define plain_statx     statx
#define plain_fallocate fallocate
#define plain_unlinkat  unlinkat
#define plain_renameat  renameat
#define plain_mkdirat   mkdirat
#define plain_splice    splice
#define plain_sendfile  sendfile
#define plain_waitpid   waitpid

static const struct calls plain = {CALLS(PLAIN)};

/* ---- what is written down ---- */

static char notes[2][8192];
static char *note_at, *note_end;

static void note(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    note_at += vsnprintf(note_at, (size_t)(note_end - note_at), format, list);
    va_end(list);
    ck_assert(note_at < note_end);
}

/* The result of a call, with errno if it failed; or that it kept errno. */
#define NOTE(call)                                                                                 \
    do {                                                                                           \
        long result_;                                                                              \
        errno = ENOTNAM;                                                                           \
        result_ = (long)(call);                                                                    \
        note("%d: %ld %d\n", __LINE__, result_, errno);                                            \
    } while (0)

/* A file that was opened: its number is not the same. */
#define NOTE_FILE(file, call)                                                                      \
    do {                                                                                           \
        errno = ENOTNAM;                                                                           \
        file = (call);                                                                             \
        note("%d: %s %d\n", __LINE__, file < 0 ? "no file" : "file", errno);                       \
    } while (0)

static void note_bytes(const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        note("%02x", ((const unsigned char *)bytes)[i]);
    note("\n");
}

/* ---- what happens while a call waits ---- */

static struct later {
    int fd;
    size_t size, piece;
    bool reads;
} later;

/* Moves `size` bytes in pieces, a little later each. */
static void *move_later(void *arg)
{
    static char some[1 << 20];
    const struct later *l = arg;
    ssize_t n;

    for (size_t done = 0; done < l->size; done += (size_t)n) {
        sleep_ns(2 * MS);
        n = l->reads ? read(l->fd, some, l->piece) : write(l->fd, "abcdefgh", l->piece);
        if (n <= 0)
            break;
    }
    return NULL;
}

static pthread_t move_soon(int fd, size_t size, size_t piece, bool reads)
{
    later = (struct later){fd, size, piece, reads};
    return start(move_later, &later);
}

static void *close_later(void *arg)
{
    sleep_ns(2 * MS);
    close(*(int *)arg);
    return NULL;
}

#endif
