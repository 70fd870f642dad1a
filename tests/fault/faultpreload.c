/* Makes one call fail, for the tests: preloaded, it stands between a program and libc.
 *
 *   FAULT=CALL:WHAT:N     the Nth call fails; WHAT is an errno, or a word that the call knows
 *   FAULT=CALL:WHAT:N+    and so does every one after it
 *   FAULT_IN=PART         the library's own calls are those from the object whose path ends in PART
 *   FAULT_FD=FD           where a byte is written when the fault happens
 *   FAULT_ARMED=1         counts from the start; otherwise from a call of fault_arm() on
 *
 * Words: futex_wait knows `spurious` (returns at once), `early` (says that the time is over) and
 * `late` (sleeps for longer); futex_wake knows `late`; clock knows `ahead` (an hour) and `back`
 * (5 ms), which last. The library's clock and the deadlines that it gives the kernel go together.
 *
 * Invariant: calls that are not to fail reach libc as they are, and nothing here allocates. */
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define LATE_NS  INT64_C(5000000)
#define BACK_NS  INT64_C(5000000)
#define AHEAD_NS (3600 * NS_PER_S)

static struct {
    char call[32], what[16];
    unsigned long at;
    bool on, armed;
    int error; /* 0: what is a word */
    int fd;
    uintptr_t from, to; /* the object whose calls are the library's own */
} plan;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static unsigned long calls;
static int64_t clock_ahead;

static void *real_of(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* libc's own function behind the one of that name in this file. */
#define REAL(name)                                                                                 \
    ({                                                                                             \
        static void *real_;                                                                        \
        void *now_ = __atomic_load_n(&real_, __ATOMIC_RELAXED);                                    \
        if (!now_) {                                                                               \
            now_ = real_of(#name);                                                                 \
            __atomic_store_n(&real_, now_, __ATOMIC_RELAXED);                                      \
        }                                                                                          \
        (__typeof__(&name))now_;                                                                   \
    })

/* ---- Which call is to fail. ---- */

static bool ends_in(const char *path, const char *part)
{
    size_t length = strlen(path), end = strlen(part);

    return end <= length && strcmp(path + length - end, part) == 0;
}

static int find_object(struct dl_phdr_info *info, size_t size, void *part)
{
    char self[PATH_MAX] = "";
    const char *name = info->dlpi_name;

    (void)size;
    if (!*name && readlink("/proc/self/exe", self, sizeof self - 1) > 0)
        name = self;
    if (!ends_in(name, part))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            plan.from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            plan.to = plan.from + info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

static void read_plan(void)
{
    const char *fault = getenv("FAULT"), *in = getenv("FAULT_IN"), *fd = getenv("FAULT_FD");
    char last = 0;

    if (in)
        dl_iterate_phdr(find_object, (void *)in);
    if (!fault || sscanf(fault, "%31[^:]:%15[^:]:%lu%c", plan.call, plan.what, &plan.at, &last) < 3)
        return;
    plan.on = last == '+';
    plan.error = atoi(plan.what);
    plan.fd = fd ? atoi(fd) : -1;
    plan.armed = getenv("FAULT_ARMED");
}

/* For a program that wants to get ready first. */
void fault_arm(void);
void fault_arm(void)
{
    pthread_once(&once, read_plan);
    __atomic_store_n(&plan.armed, true, __ATOMIC_SEQ_CST);
}

static bool is_library(const void *caller)
{
    pthread_once(&once, read_plan);
    return (uintptr_t)caller >= plan.from && (uintptr_t)caller < plan.to;
}

/* Is this the call that fails? If it fails with an errno, that is set. */
static bool hit(const char *call)
{
    unsigned long now;

    pthread_once(&once, read_plan);
    if (!__atomic_load_n(&plan.armed, __ATOMIC_RELAXED) || strcmp(call, plan.call) != 0)
        return false;
    now = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (now < plan.at || (now > plan.at && !plan.on))
        return false;
    if (now == plan.at && plan.fd >= 0)
        REAL(syscall)(SYS_write, plan.fd, "x", 1);
    if (plan.error)
        errno = plan.error;
    return true;
}

/* For a program that comes between the library and a call by itself. */
bool fault_hits(const char *call);
bool fault_hits(const char *call)
{
    return hit(call);
}

static bool does(const char *word)
{
    return strcmp(plan.what, word) == 0;
}

#define CALLER __builtin_return_address(0)

/* A call that anybody makes, and counted apart, with own_ before its name, when the library makes it
 * for itself; and one that counts only when the library makes it. */
#define HIT(name) hit(is_library(CALLER) ? "own_" #name : #name)
#define FAILS(type, name, parameters, arguments)                                                   \
    type name parameters                                                                           \
    {                                                                                              \
        return HIT(name) ? (type)-1 : REAL(name) arguments;                                        \
    }
#define FAILS_IN_LIBRARY(type, name, failure, parameters, arguments)                               \
    type name parameters                                                                           \
    {                                                                                              \
        return is_library(CALLER) && hit(#name) ? (failure) : REAL(name) arguments;                \
    }

/* ---- The library's own calls. ---- */

static struct timespec shifted(const struct timespec *at, int64_t by)
{
    int64_t ns = at->tv_sec * NS_PER_S + at->tv_nsec + by;

    ns = ns > 0 ? ns : 0;
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

static void sleep_late(void)
{
    struct timespec late = {.tv_nsec = LATE_NS};

    REAL(nanosleep)(&late, NULL);
}

static long wait_on(uint32_t *word, long op, long expected, const struct timespec *at)
{
    int64_t by = -__atomic_load_n(&clock_ahead, __ATOMIC_RELAXED);
    struct timespec real;

    if (hit("futex_wait")) {
        if (plan.error)
            return -1;
        if (does("spurious"))
            return 0;
        if (does("early") && at) {
            errno = ETIMEDOUT;
            return -1;
        }
        by += LATE_NS; /* late */
    }
    if (at) {
        real = shifted(at, by);
        at = &real;
    }
    return REAL(syscall)(SYS_futex, word, op, expected, at, NULL, FUTEX_BITSET_MATCH_ANY);
}

long syscall(long number, ...)
{
    long a[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex && is_library(CALLER)) {
        int op = (int)a[1] & FUTEX_CMD_MASK;

        if (op == FUTEX_WAIT_BITSET)
            return wait_on((uint32_t *)a[0], a[1], a[2], (const struct timespec *)a[3]);
        if (op == FUTEX_WAKE && hit("futex_wake")) {
            if (plan.error)
                return -1;
            sleep_late();
        }
    }
    if ((number == SYS_io_uring_setup && is_library(CALLER) && hit("ring_setup")) ||
        (number == SYS_io_uring_register && is_library(CALLER) && hit("ring_register")))
        return -1;
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!is_library(CALLER))
        return REAL(clock_gettime)(clock, now);
    if (hit("clock")) {
        memset(now, 0x5a, sizeof *now);
        if (plan.error)
            return -1;
        __atomic_fetch_add(&clock_ahead, does("ahead") ? AHEAD_NS : -BACK_NS, __ATOMIC_RELAXED);
    }
    if (REAL(clock_gettime)(clock, now) != 0)
        return -1;
    *now = shifted(now, __atomic_load_n(&clock_ahead, __ATOMIC_RELAXED));
    return 0;
}

int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
int __cxa_atexit(void (*)(void *), void *, void *);

/* These return the errno. */
FAILS_IN_LIBRARY(int, pthread_key_create, errno, (pthread_key_t * key, void (*end)(void *)),
                 (key, end))
FAILS_IN_LIBRARY(int, pthread_setspecific, errno, (pthread_key_t key, const void *value),
                 (key, value))
FAILS_IN_LIBRARY(int, __register_atfork, errno,
                 (void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object),
                 (prepare, parent, child, object))

FAILS_IN_LIBRARY(void *, mmap, MAP_FAILED,
                 (void *at, size_t size, int protection, int flags, int fd, off_t offset),
                 (at, size, protection, flags, fd, offset))
FAILS_IN_LIBRARY(int, pthread_attr_setstacksize, errno, (pthread_attr_t * attr, size_t size),
                 (attr, size))

FAILS_IN_LIBRARY(int, memfd_create, -1, (const char *name, unsigned flags), (name, flags))
FAILS_IN_LIBRARY(int, ftruncate, -1, (int fd, off_t size), (fd, size))
FAILS_IN_LIBRARY(int, fstat, -1, (int fd, struct stat *about), (fd, about))
FAILS_IN_LIBRARY(int, sigaction, -1,
                 (int signum, const struct sigaction *action, struct sigaction *before),
                 (signum, action, before))
FAILS_IN_LIBRARY(int, timer_create, -1,
                 (clockid_t clock, struct sigevent *restrict how, timer_t *restrict timer),
                 (clock, how, timer))
FAILS_IN_LIBRARY(void *, aligned_alloc, NULL, (size_t alignment, size_t size), (alignment, size))
FAILS_IN_LIBRARY(int, sched_getcpu, -1, (void), ())
FAILS_IN_LIBRARY(int, sched_getaffinity, -1, (pid_t pid, size_t size, cpu_set_t *set),
                 (pid, size, set))
FAILS_IN_LIBRARY(off64_t, lseek64, -1, (int fd, off64_t offset, int from), (fd, offset, from))
FAILS_IN_LIBRARY(int, fstat64, -1, (int fd, struct stat64 *about), (fd, about))
FAILS_IN_LIBRARY(int, getsockopt, -1,
                 (int fd, int level, int name, void *restrict value, socklen_t *restrict size),
                 (fd, level, name, value, size))
FAILS_IN_LIBRARY(char *, strdup, NULL, (const char *text), (text))
FAILS_IN_LIBRARY(char *, strndup, NULL, (const char *text, size_t size), (text, size))
FAILS_IN_LIBRARY(int, setenv, -1, (const char *name, const char *value, int over),
                 (name, value, over))
FAILS_IN_LIBRARY(int, __cxa_atexit, -1, (void (*fn)(void *), void *argument, void *object),
                 (fn, argument, object))

/* dlsym may call calloc. */
void *__libc_calloc(size_t, size_t);
void *calloc(size_t count, size_t size)
{
    return is_library(CALLER) && hit("calloc") ? NULL : __libc_calloc(count, size);
}

/* A coverage build writes down what it has run: that has to succeed. */
static bool is_coverage(const char *path)
{
    return ends_in(path, ".gcda");
}

#define FAILS_OPEN(name)                                                                           \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list list;                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        va_start(list, flags);                                                                     \
        mode = va_arg(list, mode_t);                                                               \
        va_end(list);                                                                              \
        return !is_coverage(path) && HIT(open) ? -1 : REAL(name)(path, flags, mode);               \
    }
FAILS_OPEN(open)
FAILS_OPEN(open64)

FILE *fopen(const char *path, const char *mode)
{
    return is_library(CALLER) && hit("fopen") ? NULL : REAL(fopen)(path, mode);
}

/* ---- Calls that the drop-in stands in for: it makes them for the program. ---- */

FAILS(ssize_t, read, (int fd, void *buf, size_t size), (fd, buf, size))
FAILS(ssize_t, write, (int fd, const void *buf, size_t size), (fd, buf, size))
FAILS(ssize_t, pread64, (int fd, void *buf, size_t size, off64_t at), (fd, buf, size, at))
FAILS(ssize_t, preadv64v2, (int fd, const struct iovec *iov, int count, off64_t at, int flags),
      (fd, iov, count, at, flags))
FAILS(ssize_t, pwritev64v2, (int fd, const struct iovec *iov, int count, off64_t at, int flags),
      (fd, iov, count, at, flags))
FAILS(ssize_t, recv, (int fd, void *buf, size_t size, int flags), (fd, buf, size, flags))
FAILS(ssize_t, send, (int fd, const void *buf, size_t size, int flags), (fd, buf, size, flags))
FAILS(ssize_t, sendto,
      (int fd, const void *buf, size_t size, int flags, __CONST_SOCKADDR_ARG to, socklen_t room),
      (fd, buf, size, flags, to, room))
FAILS(int, accept4, (int fd, __SOCKADDR_ARG from, socklen_t *restrict size, int flags),
      (fd, from, size, flags))
FAILS(int, connect, (int fd, __CONST_SOCKADDR_ARG to, socklen_t size), (fd, to, size))
FAILS(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
FAILS(int, select, (int count, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout),
      (count, r, w, e, timeout))
FAILS(int, epoll_wait, (int fd, struct epoll_event *events, int room, int timeout),
      (fd, events, room, timeout))
FAILS(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options))
FAILS(int, flock, (int fd, int operation), (fd, operation))
FAILS(int, fsync, (int fd), (fd))
FAILS(ssize_t, getrandom, (void *buf, size_t size, unsigned flags), (buf, size, flags))
FAILS(int, sem_wait, (sem_t * sem), (sem))
FAILS(int, sem_trywait, (sem_t * sem), (sem))
FAILS(int, sem_clockwait, (sem_t * sem, clockid_t clock, const struct timespec *until),
      (sem, clock, until))
FAILS(int, nanosleep, (const struct timespec *time, struct timespec *left), (time, left))

/* Returns the errno. */
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    return hit("clock_nanosleep") ? errno : REAL(clock_nanosleep)(clock, flags, time, left);
}

#define FAILS_FCNTL(name)                                                                          \
    int name(int fd, int command, ...)                                                             \
    {                                                                                              \
        va_list list;                                                                              \
        void *argument;                                                                            \
                                                                                                   \
        va_start(list, command);                                                                   \
        argument = va_arg(list, void *);                                                           \
        va_end(list);                                                                              \
        return HIT(name) ? -1 : REAL(name)(fd, command, argument);                                 \
    }
FAILS_FCNTL(fcntl)
FAILS_FCNTL(fcntl64)

/* Returns the errno. */
int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict how,
                   void *(*fn)(void *), void *restrict argument)
{
    return hit("pthread_create") ? errno : REAL(pthread_create)(thread, how, fn, argument);
}
