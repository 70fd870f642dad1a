/* Ends a Python thread inside each wrapped call: by pthread_cancel while the call waits, by a
 * cancellation that is pending when it begins (so that a try acts on it), and by pthread_exit in a
 * signal handler while it waits. The thread must end as it does on plain libc, its cleanup must
 * run, no deferral may be left pending, and another thread must get the GIL.
 *
 * Prints a line for each fault and the number of cases last. Compiles as C++ too: cancelcxx.cc puts
 * a frame with a destructor below each call. Argument: the part of a case's name to run alone. */
#include <Python.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Where the calls wait: nothing ever comes from these, and those for writing are full. */
static int empty_socket, full_socket, empty_pipe, full_pipe, listener, event, epoll_fd, file,
    locked_file, backlog;
static sem_t taken;
static char fifo[4096];
static struct sockaddr_un address; /* of a listener that has no room for another connection */
static socklen_t address_size = sizeof address;
static pid_t child;

static char bytes[64];
static struct iovec iov = {bytes, sizeof bytes};
static struct msghdr message;
static struct pollfd pollfd;
static struct timespec far_off = {(time_t)1 << 33, 0}; /* also as a date */
static sigset_t no_signals, usr2;

static void do_read(void)
{
    (void)!read(empty_pipe, bytes, 9);
}
static void do_read_event(void)
{
    (void)!read(event, bytes, 8);
}
static void do_readv(void)
{
    (void)!readv(empty_socket, &iov, 1);
}
static void do_preadv2(void)
{
    (void)!preadv64v2(empty_pipe, &iov, 1, -1, 0);
}
static void do_eventfd_read(void)
{
    (void)!eventfd_read(event, (eventfd_t *)bytes);
}
static void do_write(void)
{
    (void)!write(full_pipe, bytes, 9);
}
static void do_writev(void)
{
    (void)!writev(full_socket, &iov, 1);
}
static void do_recv(void)
{
    recv(empty_socket, bytes, 9, 0);
}
static void do_recv_all(void)
{
    recv(empty_socket, bytes, 9, MSG_WAITALL);
}
static void do_recvfrom(void)
{
    recvfrom(empty_socket, bytes, 9, 0, NULL, NULL);
}
static void do_recvmsg(void)
{
    recvmsg(empty_socket, &message, 0);
}
static void do_send(void)
{
    send(full_socket, bytes, 9, 0);
}
static void do_sendto(void)
{
    sendto(full_socket, bytes, 9, 0, NULL, 0);
}
static void do_sendmsg(void)
{
    sendmsg(full_socket, &message, 0);
}
static void do_accept(void)
{
    accept(listener, NULL, NULL);
}
static void do_accept4(void)
{
    accept4(listener, NULL, NULL, 0);
}
static void do_connect(void)
{
    connect(backlog, (struct sockaddr *)&address, address_size);
}
static void do_poll(void)
{
    poll(&pollfd, 1, -1);
}
static void do_poll_none(void)
{
    poll(NULL, 0, -1);
}
static void do_ppoll(void)
{
    ppoll(&pollfd, 1, &far_off, &no_signals);
}
static void do_epoll_wait(void)
{
    epoll_wait(epoll_fd, (struct epoll_event *)bytes, 1, -1);
}
static void do_epoll_pwait(void)
{
    epoll_pwait(epoll_fd, (struct epoll_event *)bytes, 1, -1, &no_signals);
}
static void do_select(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(empty_pipe, &set);
    select(empty_pipe + 1, &set, NULL, NULL, NULL);
}
static void do_pselect(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(empty_pipe, &set);
    pselect(empty_pipe + 1, &set, NULL, NULL, &far_off, &no_signals);
}
static void do_clock_nanosleep(void)
{
    clock_nanosleep(CLOCK_MONOTONIC, 0, &far_off, NULL);
}
static void do_nanosleep(void)
{
    nanosleep(&far_off, NULL);
}
static void do_sleep(void)
{
    sleep(1 << 30);
}
static void do_pause(void)
{
    pause();
}
static void do_wait(void)
{
    wait(NULL);
}
static void do_wait3(void)
{
    wait3(NULL, 0, NULL);
}
static void do_wait4(void)
{
    wait4(child, NULL, 0, NULL);
}
static void do_waitpid(void)
{
    waitpid(child, NULL, 0);
}
static void do_waitid(void)
{
    siginfo_t info;
    waitid(P_PID, (id_t)child, &info, WEXITED);
}
static void do_sem_wait(void)
{
    sem_wait(&taken);
}
static void do_sem_timedwait(void)
{
    sem_timedwait(&taken, &far_off);
}
static void do_sem_clockwait(void)
{
    sem_clockwait(&taken, CLOCK_REALTIME, &far_off);
}
static void do_sigwaitinfo(void)
{
    sigwaitinfo(&usr2, NULL);
}
static void do_sigtimedwait(void)
{
    sigtimedwait(&usr2, NULL, &far_off);
}
static void do_open(void)
{
    (void)!open64(fifo, O_RDONLY);
}
static void do_openat(void)
{
    (void)!openat64(AT_FDCWD, fifo, O_RDONLY);
}
static void do_fcntl(void)
{
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    fcntl64(locked_file, F_OFD_SETLKW, &lock);
}
static void do_pread(void)
{
    (void)!pread64(file, bytes, 9, 0);
}
static void do_pwrite(void)
{
    (void)!pwrite64(file, bytes, 9, 0);
}
static void do_fsync(void)
{
    fsync(file);
}

/* waits: the call goes on until it is ended. The others are only begun with a cancellation pending.
 */
static const struct call {
    const char *name;
    void (*make)(void);
    int waits;
} calls[] = {
    {"read", do_read, 1},
    {"read of an eventfd", do_read_event, 1},
    {"readv", do_readv, 1},
    {"preadv64v2", do_preadv2, 1},
    {"eventfd_read", do_eventfd_read, 1},
    {"write", do_write, 1},
    {"writev", do_writev, 1},
    {"recv", do_recv, 1},
    {"recv MSG_WAITALL", do_recv_all, 1},
    {"recvfrom", do_recvfrom, 1},
    {"recvmsg", do_recvmsg, 1},
    {"send", do_send, 1},
    {"sendto", do_sendto, 1},
    {"sendmsg", do_sendmsg, 1},
    {"accept", do_accept, 1},
    {"accept4", do_accept4, 1},
    {"connect", do_connect, 1},
    {"poll", do_poll, 1},
    {"poll of nothing", do_poll_none, 1},
    {"ppoll", do_ppoll, 1},
    {"epoll_wait", do_epoll_wait, 1},
    {"epoll_pwait", do_epoll_pwait, 1},
    {"select", do_select, 1},
    {"pselect", do_pselect, 1},
    {"clock_nanosleep", do_clock_nanosleep, 1},
    {"nanosleep", do_nanosleep, 1},
    {"sleep", do_sleep, 1},
    {"pause", do_pause, 1},
    {"wait", do_wait, 1},
    {"wait3", do_wait3, 1},
    {"wait4", do_wait4, 1},
    {"waitpid", do_waitpid, 1},
    {"waitid", do_waitid, 1},
    {"sem_wait", do_sem_wait, 1},
    {"sem_timedwait", do_sem_timedwait, 1},
    {"sem_clockwait", do_sem_clockwait, 1},
    {"sigwaitinfo", do_sigwaitinfo, 1},
    {"sigtimedwait", do_sigtimedwait, 1},
    {"open64", do_open, 1},
    {"openat64", do_openat, 1},
    {"fcntl64", do_fcntl, 1},
    {"pread64", do_pread, 0},
    {"pwrite64", do_pwrite, 0},
    {"fsync", do_fsync, 0},
};

enum way { CANCELLED, PENDING, EXITED, WAYS };
static const char *const way_names[] = {"cancelled", "cancellation pending", "pthread_exit"};

/* ---- The thread that is ended. ---- */

static const struct call *current;
static enum way way;
static volatile pid_t tid;
static volatile int cleanups, returned;
static int left_pending; /* a deferral, when the frames below were left */

/* Of alwaysdeferred.c, when that is loaded. */
static void (*always_defer)(void);
static void (*always_deferred)(int *, int *, int *);

static void left(void)
{
    cleanups++;
    if (always_deferred) {
        int completed, tried, done;
        always_deferred(&completed, &tried, &done);
        left_pending = completed != 1;
    }
}

#ifdef __cplusplus
struct frame {
    ~frame()
    {
        left();
    }
};

static void through_frame(void (*make)(void))
{
    frame f;
    make();
}
#else
static void left_arg(void *unused)
{
    (void)unused;
    left();
}

static void through_frame(void (*make)(void))
{
    pthread_cleanup_push(left_arg, NULL);
    make();
    pthread_cleanup_pop(0);
}
#endif

static void exit_here(int number)
{
    (void)number;
    pthread_exit(PTHREAD_CANCELED);
}

static void *victim(void *unused)
{
    (void)unused;
    PyGILState_Ensure();
    /* Some beginnings beside the computing thread, so that a release is deferred. */
    for (int i = 0; i < 3; i++) {
        PyThreadState *state = PyEval_SaveThread();
        poll(&pollfd, 1, 0);
        PyEval_RestoreThread(state);
    }
    tid = (pid_t)syscall(SYS_gettid);
    PyEval_SaveThread();
    if (way == PENDING)
        pthread_cancel(pthread_self());
    if (always_defer)
        always_defer();
    through_frame(current->make);
    returned = 1;
    return NULL;
}

/* Until the thread sleeps in its call: not in a futex (the GIL), unless it waits for the semaphore.
 */
static void wait_until_asleep(void)
{
    char path[64], line[64];
    const struct timespec moment = {0, 200000};
    for (int tries = 0; tries < 20000; tries++) {
        nanosleep(&moment, NULL);
        if (!tid)
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
        FILE *f = fopen(path, "r");
        if (!f)
            return;
        if (!fgets(line, sizeof line, f))
            line[0] = '\0';
        fclose(f);
        char *rest = line;
        long number = strtol(line, &rest, 10);
        if (rest == line || number < 0)
            continue; /* it runs */
        if (number != SYS_futex || strtoul(rest, NULL, 16) == (unsigned long)&taken)
            return;
    }
}

static const char *end_one(void)
{
    pthread_t thread;
    void *result;
    tid = 0;
    cleanups = returned = left_pending = 0;
    if (pthread_create(&thread, NULL, victim, NULL))
        return "no thread";
    if (way != PENDING) {
        wait_until_asleep();
        if (way == CANCELLED)
            pthread_cancel(thread);
        else
            pthread_kill(thread, SIGUSR1);
    }
    pthread_join(thread, &result);
    PyGILState_STATE state = PyGILState_Ensure(); /* hangs when the GIL is lost */
    PyGILState_Release(state);
    if (returned || result != PTHREAD_CANCELED)
        return "the call returned";
    if (cleanups != 1)
        return "the frame below was not left once";
    if (left_pending)
        return "a deferral was left pending";
    return NULL;
}

/* ---- The start. ---- */

static int fill(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    for (size_t size = sizeof bytes; size; size /= 2) {
        while (write(fd, bytes, size) > 0)
            ;
    }
    fcntl(fd, F_SETFL, flags);
    return fd;
}

static void fill_backlog(int server)
{
    struct sockaddr_un any;
    memset(&any, 0, sizeof any);
    any.sun_family = AF_UNIX;
    bind(server, (struct sockaddr *)&any, sizeof any.sun_family); /* an abstract name */
    listen(server, 0);
    getsockname(server, (struct sockaddr *)&address, &address_size);
    connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, address_size);
}

static void prepare(void)
{
    int fds[2];
    struct epoll_event interest;
    struct flock lock;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0)
        empty_socket = fds[0];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0)
        full_socket = fill(fds[0]);
    if (pipe(fds) == 0)
        empty_pipe = fds[0];
    if (pipe(fds) == 0)
        full_pipe = fill(fds[1]);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    listen(listener, 1);
    event = eventfd(0, 0);
    epoll_fd = epoll_create1(0);
    memset(&interest, 0, sizeof interest);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, empty_pipe, &interest);
    pollfd.fd = empty_pipe;
    pollfd.events = POLLIN;
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    sem_init(&taken, 0, 0);
    sigemptyset(&no_signals);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    fill_backlog(socket(AF_UNIX, SOCK_STREAM, 0));
    backlog = socket(AF_UNIX, SOCK_STREAM, 0);
    const char *folder = getenv("TMPDIR");
    snprintf(fifo, sizeof fifo, "%s/gil-cancel.%d", folder ? folder : P_tmpdir, getpid());
    file = open(fifo, O_RDWR | O_CREAT, 0600);
    locked_file = open(fifo, O_RDWR);
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    fcntl(file, F_OFD_SETLK, &lock);
    unlink(fifo);
    if (mkfifo(fifo, 0600))
        exit(2);
    child = fork();
    if (child == 0) {
        while (getppid() != 1)
            usleep(10000);
        _exit(0);
    }
}

static void *compute(void *unused)
{
    (void)unused;
    PyGILState_Ensure();
    PyRun_SimpleString("while True:\n  for i in range(1000): pass\n");
    return NULL;
}

int main(int argc, char **argv)
{
    int count = 0;
    pthread_t computing;
    *(void **)&always_defer = dlsym(RTLD_DEFAULT, "always_defer");
    *(void **)&always_deferred = dlsym(RTLD_DEFAULT, "always_deferred");
    prepare();
    signal(SIGUSR1, exit_here);
    Py_InitializeEx(0);
    PyEval_SaveThread();
    /* On stock, a thread that drops the GIL on request passes a cancellation point. */
    if (!always_defer)
        pthread_create(&computing, NULL, compute, NULL);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        current = &calls[i];
        for (int w = 0; w < WAYS; w++) {
            way = (enum way)w;
            if ((!current->waits && way != PENDING) ||
                (argc > 1 && !strstr(current->name, argv[1])))
                continue;
            count++;
            const char *fault = end_one();
            if (fault)
                printf("%s, %s: %s\n", current->name, way_names[way], fault);
            fflush(stdout);
        }
    }
    printf("%d cases\n", count);
    fflush(stdout);
    kill(child, SIGKILL);
    unlink(fifo);
    exit(0);
}
