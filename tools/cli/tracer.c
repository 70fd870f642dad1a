/* The tracer itself: see tracer.h, and tracer_impl.h for its parts. */
#define _GNU_SOURCE
#include "tools/cli/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel-helpers/clock.h"
#include "kernel-helpers/uprobe.h"
#include "tools/cli/cli.h"
#include "tools/cli/layout.h"
#include "tools/cli/preload.h"
#include "tools/cli/tracer_impl.h"

#include "tracer.skel.h"

#define BUFFER_BYTES (4u << 20)
#define POLL_MS      5 /* the programs wake nobody up: a wake-up costs more than all else */
#define SAMPLE_HZ    99

int tracer_fails(struct tracer *t, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(t->why, sizeof t->why, format, args);
    va_end(args);
    return -error;
}

const char *tracer_why(const struct tracer *t)
{
    return t ? t->why : "out of memory";
}

int tracer_status(int error)
{
    switch (-error) {
    case 0:
        return EXIT_OK;
    case EPERM:
    case EOPNOTSUPP:
        return EXIT_MISSING;
    case ENOEXEC:
        return EXIT_NOT_SUPPORTED;
    default:
        return EXIT_ERROR;
    }
}

/* ---- Opening ---- */

/* Why BPF programs cannot be loaded, with the error that loading ended with. */
static int why_no_bpf(struct tracer *t, int error)
{
    static const char lockdown[] = "/sys/kernel/security/lockdown";
    char state[128] = "";
    int fd = open(lockdown, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (read(fd, state, sizeof state - 1) < 0)
            state[0] = '\0';
        close(fd);
    }
    if (strstr(state, "[confidentiality]"))
        return tracer_fails(t, EPERM, "the kernel is locked down (%s): it lets nobody trace",
                            lockdown);
    if (error == EPERM || error == EACCES)
        return tracer_fails(t, EPERM,
                            "not permitted: tracing needs the capabilities CAP_BPF, CAP_PERFMON "
                            "and CAP_SYS_PTRACE (run it as root)");
    if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
        return tracer_fails(
            t, EOPNOTSUPP, "this kernel has no BTF (/sys/kernel/btf/vmlinux), which tracing needs");
    return tracer_fails(t, error, "cannot load the BPF programs: %s", strerror(error));
}

static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level, (void)format, (void)args;
    return 0;
}

static int load(struct tracer *t)
{
    const struct tracer_options *o = &t->options;
    size_t bytes = o->buffer_bytes ? o->buffer_bytes : BUFFER_BYTES;
    int error;

    libbpf_set_print(say_nothing);
    t->bpf = tracer_bpf__open();
    if (!t->bpf)
        return tracer_fails(t, errno, "cannot open the BPF programs: %s", strerror(errno));
#ifdef HAVE_PYTHON
    t->bpf->rodata->layout = python311_layout.programs;
#endif
    t->bpf->rodata->kinds = o->kinds;
    t->bpf->rodata->only_tid = (uint32_t)o->tid;
    t->bpf->rodata->duration_min = o->duration_min_ns;
    t->bpf->rodata->each_hold = o->tier == TRACER_FULL;
    t->bpf->rodata->sample_period = o->tier == TRACER_SAMPLE ? 1000000000 / SAMPLE_HZ : 0;
    bpf_map__set_max_entries(t->bpf->maps.ring, (uint32_t)bytes);
    bpf_program__set_expected_attach_type(t->bpf->progs.libgil, UPROBE_MULTI_ATTACH_TYPE);
    bpf_program__set_expected_attach_type(t->bpf->progs.cpython, UPROBE_MULTI_ATTACH_TYPE);
    error = tracer_bpf__load(t->bpf);
    return error ? why_no_bpf(t, -error) : 0;
}

static size_t threads_bytes(void)
{
    return GIL_THREADS * ((sizeof(struct gil_thread) + 7) & ~7ul);
}

static int on_record(void *arg, void *data, size_t size);

static int map_results(struct tracer *t)
{
    void *threads =
        mmap(NULL, threads_bytes(), PROT_READ, MAP_SHARED, bpf_map__fd(t->bpf->maps.threads), 0);

    if (threads == MAP_FAILED)
        return tracer_fails(t, errno, "cannot map the BPF programs' results: %s", strerror(errno));
    t->threads = threads;
    t->ring = ring_buffer__new(bpf_map__fd(t->bpf->maps.ring), on_record, t, NULL);
    if (!t->ring)
        return tracer_fails(t, errno, "cannot map the BPF ring buffer: %s", strerror(errno));
    return 0;
}

/* In the child: waits until it may go on, and turns into the command. */
static _Noreturn void become_command(char *const *command, int go, int say)
{
    char byte;
    int error;

    if (read(go, &byte, 1) == 1) {
        execvp(command[0], command);
        error = errno;
        if (write(say, &error, sizeof error) < 0)
            _exit(EXIT_CANNOT_RUN);
    }
    _exit(EXIT_CANNOT_RUN);
}

static int start_command(struct tracer *t)
{
    int go[2], say[2];

    if (pipe2(go, O_CLOEXEC) != 0 || pipe2(say, O_CLOEXEC) != 0)
        return tracer_fails(t, errno, "cannot make a pipe: %s", strerror(errno));
    t->command = fork();
    if (t->command < 0)
        return tracer_fails(t, errno, "cannot start a process: %s", strerror(errno));
    if (t->command == 0) {
        close(go[1]);
        become_command(t->options.command, go[0], say[1]);
    }
    close(go[0]);
    close(say[1]);
    t->command_go = go[1];
    t->command_said = say[0];
    return 0;
}

int tracer_open(struct tracer **out, const struct tracer_options *options)
{
    struct tracer *t = *out = calloc(1, sizeof *t);
    int error;

    if (!t)
        return -ENOMEM;
    t->options = *options;
    t->command_status = t->command_go = t->command_said = -1;
    for (size_t i = 0; i < options->pid_count; i++)
        if (kill(options->pids[i], 0) != 0 && errno == ESRCH)
            return tracer_fails(t, ESRCH, "no process %d", options->pids[i]);
    error = load(t);
    if (!error)
        error = map_results(t);
    if (!error && options->command)
        error = start_command(t);
    return error;
}

/* ---- Attaching ---- */

static int attach_scheduler(struct tracer *t)
{
    struct bpf_program *programs[] = {t->bpf->progs.waking, t->bpf->progs.switches,
                                      t->bpf->progs.forks, t->bpf->progs.execs};
    struct bpf_link **links[] = {&t->bpf->links.waking, &t->bpf->links.switches,
                                 &t->bpf->links.forks, &t->bpf->links.execs};

    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        *links[i] = bpf_program__attach(programs[i]);
        if (!*links[i])
            return tracer_fails(t, errno, "cannot attach to %s: %s",
                                bpf_program__section_name(programs[i]), strerror(errno));
    }
    return 0;
}

/* The sampler, on each processor. One that is offline is left out. */
static int attach_timers(struct tracer *t)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof attr,
        .config = PERF_COUNT_SW_CPU_CLOCK,
        .freq = 1,
        .sample_freq = SAMPLE_HZ,
    };
    int count = libbpf_num_possible_cpus();

    for (int cpu = 0; cpu < count && t->timer_count < TRACER_TIMERS; cpu++) {
        int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
        struct bpf_link *link;

        if (fd < 0 && errno == ENODEV)
            continue;
        if (fd < 0)
            return tracer_fails(t, errno, "cannot sample processor %d: %s", cpu, strerror(errno));
        link = bpf_program__attach_perf_event(t->bpf->progs.sample, fd);
        if (!link) {
            close(fd);
            return tracer_fails(t, errno, "cannot sample processor %d: %s", cpu, strerror(errno));
        }
        t->timers[t->timer_count++] = link;
    }
    return 0;
}

/* Why a process cannot be attached to. */
static int why_not_attached(struct tracer *t, pid_t pid, int error)
{
    if (error == ESRCH || error == ENOENT)
        return tracer_fails(t, ESRCH, "process %d has ended", pid);
    if (error == EACCES || error == EPERM)
        return tracer_fails(t, EPERM,
                            "not permitted to trace process %d: that needs the capabilities "
                            "CAP_PERFMON and CAP_SYS_PTRACE (run it as root)",
                            pid);
    if (error == EINVAL || error == EOPNOTSUPP)
        return tracer_fails(t, EOPNOTSUPP,
                            "this kernel has no uprobe_multi links (Linux 6.6), which tracing "
                            "needs");
    return tracer_fails(t, error, "cannot trace process %d: %s", pid, strerror(error));
}

/* Opens a program as execvp would find it; -1 if it does not. */
static int open_program(const char *name, char *path, size_t size)
{
    const char *at = getenv("PATH");

    if (strchr(name, '/')) {
        snprintf(path, size, "%s", name);
        return open(path, O_RDONLY | O_CLOEXEC);
    }
    for (at = at ? at : "/bin:/usr/bin"; *at; at += strcspn(at, ":"), at += *at == ':') {
        snprintf(path, size, "%.*s/%s", (int)strcspn(at, ":"), at, name);
        if (access(path, X_OK) == 0)
            return open(path, O_RDONLY | O_CLOEXEC);
    }
    return -1;
}

/* What the command will map is attached to before it runs, so far as that can be known: its own
 * file, and the drop-in. Everything else is found when it has been mapped. */
static int attach_ahead(struct tracer *t, size_t process)
{
    const char *preload = getenv("LD_PRELOAD");
    char path[4200], dropin[4200];
    int fd, file, error = 0;

    if (preload_find(dropin, sizeof dropin)) {
        fd = open(dropin, O_RDONLY | O_CLOEXEC);
        file = fd < 0 ? -errno : tracer_file(t, fd, dropin);
        if (file >= 0)
            error = tracer_process_attach(t, process, (size_t)file);
    }
    fd = open_program(t->options.command[0], path, sizeof path);
    file = fd < 0 || (preload && strstr(preload, "libgil-python")) ? -ENOENT
                                                                   : tracer_file(t, fd, path);
    if (file >= 0 && !error)
        error = tracer_process_attach(t, process, (size_t)file);
    return error;
}

static int let_command_go(struct tracer *t)
{
    int error = 0;

    if (write(t->command_go, "", 1) != 1)
        return tracer_fails(t, errno, "cannot start '%s'", t->options.command[0]);
    close(t->command_go);
    t->command_go = -1;
    if (read(t->command_said, &error, sizeof error) != sizeof error)
        return 0;
    return tracer_fails(t, error, "cannot run '%s': %s", t->options.command[0], strerror(error));
}

static int attach_process(struct tracer *t, pid_t pid)
{
    int process = tracer_process_add(t, pid);
    int error = process < 0                  ? process
                : t->options.command != NULL ? attach_ahead(t, (size_t)process)
                                             : tracer_process_scan(t, (size_t)process);

    return error ? why_not_attached(t, pid, -error) : 0;
}

static int need_recognised(struct tracer *t)
{
    for (size_t i = 0; i < t->process_count; i++)
        if (t->processes[i].recognised)
            return 0;
    return tracer_fails(t, ENOEXEC,
                        "process %d (%s) has no lock that gil knows: neither libgil's probes nor "
                        "the _PyRuntime of a CPython 3.11 is in any of its files",
                        t->processes[0].pid, t->processes[0].name);
}

int tracer_attach(struct tracer *t)
{
    int error = attach_scheduler(t);

    if (!error)
        error = attach_timers(t);
    for (size_t i = 0; i < t->options.pid_count && !error; i++)
        error = attach_process(t, t->options.pids[i]);
    if (!error && t->options.pid_count)
        error = need_recognised(t);
    if (!error && t->command)
        error = attach_process(t, t->command);
    t->bpf->bss->attached_ns = (uint64_t)clock_now_ns();
    t->attached = true;
    if (!error && t->command)
        error = let_command_go(t);
    return error;
}

/* ---- Polling ---- */

static void on_event(struct tracer *t, const struct gil_event *raw)
{
    struct gil_event event = *raw;

    if (event.place.function)
        event.place.line = tracer_line(t, event.place.function, event.place.line);
    else
        event.place.line = 0;
    if (event.kind == GIL_EVENT_WAIT || event.kind == GIL_EVENT_BLAME)
        event.other_place.line =
            event.other_place.function
                ? tracer_line(t, event.other_place.function, event.other_place.line)
                : 0;
    t->options.on_event(&event, t->options.arg);
}

static int on_record(void *arg, void *data, size_t size)
{
    struct tracer *t = arg;
    const struct gil_event *event = data;

    (void)size;
    switch (event->kind) {
    case GIL_RECORD_FUNCTION:
        tracer_function_came(t, data);
        break;
    case GIL_RECORD_FORK:
        tracer_process_forked(t, (pid_t)event->pid);
        break;
    case GIL_RECORD_EXEC:
        tracer_process_executed(t, (pid_t)event->pid);
        break;
    default:
        if (t->options.on_event)
            on_event(t, event);
    }
    return 0;
}

static void look_after_command(struct tracer *t)
{
    int status;

    if (t->command > 0 && t->command_status < 0 &&
        waitpid(t->command, &status, WNOHANG) == t->command)
        t->command_status = status;
}

int tracer_poll(struct tracer *t, int timeout_ms)
{
    int64_t end = clock_now_ns() + timeout_ms * INT64_C(1000000);
    bool any;

    do {
        any = tracer_processes_wait(t, POLL_MS);
        ring_buffer__consume(t->ring);
        tracer_processes_follow(t);
        look_after_command(t);
    } while (any && clock_now_ns() < end);
    return !any;
}

int tracer_child_status(const struct tracer *t)
{
    return t->command_status;
}

/* ---- Results ---- */

void tracer_threads(struct tracer *t, void (*fn)(const struct gil_thread *, void *), void *arg)
{
    for (size_t i = 0; i < GIL_THREADS; i++)
        if (t->threads[i].tid)
            fn(&t->threads[i], arg);
}

void tracer_places(struct tracer *t, void (*fn)(const struct tracer_place *, void *), void *arg)
{
    int map = bpf_map__fd(t->bpf->maps.places);
    struct gil_place_key key;
    struct gil_place_sums sums;

    for (void *last = NULL; bpf_map_get_next_key(map, last, &key) == 0; last = &key) {
        struct tracer_place place = {
            .pid = (pid_t)key.code.pid, .tid = (pid_t)key.tid, .sums = &sums};

        if (bpf_map_lookup_elem(map, &key, &sums) != 0)
            continue;
        place.place.function = sums.function;
        place.place.line = sums.function ? tracer_line(t, sums.function, key.offset) : 0;
        fn(&place, arg);
    }
}

static const char *const loss_names[GIL_LOSSES] = {
    [GIL_LOSS_BUFFER] = "events (the buffer was full)",
    [GIL_LOSS_THREADS] = "events of threads beyond the table",
    [GIL_LOSS_PLACES] = "events at places beyond the table",
    [GIL_LOSS_FUNCTIONS] = "functions beyond the table",
    [GIL_LOSS_FRAMES] = "frames that could not be read",
    [GIL_LOSS_HOLDERS] = "waits with nobody to blame",
    [GIL_LOSS_LINES] = "lines that could not be decoded",
    [GIL_LOSS_MISSED] = "hits that the kernel ran no program for",
    [GIL_LOSS_CHILDREN] = "child processes that could not be followed",
};

const char *tracer_loss_name(enum gil_loss loss)
{
    return loss_names[loss];
}

/* Hits that the kernel skipped because the program was running already. */
static uint64_t missed(const struct bpf_program *program)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof info;

    return bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0
               ? info.recursion_misses
               : 0;
}

uint64_t tracer_loss(struct tracer *t, enum gil_loss loss)
{
    uint64_t count = t->losses[loss] + t->bpf->bss->losses[loss];

    if (loss == GIL_LOSS_MISSED)
        count += missed(t->bpf->progs.libgil) + missed(t->bpf->progs.cpython);
    return count;
}

static void add_cost(const struct gil_thread *thread, void *arg)
{
    struct gil_sum *cost = arg;

    cost->count += thread->hits;
    cost->sum_ns += thread->hits * TRACER_HIT_NS;
}

struct gil_sum tracer_cost(struct tracer *t)
{
    struct gil_sum cost = {0};

    tracer_threads(t, add_cost, &cost);
    return cost;
}

/* ---- Closing ---- */

int tracer_detach(struct tracer *t)
{
    if (t->has_detached)
        return 0;
    t->has_detached = true;
    tracer_processes_detach(t);
    for (size_t i = 0; i < t->timer_count; i++)
        bpf_link__destroy(t->timers[i]);
    tracer_bpf__detach(t->bpf);
    ring_buffer__consume(t->ring);
    return 0;
}

void tracer_close(struct tracer *t)
{
    if (!t)
        return;
    if (t->attached)
        tracer_detach(t);
    tracer_processes_close(t);
    tracer_files_close(t);
    tracer_functions_close(t);
    if (t->command_go >= 0)
        close(t->command_go);
    if (t->command_said >= 0)
        close(t->command_said);
    if (t->threads)
        munmap((void *)t->threads, threads_bytes());
    ring_buffer__free(t->ring);
    tracer_bpf__destroy(t->bpf);
    free(t);
}
