/* The drop-in's start and end: is this an interpreter that we know, what did `gil run` ask for, and
 * the counters at exit.
 *
 * Invariant: in a program that is no interpreter we know, nothing changes but the preload itself.
 * The one line that says so comes from the process that `gil run` became and from no other. It is
 * printed when that process exits, since until then it may still become an interpreter: `env
 * python3` does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/lock_impl.h"
#include "tools/python/calls.h"
#include "tools/python/calls_ring.h"
#include "tools/python/hooks.h"
#include "tools/python/runtime.h"

enum { EXIT_NOT_SUPPORTED = 3 };

static const char *stats_to;
static bool set(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value && strcmp(value, "0") != 0;
}

/* ---- An interpreter that we do not know. ---- */

/* Programs that only start another in their place. */
static bool is_launcher(void)
{
    static const char *const launchers[] = {"env",    "nice",    "nohup",   "setsid",  "stdbuf",
                                            "chrt",   "ionice",  "taskset", "numactl", "setpriv",
                                            "chroot", "unshare", "nsenter"};

    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        if (strcmp(program_invocation_short_name, launchers[i]) == 0)
            return true;
    return false;
}

static enum py_recognised found;
static int message_fd = STDERR_FILENO;
static bool to_be_said;

static void say_not_recognised(void)
{
    const char *then = set("GIL_STRICT") ? "not run (--strict)" : "it runs with its own locks";

    if (found == PY_KNOWN)
        dprintf(message_fd, "gil: %s is a CPython (%s) whose calls of libc cannot be reached: %s\n",
                program_invocation_short_name, py_version(), then);
    else if (found == PY_UNKNOWN)
        dprintf(message_fd, "gil: %s is a CPython (%s) without a layout in libgil (3.11): %s\n",
                program_invocation_short_name, py_version(), then);
    else
        dprintf(message_fd, "gil: %s is not CPython 3.11: %s\n", program_invocation_short_name,
                then);
}

static bool is_command(void)
{
    const char *pid = getenv("GIL_COMMAND_PID");
    return pid && atol(pid) == getpid();
}

static void not_recognised_at_exit(void)
{
    if (!to_be_said || !is_command())
        return; /* a forked child of it */
    to_be_said = false;
    say_not_recognised();
    if (set("GIL_STRICT"))
        _exit(EXIT_NOT_SUPPORTED);
}

static void not_recognised(void)
{
    if (is_command() && set("GIL_STRICT") && !is_launcher()) {
        say_not_recognised();
        _exit(EXIT_NOT_SUPPORTED);
    }
    if (is_command()) {
        /* Programs that check for write errors close standard error before we get our turn. */
        int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 512);
        if (fd >= 0)
            message_fd = fd;
        to_be_said = true;
        atexit(not_recognised_at_exit);
    } else if (set("GIL_VERBOSE"))
        say_not_recognised();
}

/* ---- The environment. ---- */

static void stays_in_environment(void)
{
    dprintf(STDERR_FILENO,
            "gil: cannot leave the environment, so that children inherit libgil: %s\n",
            strerror(errno));
}

/* --no-inherit: children start without us. */
static void leave_environment(void)
{
    static const char *const ours[] = {"GIL_POLICY", "GIL_INTERVAL_NS", "GIL_STATS",      "GIL_IO",
                                       "GIL_STRICT", "GIL_NO_INHERIT",  "GIL_COMMAND_PID"};
    char *preload = getenv("LD_PRELOAD"), *last;
    Dl_info self;

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        unsetenv(ours[i]);
    if (!preload || !dladdr((void *)leave_environment, &self))
        return;
    /* `gil run` puts it behind all others. */
    last = strrchr(preload, ':');
    if (strcmp(last ? last + 1 : preload, self.dli_fname) != 0)
        return;
    if (!last) {
        unsetenv("LD_PRELOAD");
    } else {
        char *rest = strndup(preload, (size_t)(last - preload));
        if (!rest || setenv("LD_PRELOAD", rest, 1) != 0)
            stays_in_environment();
        free(rest);
    }
}

/* ---- The counters at exit. ---- */

static void thread_name(int tid, char *name, size_t size)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
    file = tid ? fopen(path, "re") : NULL;
    if (!file || !fgets(name, (int)size, file))
        snprintf(name, size, tid ? "-" : "(ended)");
    if (file)
        fclose(file);
    name[strcspn(name, "\n")] = '\0';
}

static void no_stats(void)
{
    fprintf(stderr, "gil: cannot write the counters: %s\n", strerror(ENOMEM));
}

static void print_stats(void)
{
    size_t room = gil_lock_stats(&py_lock, NULL, 0) + 16, count;
    gil_thread_stats *stats = calloc(room, sizeof *stats);
    char path[4096] = "";
    FILE *to = stderr;

    if (!stats) {
        no_stats();
        return;
    }
    if (strcmp(stats_to, "-") != 0) {
        snprintf(path, sizeof path, "%s.%d", stats_to, getpid());
        to = fopen(path, "we");
        if (!to) {
            fprintf(stderr, "gil: cannot write the counters to %s: %s\n", path, strerror(errno));
            free(stats);
            return;
        }
    }
    count = gil_lock_stats(&py_lock, stats, room);
    if (count > room)
        count = room;
    fprintf(to, "tid threads acquires contended forced handovers deferred deferred_back "
                "deferred_taken deferred_ended requests futex_waits futex_wakes wait_ns handoffs "
                "handoff_ns holds hold_ns holds_partial io_inline io_blocked io_interrupted "
                "wait_max_ns handoff_max_ns hold_max_ns name\n");
    for (size_t i = 0; i < count; i++) {
        const uint64_t *counter = &stats[i].acquires;
        char name[32];

        thread_name(stats[i].tid, name, sizeof name);
        fprintf(to, "%d %u", stats[i].tid, stats[i].threads);
        while (counter <= &stats[i].hold_max_ns)
            fprintf(to, " %lu", *counter++);
        fprintf(to, " %s\n", name);
    }
    if (to != stderr)
        fclose(to);
    free(stats);
}

static void at_exit(void)
{
    if (stats_to && py_gil_created)
        print_stats();
    stats_to = NULL;
}

/* multiprocessing ends its children this way, and shells end themselves. */
PY_WRAPPER void _exit(int status)
{
    if (stats_to)
        at_exit();
    not_recognised_at_exit();
    REAL(_exit)(status);
    __builtin_unreachable();
}

__attribute__((constructor)) static void start(void)
{
    const char *interval = getenv("GIL_INTERVAL_NS"), *policy = getenv("GIL_POLICY");
    const char *io = getenv("GIL_IO");

    if (set("GIL_NO_INHERIT") && !is_command()) {
        leave_environment(); /* a child that got here through a program that is no interpreter */
        return;
    }
    found = py_recognise();
    if (found != PY_KNOWN || !py_hooks_start(interval ? atol(interval) : 0)) {
        not_recognised();
        return;
    }
    if (policy && strcmp(policy, "fifo") == 0)
        gil_lock_set_policy(&py_lock, GIL_FIFO);
    if (io && strcmp(io, "uring") == 0)
        py_rings_start();
    if (getenv("GIL_STATS")) {
        stats_to = strdup(getenv("GIL_STATS"));
        if (!stats_to || atexit(at_exit) != 0)
            no_stats();
    }
    if (set("GIL_NO_INHERIT"))
        leave_environment();
}
