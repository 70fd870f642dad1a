/* Blocking calls: input and output, sleeping, and waiting for child processes.
 *
 * Each function is the call of libc of the same name, with its parameters, results and errno, made
 * by a thread that holds the interpreter lock: a thread state must be current in the caller, which
 * holds the lock again on return. Anything else is misuse. A call that need not wait does not give
 * the lock up (if another thread has asked for it, it is handed over before the call returns); one
 * that has to wait gives it up meanwhile.
 *
 * The form with the suffix _for waits timeout_ns nanoseconds at most (CLOCK_MONOTONIC; -1: without
 * limit; 0: not at all). Then it returns -1 with errno ETIMEDOUT, or the count of what it has
 * transferred by then. There is no such form of calls that wait for a device only, which nobody can
 * call off. A wait with a limit that takes a system call fails with ENOMEM where the user has as many
 * timers and pending signals as allowed (RLIMIT_SIGPENDING).
 *
 * A call that waits ends early
 * - with errno EINTR when gil_interrupt() was called for its thread, once for each time; if the
 *   call ended by itself at that very moment, with its result, the next one that would wait;
 * - with errno EINTR in the main thread when a signal arrives whose function (gil_on_signal) returns
 *   -1. The functions run with the lock held; if they return 0, the call goes on for the time that
 *   is left. Signals with other handlers never end a call;
 * - with errno EBADF when another thread calls gil_close() for its file;
 * - with the count of what it has transferred instead, if that is more than nothing, as the plain
 *   call does when a signal arrives. An interrupt is then there for the next call that would wait.
 * Afterwards, nothing that the caller has passed to it is touched any more.
 *
 * Where the kernel allows it, waiting is done by io_uring, on a ring of the calling thread's own
 * that takes no file descriptor; otherwise by plain system calls. gil_io_status() tells which. The
 * environment variable GIL_IO says what to use: auto (the default), uring, which is the same, or
 * syscall.
 *
 * To end another thread's call the library sends it GIL_IO_SIGNAL. A program leaves that signal
 * alone, and unblocked in threads that make these calls.
 *
 * No function may be called from a signal handler. None is a cancellation point. The names that have
 * an offset use 64-bit ones. */
#ifndef GIL_IO_H
#define GIL_IO_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <gil/export.h>

GIL_BEGIN_DECLS

struct statx; /* from <sys/stat.h>, with _GNU_SOURCE */

#define GIL_IO_SIGNAL SIGSTKFLT

/* ---- Reading and writing ---- */

GIL_API ssize_t gil_read(int fd, void *buf, size_t size);
GIL_API ssize_t gil_write(int fd, const void *buf, size_t size);
GIL_API ssize_t gil_readv(int fd, const struct iovec *iov, int count);
GIL_API ssize_t gil_writev(int fd, const struct iovec *iov, int count);

GIL_API ssize_t gil_read_for(int fd, void *buf, size_t size, int64_t timeout_ns);
GIL_API ssize_t gil_write_for(int fd, const void *buf, size_t size, int64_t timeout_ns);
GIL_API ssize_t gil_readv_for(int fd, const struct iovec *iov, int count, int64_t timeout_ns);
GIL_API ssize_t gil_writev_for(int fd, const struct iovec *iov, int count, int64_t timeout_ns);

/* At an offset of the file, in bytes; the file's own position is neither used nor changed. */
GIL_API ssize_t gil_pread(int fd, void *buf, size_t size, off_t offset);
GIL_API ssize_t gil_pwrite(int fd, const void *buf, size_t size, off_t offset);
GIL_API ssize_t gil_preadv(int fd, const struct iovec *iov, int count, off_t offset);
GIL_API ssize_t gil_pwritev(int fd, const struct iovec *iov, int count, off_t offset);

/* From one file to another within the kernel. */
GIL_API ssize_t gil_splice(int in, off_t *in_offset, int out, off_t *out_offset, size_t size,
                           unsigned flags);
GIL_API ssize_t gil_splice_for(int in, off_t *in_offset, int out, off_t *out_offset, size_t size,
                               unsigned flags, int64_t timeout_ns);
GIL_API ssize_t gil_sendfile(int out, int in, off_t *offset, size_t size);
GIL_API ssize_t gil_sendfile_for(int out, int in, off_t *offset, size_t size, int64_t timeout_ns);

/* ---- Sockets ---- */

GIL_API ssize_t gil_recv(int fd, void *buf, size_t size, int flags);
GIL_API ssize_t gil_send(int fd, const void *buf, size_t size, int flags);
GIL_API ssize_t gil_recvfrom(int fd, void *buf, size_t size, int flags, struct sockaddr *from,
                             socklen_t *from_size);
GIL_API ssize_t gil_sendto(int fd, const void *buf, size_t size, int flags,
                           const struct sockaddr *to, socklen_t to_size);
GIL_API ssize_t gil_recvmsg(int fd, struct msghdr *message, int flags);
GIL_API ssize_t gil_sendmsg(int fd, const struct msghdr *message, int flags);

GIL_API ssize_t gil_recv_for(int fd, void *buf, size_t size, int flags, int64_t timeout_ns);
GIL_API ssize_t gil_send_for(int fd, const void *buf, size_t size, int flags, int64_t timeout_ns);
GIL_API ssize_t gil_recvfrom_for(int fd, void *buf, size_t size, int flags, struct sockaddr *from,
                                 socklen_t *from_size, int64_t timeout_ns);
GIL_API ssize_t gil_sendto_for(int fd, const void *buf, size_t size, int flags,
                               const struct sockaddr *to, socklen_t to_size, int64_t timeout_ns);
GIL_API ssize_t gil_recvmsg_for(int fd, struct msghdr *message, int flags, int64_t timeout_ns);
GIL_API ssize_t gil_sendmsg_for(int fd, const struct msghdr *message, int flags,
                                int64_t timeout_ns);

GIL_API int gil_accept(int fd, struct sockaddr *from, socklen_t *from_size);
GIL_API int gil_accept4(int fd, struct sockaddr *from, socklen_t *from_size, int flags);
GIL_API int gil_accept_for(int fd, struct sockaddr *from, socklen_t *from_size, int64_t timeout_ns);
GIL_API int gil_accept4_for(int fd, struct sockaddr *from, socklen_t *from_size, int flags,
                            int64_t timeout_ns);

/* When the wait ends early the socket goes on connecting, as after connect(2): calling it again
 * waits for that. */
GIL_API int gil_connect(int fd, const struct sockaddr *to, socklen_t to_size);
GIL_API int gil_connect_for(int fd, const struct sockaddr *to, socklen_t to_size,
                            int64_t timeout_ns);

GIL_API int gil_shutdown(int fd, int how);

/* ---- Files ---- */

/* mode is there with O_CREAT or O_TMPFILE, as for open(2). Waits for the other end of a FIFO, among
 * others; the timed forms always take a mode. */
GIL_API int gil_open(const char *path, int flags, ...);
GIL_API int gil_openat(int dir, const char *path, int flags, ...);
GIL_API int gil_open_for(const char *path, int flags, mode_t mode, int64_t timeout_ns);
GIL_API int gil_openat_for(int dir, const char *path, int flags, mode_t mode, int64_t timeout_ns);

/* Closes fd, after the calls of this header that wait for it have ended in this process, with errno
 * EBADF unless they had a result: none of them will use the number again. */
GIL_API int gil_close(int fd);

GIL_API int gil_fsync(int fd);
GIL_API int gil_fdatasync(int fd);
GIL_API int gil_statx(int dir, const char *path, int flags, unsigned mask, struct statx *about);
GIL_API int gil_fallocate(int fd, int mode, off_t offset, off_t size);
GIL_API int gil_unlinkat(int dir, const char *path, int flags);
GIL_API int gil_renameat(int old_dir, const char *old_path, int new_dir, const char *new_path);
GIL_API int gil_mkdirat(int dir, const char *path, mode_t mode);

/* ---- Waiting ---- */

/* The timeout of the first is in milliseconds, as for poll(2). A timeout is no error: 0 files are
 * ready then. */
GIL_API int gil_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
GIL_API int gil_poll_for(struct pollfd *fds, nfds_t count, int64_t timeout_ns);

/* Sleeps for a time in nanoseconds, or until one of CLOCK_MONOTONIC. When there is nothing to sleep
 * for, another thread that waits for the lock runs first. Returns 0, or -1 with errno EINTR. Classic
 * name: time.sleep. */
GIL_API int gil_sleep(int64_t duration_ns);
GIL_API int gil_sleep_until(int64_t deadline_ns);

GIL_API pid_t gil_waitpid(pid_t pid, int *status, int options);
GIL_API pid_t gil_waitpid_for(pid_t pid, int *status, int options, int64_t timeout_ns);

/* type, id and info are an idtype_t, an id_t and a siginfo_t *, which strict C does not declare. */
GIL_API int gil_waitid(int type, unsigned id, void *info, int options);
GIL_API int gil_waitid_for(int type, unsigned id, void *info, int options, int64_t timeout_ns);

/* ---- Any other call ---- */

/* Calls fn(arg) without the lock, and returns what it returns, with its errno. No thread state is
 * current in fn, which touches nothing of the interpreter.
 *
 * unblock: NULL, or what makes fn return early. It is called with unblock_arg, at most once and only
 * while fn runs, by the thread that calls gil_interrupt(), or in the handler of a signal of
 * gil_on_signal(): so it does what a signal handler may do, and calls nothing of this library. An
 * interrupt before fn was called stays for the next call that would wait, and so does any without
 * `unblock`.
 *
 * Classic names: Py_BEGIN_ALLOW_THREADS around a call; rb_thread_call_without_gvl. */
GIL_API long gil_without(long (*fn)(void *arg), void *arg, void (*unblock)(void *arg),
                         void *unblock_arg);

/* ---- What is used ---- */

/* What calls wait with: io_uring, or why plain system calls. */
typedef enum gil_io_reason {
    GIL_IO_URING,      /* io_uring is used */
    GIL_IO_BY_REQUEST, /* GIL_IO=syscall */
    GIL_IO_UNKNOWN,    /* the kernel has no io_uring */
    GIL_IO_OLD,        /* the kernel's io_uring lacks what is needed (Linux 6.1 has it) */
    GIL_IO_DISABLED,   /* the sysctl kernel.io_uring_disabled forbids it */
    GIL_IO_FORBIDDEN,  /* a seccomp filter or a security module forbids it */
    GIL_IO_NO_MEMORY,  /* there is no memory for a ring, or not as much as may be locked */
    GIL_IO_NO_FILES,   /* no file can be opened for a ring */
    GIL_IO_FAILED,     /* none of these */
} gil_io_reason;

/* Anybody may ask, with or without the lock. The first call, of this or of what waits, tries the
 * kernel; the answer is that of the first try, in this process. A thread that cannot have a ring
 * although others can (a limit was reached) makes plain system calls. */
GIL_API gil_io_reason gil_io_status(void);

/* A reason in words, for people: part of a sentence, without a full stop. */
GIL_API const char *gil_io_reason_text(gil_io_reason reason);

GIL_END_DECLS

#endif
