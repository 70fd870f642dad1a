/* What becomes of the lock when a program fails: a thread that ends as its owner, abort() in a
 * signal handler, a child killed, a thread stopped by a debugger, priorities upside down.
 *
 * Each case is a child of its own, which leaves its exit status, what it printed, and a page of
 * counters. An alarm ends one that hangs. Prints TAP. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gil.h>

#define MS INT64_C(1000000)

enum { BUSY = 3, LIMIT_S = 20 };

static gil_lock lock;
static long guarded; /* by the lock */

/* What a case tells from inside. */
static struct page {
    atomic_int tid[BUSY];
    atomic_ulong entries[BUSY];
    atomic_bool stop;
} * page;

static struct {
    int status;
    char text[1024];
} child;

static void sleep_ns(int64_t ns)
{
    struct timespec ts = {ns / 1000000000, ns % 1000000000};

    nanosleep(&ts, NULL);
}

static pthread_t start(void *(*fn)(void *), void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, fn, arg) != 0)
        _exit(90);
    return thread;
}

/* ---- running a case ---- */

static pid_t begin(void (*fn)(void), int *err)
{
    struct rlimit none = {0, 0};
    int fds[2];
    pid_t pid;

    memset(page, 0, sizeof *page);
    if (pipe(fds) != 0 || (pid = fork()) < 0)
        exit(90);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &none);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        alarm(LIMIT_S);
        fn();
        exit(0);
    }
    close(fds[1]);
    *err = fds[0];
    return pid;
}

static void end(pid_t pid, int err)
{
    size_t used = 0;
    ssize_t n;

    while ((n = read(err, child.text + used, sizeof child.text - 1 - used)) > 0)
        used += (size_t)n;
    child.text[used] = '\0';
    close(err);
    waitpid(pid, &child.status, 0);
}

static void run(void (*fn)(void))
{
    int err;
    pid_t pid = begin(fn, &err);

    end(pid, err);
}

static bool ended_quietly(void)
{
    return WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0 && !child.text[0];
}

static bool aborted(void)
{
    return WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT;
}

/* ---- threads that use the lock in every way, until they are told to stop ---- */

static void *busy_main(void *arg)
{
    int id = (int)(intptr_t)arg;

    atomic_store(&page->tid[id], (int)syscall(SYS_gettid));
    for (unsigned i = 0; !atomic_load(&page->stop); i++) {
        gil_lock_acquire(&lock);
        guarded++;
        atomic_fetch_add(&page->entries[id], 1);
        if (i % 16 == 0)
            gil_lock_yield(&lock);
        gil_lock_checkpoint(&lock);
        if (i % 3)
            gil_lock_release(&lock);
        else if (gil_lock_release_deferred(&lock) && i % 2)
            gil_lock_release_complete(&lock);
    }
    gil_lock_release_complete(&lock);
    return NULL;
}

/* All of them come in `more` times from now on. */
static bool all_go_on(unsigned long more)
{
    unsigned long before[BUSY];

    for (int i = 0; i < BUSY; i++)
        before[i] = atomic_load(&page->entries[i]);
    for (int tries = 0; tries < 10000; tries++) {
        int on = 0;

        for (int i = 0; i < BUSY; i++)
            on += atomic_load(&page->entries[i]) >= before[i] + more;
        if (on == BUSY)
            return true;
        sleep_ns(MS);
    }
    return false;
}

static void busy(void)
{
    pthread_t threads[BUSY];
    unsigned long sum = 0;

    gil_lock_set_interval(&lock, 2 * MS);
    for (int i = 0; i < BUSY; i++)
        threads[i] = start(busy_main, (void *)(intptr_t)i);
    for (int i = 0; i < BUSY; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < BUSY; i++)
        sum += atomic_load(&page->entries[i]);
    gil_lock_destroy(&lock);
    if ((unsigned long)guarded != sum)
        _exit(1);
}

/* ---- a thread ends while it owns the lock ---- */

static enum { RETURN, EXIT, CANCEL, WAYS } way;

static void *ends_as_owner(void *arg)
{
    atomic_store(&page->tid[0], (int)syscall(SYS_gettid));
    gil_lock_acquire(&lock);
    if (way == EXIT)
        pthread_exit(NULL);
    while (way == CANCEL)
        sleep_ns(MS);
    return arg;
}

static void wait_for_an_ended_owner(void)
{
    pthread_t thread = start(ends_as_owner, NULL);

    if (way == CANCEL) {
        sleep_ns(20 * MS);
        pthread_cancel(thread);
    }
    pthread_join(thread, NULL);
    gil_lock_acquire(&lock);
}

static bool one_line_names_the_owner(void)
{
    bool all = true;
    char name[32];

    for (way = RETURN; way < WAYS; way++) {
        run(wait_for_an_ended_owner);
        snprintf(name, sizeof name, "thread %d:", atomic_load(&page->tid[0]));
        all &= aborted() && strncmp(child.text, "libgil: ", 8) == 0 && strstr(child.text, name) &&
               strchr(child.text, '\n') == child.text + strlen(child.text) - 1;
    }
    return all;
}

static void release_it(void *arg)
{
    (void)arg;
    gil_lock_release(&lock);
}

static void *ends_and_releases(void *key)
{
    gil_lock_acquire(&lock);
    pthread_setspecific(*(pthread_key_t *)key, &lock);
    return NULL;
}

static void released_by_a_destructor(void)
{
    pthread_key_t key;

    pthread_key_create(&key, release_it);
    pthread_join(start(ends_and_releases, &key), NULL);
    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    gil_lock_destroy(&lock);
}

static void exits_as_owner(void)
{
    start(busy_main, (void *)0);
    start(busy_main, (void *)1);
    sleep_ns(5 * MS);
    gil_lock_acquire(&lock);
    exit(0);
}

static bool a_destructor_releases(void)
{
    run(released_by_a_destructor);
    return ended_quietly();
}

static bool exit_as_owner(void)
{
    for (int i = 0; i < 20; i++) {
        run(exits_as_owner);
        if (!ended_quietly())
            return false;
    }
    return true;
}

/* ---- signals ---- */

static void abort_here(int sig)
{
    (void)sig;
    abort();
}

/* Each thread in turn is the one that the signal hits, at an arbitrary moment. */
static void aborts_in_a_handler(void)
{
    pthread_t threads[BUSY];
    struct timespec ts;

    signal(SIGUSR1, abort_here);
    for (int i = 0; i < BUSY; i++)
        threads[i] = start(busy_main, (void *)(intptr_t)i);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    sleep_ns(MS + ts.tv_nsec % (3 * MS));
    pthread_kill(threads[ts.tv_nsec % BUSY], SIGUSR1);
    for (;;)
        pause();
}

static bool abort_in_a_handler(void)
{
    for (int i = 0; i < 40; i++) {
        run(aborts_in_a_handler);
        if (!aborted() || child.text[0])
            return false;
    }
    return true;
}

/* ---- a child killed ---- */

static void killed_children(void)
{
    pthread_t threads[BUSY];

    for (int i = 0; i < BUSY; i++)
        threads[i] = start(busy_main, (void *)(intptr_t)i);
    for (int i = 0; i < 40; i++) {
        pid_t pid;

        if (i % 2)
            gil_lock_acquire(&lock);
        pid = fork();
        if (pid == 0) {
            for (;;) { /* as the owner or not, until it is killed */
                if (!gil_lock_held(&lock))
                    gil_lock_acquire(&lock);
                gil_lock_release(&lock);
            }
        }
        if (i % 2)
            gil_lock_release(&lock);
        sleep_ns(MS);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (!all_go_on(1))
            _exit(2);
    }
    atomic_store(&page->stop, true);
    for (int i = 0; i < BUSY; i++)
        pthread_join(threads[i], NULL);
    gil_lock_destroy(&lock);
}

static bool kill_a_child(void)
{
    run(killed_children);
    return ended_quietly();
}

/* ---- a debugger ---- */

static bool stop_for(pid_t tid, int64_t ns)
{
    int status;

    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0)
        return false;
    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
    waitpid(tid, &status, __WALL);
    sleep_ns(ns);
    ptrace(PTRACE_DETACH, tid, NULL, NULL);
    return true;
}

static const char *skip;

static bool stop_a_thread(void)
{
    bool good = true;
    int err;
    pid_t pid = begin(busy, &err);

    good = all_go_on(10);
    for (int i = 0; good && i < 12; i++) {
        if (!stop_for(atomic_load(&page->tid[i % BUSY]), i ? 50 * MS : 1000 * MS)) {
            skip = "ptrace is not allowed";
            break;
        }
        good = all_go_on(10);
    }
    atomic_store(&page->stop, true);
    end(pid, err);
    return good && ended_quietly();
}

/* ---- priorities ---- */

static void set_class(int policy, int priority, int niceness)
{
    struct sched_param param = {.sched_priority = priority};

    sched_setscheduler(0, policy, &param);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), niceness);
}

/* Computes with the lock, at the lowest priority or at the highest. */
static void *computes(void *arg)
{
    int id = (int)(intptr_t)arg;

    if (id == 0)
        set_class(SCHED_OTHER, 0, 19);
    else
        set_class(SCHED_FIFO, 10, 0);
    gil_lock_acquire(&lock);
    while (!atomic_load(&page->stop)) {
        atomic_fetch_add(&page->entries[id], 1);
        gil_lock_checkpoint(&lock);
    }
    gil_lock_release(&lock);
    return NULL;
}

/* Comes and goes at a high priority. */
static void *visits(void *arg)
{
    set_class(SCHED_FIFO, 20, 0);
    while (!atomic_load(&page->stop)) {
        gil_lock_acquire(&lock);
        atomic_fetch_add(&page->entries[2], 1);
        gil_lock_release(&lock);
        sleep_ns(MS / 5);
    }
    return arg;
}

/* On one processor, beside a thread of middle priority that never sleeps. */
static void upside_down(void)
{
    pthread_t threads[BUSY];
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    for (int i = 0; i < 2; i++)
        threads[i] = start(computes, (void *)(intptr_t)i);
    threads[2] = start(visits, NULL);
    set_class(SCHED_FIFO, 30, 0); /* to be heard at the end */
    if (!all_go_on(100))
        _exit(3);
    atomic_store(&page->stop, true);
    set_class(SCHED_OTHER, 0, 0);
    for (int i = 0; i < BUSY; i++)
        pthread_join(threads[i], NULL);
    gil_lock_destroy(&lock);
}

static bool priorities(void)
{
    struct sched_param param = {.sched_priority = 1};

    if (sched_setscheduler(0, SCHED_FIFO, &param) != 0) {
        skip = "SCHED_FIFO needs CAP_SYS_NICE";
        return true;
    }
    set_class(SCHED_OTHER, 0, 0);
    run(upside_down);
    return ended_quietly();
}

int main(void)
{
    static const struct {
        const char *name;
        bool (*holds)(void);
    } cases[] = {
        {"a thread that ends as the owner: one line, abort", one_line_names_the_owner},
        {"a destructor may release the lock at the end of a thread", a_destructor_releases},
        {"exit() as the owner, beside threads that use the lock", exit_as_owner},
        {"abort() in a signal handler", abort_in_a_handler},
        {"kill -9 of a forked child", kill_a_child},
        {"a debugger stops one thread for a second", stop_a_thread},
        {"SCHED_FIFO and nice on one processor: all get the lock", priorities},
    };
    int count = (int)(sizeof cases / sizeof cases[0]), failed = 0;

    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        bool good;

        fflush(stdout);
        skip = NULL;
        good = cases[i].holds();
        printf("%sok %d - %s%s%s\n", good ? "" : "not ", i + 1, cases[i].name,
               skip ? " # SKIP " : "", skip ? skip : "");
        if (!good)
            printf("# wait status %#x, printed: %s\n", child.status, child.text);
        failed += !good;
    }
    return failed > 0;
}
