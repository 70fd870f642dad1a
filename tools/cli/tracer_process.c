/* Which processes are traced, and attaching to the files that they have mapped.
 *
 * What a process maps is looked at when it is new or has executed another program, then again after
 * 2 ms, 4 ms and so on, up to once a second: libraries come later than their program. A file is
 * attached to once in a process, and stays so when it is mapped again. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "kernel-helpers/clock.h"
#include "kernel-helpers/uprobe.h"
#include "tools/cli/tracer_impl.h"

#include "tracer.skel.h"

#define SCAN_FIRST_NS 2000000
#define SCAN_LAST_NS  1000000000

/* ---- What it is called ---- */

static void read_name(struct traced_process *p)
{
    char path[64], line[128];
    FILE *in;

    snprintf(path, sizeof path, "/proc/%d/status", p->pid);
    in = fopen(path, "re");
    while (in && fgets(line, sizeof line, in)) {
        char *at;

        sscanf(line, "Name: %31[^\n]", p->name);
        if (strncmp(line, "NSpid:", 6) != 0)
            continue;
        at = strrchr(line, '\t');
        p->ns_pid = at ? (pid_t)atoi(at) : p->pid;
    }
    if (in)
        fclose(in);
}

static void scan_soon(struct traced_process *p)
{
    p->scan_interval_ns = SCAN_FIRST_NS;
    p->next_scan_ns = (uint64_t)clock_now_ns();
}

int tracer_process_add(struct tracer *t, pid_t pid)
{
    struct gil_process none = {0};
    uint32_t key = (uint32_t)pid;
    struct traced_process *more, *p;

    for (size_t i = 0; i < t->process_count; i++)
        if (t->processes[i].pid == pid && t->processes[i].pidfd >= 0)
            return (int)i;
    more = reallocarray(t->processes, t->process_count + 1, sizeof *more);
    if (!more)
        return -ENOMEM;
    t->processes = more;
    p = &more[t->process_count];
    *p = (struct traced_process){.pid = pid, .ns_pid = pid};
    p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (p->pidfd < 0)
        return -errno;
    if (bpf_map_update_elem(bpf_map__fd(t->bpf->maps.processes), &key, &none, BPF_NOEXIST) != 0 &&
        errno != EEXIST) {
        close(p->pidfd);
        return -E2BIG;
    }
    read_name(p);
    scan_soon(p);
    return (int)t->process_count++;
}

/* ---- Attaching ---- */

static bool is_attached(const struct traced_process *p, size_t file)
{
    for (size_t i = 0; i < p->attached_count; i++)
        if (p->attached[i].file == file)
            return true;
    return false;
}

int tracer_process_attach(struct tracer *t, size_t process, size_t file)
{
    struct traced_process *p = &t->processes[process];
    const struct traced_file *f = &t->files[file];
    const struct bpf_program *program =
        f->kind == FILE_PYTHON ? t->bpf->progs.cpython : t->bpf->progs.libgil;
    struct uprobe_points points = {f->offsets, f->semaphores, f->cookies, f->site_count};
    struct attached *more;
    int link;

    if (!f->site_count || is_attached(p, file))
        return 0;
    more = reallocarray(p->attached, p->attached_count + 1, sizeof *more);
    if (!more)
        return -ENOMEM;
    p->attached = more;
    link = uprobe_attach(bpf_program__fd(program), f->fd, p->pid, &points);
    if (link < 0)
        return link;
    more[p->attached_count++] = (struct attached){file, link};
    return 0;
}

/* ---- What it has mapped ---- */

struct scan {
    size_t files[TRACER_FILES];
    uint64_t starts[TRACER_FILES]; /* where each is mapped */
    size_t count;
    bool dropin;
};

static void found_file(struct scan *s, size_t file, uint64_t start)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->files[i] == file)
            return;
    if (s->count == TRACER_FILES)
        return;
    s->files[s->count] = file;
    s->starts[s->count++] = start;
}

/* Through /proc/PID/map_files it is the very file, whatever it is called in which namespace. */
static int open_mapped(pid_t pid, uint64_t start, uint64_t end, const char *path)
{
    char name[4300];
    int fd;

    snprintf(name, sizeof name, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, start, end);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    snprintf(name, sizeof name, "/proc/%d/root%s", pid, path);
    return open(name, O_RDONLY | O_CLOEXEC);
}

/* Remembers where each file begins, and goes by its executable part. */
static int read_maps(struct tracer *t, pid_t pid, struct scan *s)
{
    char line[4400], path[4200], last[4200] = "", allowed[8];
    uint64_t start, end, offset, first = 0;
    FILE *in;

    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    in = fopen(path, "re");
    if (!in)
        return -errno;
    while (fgets(line, sizeof line, in)) {
        int fd, file;

        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %4199[^\n]", &start, &end,
                   allowed, &offset, path) != 5 ||
            path[0] != '/')
            continue;
        if (strcmp(path, last) != 0) {
            strcpy(last, path);
            first = start - offset;
        }
        if (allowed[2] != 'x')
            continue;
        fd = open_mapped(pid, start, end, path);
        file = fd < 0 ? -errno : tracer_file(t, fd, path);
        if (file < 0 || t->files[file].kind == FILE_OTHER)
            continue;
        s->dropin = s->dropin || t->files[file].kind == FILE_DROPIN;
        found_file(s, (size_t)file, first);
    }
    fclose(in);
    return 0;
}

static void tell_gil(struct tracer *t, pid_t pid, uint64_t gil)
{
    struct gil_process process = {.gil = gil};
    uint32_t key = (uint32_t)pid;

    bpf_map_update_elem(bpf_map__fd(t->bpf->maps.processes), &key, &process, BPF_ANY);
}

int tracer_process_scan(struct tracer *t, size_t process)
{
    struct traced_process *p = &t->processes[process];
    struct scan scan = {.count = 0};
    int error = read_maps(t, p->pid, &scan);

    for (size_t i = 0; i < scan.count && !error; i++) {
        const struct traced_file *f = &t->files[scan.files[i]];

        p->recognised = true;
        if (f->kind == FILE_PYTHON)
            tell_gil(t, p->pid, scan.starts[i] + f->gil);
        /* The drop-in answers the interpreter's calls: its own probes tell all. */
        if (f->kind != FILE_PYTHON || !scan.dropin)
            error = tracer_process_attach(t, process, scan.files[i]);
    }
    return error;
}

/* ---- Later on ---- */

void tracer_processes_follow(struct tracer *t)
{
    uint64_t now = (uint64_t)clock_now_ns();

    for (size_t i = 0; i < t->process_count; i++) {
        struct traced_process *p = &t->processes[i];

        if (p->pidfd < 0 || p->next_scan_ns > now)
            continue;
        p->scan_interval_ns *= 2;
        if (p->scan_interval_ns > SCAN_LAST_NS)
            p->scan_interval_ns = SCAN_LAST_NS;
        p->next_scan_ns = now + p->scan_interval_ns;
        if (tracer_process_scan(t, i) != 0 && kill(p->pid, 0) == 0)
            t->losses[GIL_LOSS_CHILDREN]++;
    }
}

static void detach(struct traced_process *p)
{
    for (size_t j = 0; j < p->attached_count; j++)
        close(p->attached[j].link);
    p->attached_count = 0;
}

static void ended(struct tracer *t, struct traced_process *p)
{
    uint32_t key = (uint32_t)p->pid;

    bpf_map_delete_elem(bpf_map__fd(t->bpf->maps.processes), &key);
    detach(p);
    close(p->pidfd);
    p->pidfd = -1;
}

bool tracer_processes_wait(struct tracer *t, int timeout_ms)
{
    struct pollfd fds[GIL_PROCESSES];
    size_t which[GIL_PROCESSES], count = 0;

    for (size_t i = 0; i < t->process_count && count < GIL_PROCESSES; i++) {
        if (t->processes[i].pidfd < 0)
            continue;
        which[count] = i;
        fds[count++] = (struct pollfd){.fd = t->processes[i].pidfd, .events = POLLIN};
    }
    if (count == 0 || poll(fds, (nfds_t)count, timeout_ms) <= 0)
        return count > 0;
    for (size_t i = 0; i < count; i++)
        if (fds[i].revents)
            ended(t, &t->processes[which[i]]);
    return true;
}

void tracer_process_forked(struct tracer *t, pid_t child)
{
    int process = tracer_process_add(t, child);

    if (process < 0)
        t->losses[GIL_LOSS_CHILDREN]++;
}

void tracer_process_executed(struct tracer *t, pid_t pid)
{
    for (size_t i = 0; i < t->process_count; i++) {
        struct traced_process *p = &t->processes[i];

        if (p->pid != pid || p->pidfd < 0)
            continue;
        read_name(p);
        scan_soon(p);
    }
}

void tracer_processes_detach(struct tracer *t)
{
    for (size_t i = 0; i < t->process_count; i++)
        detach(&t->processes[i]);
}

static void close_process(struct traced_process *p)
{
    free(p->attached);
    if (p->pidfd >= 0)
        close(p->pidfd);
}

void tracer_processes_close(struct tracer *t)
{
    tracer_processes_detach(t);
    for (size_t i = 0; i < t->process_count; i++)
        close_process(&t->processes[i]);
    free(t->processes);
}

void tracer_processes(struct tracer *t, void (*fn)(const struct tracer_process *, void *),
                      void *arg)
{
    for (size_t i = 0; i < t->process_count; i++) {
        const struct traced_process *p = &t->processes[i];
        struct tracer_process process = {p->pid, p->ns_pid, p->name, p->recognised};

        fn(&process, arg);
    }
}
