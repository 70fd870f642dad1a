/* See watch.h. */
#define _GNU_SOURCE
#include "tools/cli/watch.h"
#include "tools/cli/cli.h"
#include "tools/cli/receive.h"
#include "tools/cli/statspage.h"
#include "tools/cli/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOOK_MS = 100,
    EAGER_LOOKS = 20, /* so often a process is looked at closely: it may get its page soon */
    SELDOM = 10,      /* later, every so many looks */
};

struct page {
    int fd;
    ino_t inode;
};

struct task {
    pid_t tid, ns_tid;
    char name[32];
};

struct process {
    pid_t pid, ns_pid;
    char name[32];
    bool ended;
    unsigned int looks;
    int error; /* of the last look for pages: a negative errno */
    struct page *pages;
    size_t page_count;
    struct task *tasks; /* as last seen, those that have ended included */
    size_t task_count;
};

struct watch {
    struct process *processes;
    size_t count;
    gil_stats_page *page; /* read into */
    int receiver;         /* -1: none */
    pid_t command;
    int status;
};

/* One more element behind an array of `count`; NULL when memory is short. */
static void *grow(void *array, size_t *count, size_t size)
{
    char **a = array, *bigger = realloc(*a, (*count + 1) * size);

    if (!bigger)
        return NULL;
    *a = bigger;
    memset(bigger + *count * size, 0, size);
    return bigger + (*count)++ * size;
}

struct watch *watch_new(void)
{
    struct watch *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->receiver = w->status = -1;
    w->page = calloc(1, sizeof *w->page);
    if (!w->page) {
        free(w);
        return NULL;
    }
    return w;
}

/* ---- What /proc says ---- */

static void read_name(const char *path, char *name, size_t size)
{
    char line[32];
    FILE *file = fopen(path, "re");

    if (!file)
        return;
    if (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, size, "%s", text_clean(line));
    }
    fclose(file);
}

/* The last number of the line NSpid of a status file: as the innermost namespace has it. */
static pid_t read_ns_pid(const char *path, pid_t otherwise)
{
    FILE *file = fopen(path, "re");
    char line[256];
    pid_t pid = otherwise;

    while (file && fgets(line, sizeof line, file)) {
        char *at;

        if (strncmp(line, "NSpid:", 6) != 0)
            continue;
        at = line + strcspn(line, "\n");
        while (at > line && (!*at || isspace((unsigned char)*at)))
            *at-- = '\0';
        at = strrchr(line, '\t');
        pid = at ? (pid_t)atol(at) : otherwise;
        break;
    }
    if (file)
        fclose(file);
    return pid;
}

static bool has_ended(pid_t pid)
{
    char path[64], line[512] = "";
    const char *state;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    file = fopen(path, "re");
    if (!file)
        return true;
    state = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return !state || state[1] == '\0' || state[2] == 'Z' || state[2] == 'X';
}

static struct process *find_process(struct watch *w, pid_t pid)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->processes[i].pid == pid)
            return &w->processes[i];
    return NULL;
}

static struct task *find_task(struct process *p, pid_t tid)
{
    for (size_t i = 0; i < p->task_count; i++)
        if (p->tasks[i].tid == tid)
            return &p->tasks[i];
    return NULL;
}

/* ---- Looking at processes ---- */

/* A page, once, however often it is found. */
static void add_page(int fd, void *arg)
{
    struct process *p = arg;
    struct stat about;
    struct page *page;
    bool known = fstat(fd, &about) != 0;

    for (size_t i = 0; i < p->page_count && !known; i++)
        known = p->pages[i].inode == about.st_ino;
    page = known ? NULL : grow(&p->pages, &p->page_count, sizeof *page);
    if (page)
        *page = (struct page){.fd = fd, .inode = about.st_ino};
    else
        close(fd);
}

static void look_for_pages(struct process *p)
{
    int found = statspage_find(p->pid, add_page, p);

    p->error = found < 0 ? found : 0;
}

static struct process *add_process(struct watch *w, pid_t pid)
{
    struct process *p = find_process(w, pid);
    char path[64];

    if (p)
        return p;
    p = grow(&w->processes, &w->count, sizeof *p);
    if (!p)
        return NULL;
    p->pid = pid;
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    read_name(path, p->name, sizeof p->name);
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    p->ns_pid = read_ns_pid(path, pid);
    return p;
}

static void look_at_task(struct process *p, pid_t tid)
{
    struct task *task = find_task(p, tid);
    char path[64];

    if (!task) {
        task = grow(&p->tasks, &p->task_count, sizeof *task);
        if (!task)
            return;
        task->tid = task->ns_tid = tid;
        snprintf(path, sizeof path, "/proc/%d/task/%d/status", p->pid, tid);
        if (p->ns_pid != p->pid)
            task->ns_tid = read_ns_pid(path, tid);
    }
    snprintf(path, sizeof path, "/proc/%d/task/%d/comm", p->pid, tid);
    read_name(path, task->name, sizeof task->name);
}

/* The threads of a process, and the children that these have started. The list of processes may grow:
 * p is not used after that. */
static void look_at_tasks(struct watch *w, struct process *p)
{
    pid_t pid = p->pid, child;
    char path[64], file[64];
    DIR *tasks;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    tasks = opendir(path);
    if (!tasks)
        return;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        pid_t tid = (pid_t)atol(entry->d_name);
        FILE *children;

        if (tid <= 0)
            continue;
        look_at_task(find_process(w, pid), tid);
        snprintf(file, sizeof file, "/proc/%d/task/%d/children", pid, tid);
        children = fopen(file, "re");
        while (children && fscanf(children, "%d", &child) == 1)
            add_process(w, child);
        if (children)
            fclose(children);
    }
    closedir(tasks);
}

static void look(struct watch *w, struct process *p)
{
    unsigned int looks = p->looks++;
    char path[64];

    p->ended = has_ended(p->pid);
    if (p->ended)
        return;
    if (looks >= EAGER_LOOKS && looks % SELDOM != 0)
        return;
    snprintf(path, sizeof path, "/proc/%d/comm", p->pid);
    read_name(path, p->name, sizeof p->name); /* it may have executed another program */
    look_for_pages(p);
    look_at_tasks(w, p);
}

/* ---- The interface ---- */

int watch_process(struct watch *w, const char *subcommand, pid_t pid)
{
    struct process *p;

    if (has_ended(pid))
        return complain(EXIT_ERROR, "%s: no process %d", subcommand, pid);
    p = add_process(w, pid);
    if (!p)
        return complain(EXIT_ERROR, "%s: out of memory", subcommand);
    look(w, p);
    p = find_process(w, pid);
    if (p->error == -EACCES || p->error == -EPERM)
        return complain(EXIT_MISSING,
                        "%s: may not look at process %d, which is another user's: be that user, or "
                        "root (CAP_SYS_PTRACE)",
                        subcommand, pid);
    return EXIT_OK;
}

int watch_command(struct watch *w, const char *subcommand, char **argv)
{
    pid_t pid;

    w->receiver = receive_open();
    pid = receive_start(argv);
    if (pid < 0)
        return complain(pid == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN,
                        "%s: cannot run '%s': %s", subcommand, argv[0], strerror(-pid));
    w->command = pid;
    if (!add_process(w, pid))
        return complain(EXIT_ERROR, "%s: out of memory", subcommand);
    return EXIT_OK;
}

static void take_what_was_sent(struct watch *w)
{
    pid_t from;
    int fd;

    while (w->receiver >= 0 && (fd = receive_page(w->receiver, &from)) >= 0) {
        struct process *p = add_process(w, from);

        if (!p) {
            close(fd);
            continue;
        }
        add_page(fd, p);
        look_at_tasks(w, p);
    }
}

static void wait_for_command(struct watch *w)
{
    int status;

    if (w->command && w->status < 0 && waitpid(w->command, &status, WNOHANG) == w->command)
        w->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    stopped = number;
}

static void leave_it_to_the_command(int number)
{
    (void)number;
}

void watch_signals(bool command)
{
    struct sigaction action = {.sa_handler = stop}, old;

    sigaction(SIGTERM, &action, NULL);
    if (command)
        action.sa_handler = leave_it_to_the_command;
    sigaction(SIGINT, &action, &old);
    if (old.sa_handler == SIG_IGN)
        sigaction(SIGINT, &old, NULL);
}

bool watch_wait(struct watch *w)
{
    struct pollfd sent = {.fd = w->receiver, .events = POLLIN};
    bool all_ended = true;

    poll(&sent, 1, LOOK_MS);
    wait_for_command(w);
    take_what_was_sent(w);
    for (size_t i = 0; i < w->count; i++) {
        if (!w->processes[i].ended)
            look(w, &w->processes[i]);
        all_ended = all_ended && w->processes[i].ended;
    }
    return !stopped && !(w->command ? w->status >= 0 : all_ended);
}

static void read_thread(struct process *p, const gil_stats_page *page, uint32_t i,
                        struct tally *tally)
{
    const gil_thread_stats *stats = &page->threads[i].stats;
    const struct task *task = NULL;
    struct tally_row *row;

    if (!stats->threads)
        return;
    for (size_t t = 0; t < p->task_count && !task; t++)
        if (p->tasks[t].ns_tid == stats->tid)
            task = &p->tasks[t];
    row = tally_add(tally, p->pid, task ? task->tid : stats->tid);
    if (!row)
        return;
    row->ns_pid = p->ns_pid;
    row->ns_tid = stats->tid;
    snprintf(row->name, sizeof row->name, "%s",
             task                      ? task->name
             : stats->tid == p->ns_pid ? p->name
                                       : "");
    tally_count(row, stats, i < GIL_STATS_HISTOGRAMS ? &page->thread_histograms[i] : NULL);
}

static void read_lock(struct process *p, const gil_stats_page *page, int i, struct tally *tally)
{
    const gil_stats_histograms *h = &page->lock_histograms[i];
    struct tally_row *row;

    if (!page->locks[i].stats.threads)
        return;
    row = tally_add(tally, p->pid, 0);
    if (!row)
        return;
    row->ns_pid = p->ns_pid;
    tally_count(row, &page->locks[i].stats, h);
}

void watch_read(struct watch *w, struct tally *tally)
{
    for (size_t i = 0; i < w->count; i++) {
        struct process *p = &w->processes[i];

        for (size_t j = 0; j < p->page_count; j++) {
            if (statspage_read(p->pages[j].fd, w->page) != 0 ||
                statspage_read_histograms(p->pages[j].fd, w->page) != 0)
                continue;
            for (uint32_t t = 0; t < w->page->used; t++)
                read_thread(p, w->page, t, tally);
            for (int l = 0; l < GIL_STATS_LOCKS; l++)
                read_lock(p, w->page, l, tally);
        }
    }
    tally_finish(tally);
}

static int by_pid(const void *a, const void *b)
{
    const struct process *x = a, *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Why nothing of the process can be shown; NULL if something can. */
static const char *why_not(struct watch *w, const struct process *p)
{
    int error = p->page_count ? statspage_read(p->pages[0].fd, w->page) : p->error;

    if (p->page_count && error == 0)
        return NULL;
    if (error == -EPROTO)
        return "its counters are of another version of libgil: use the gil command of that version";
    if (error == -EINVAL)
        return "what it calls its counters is something else";
    if (error == -ENODATA)
        return "it has closed the file of its counters; as root (CAP_SYS_ADMIN) they can be read "
               "all the same";
    if (error == -EACCES || error == -EPERM)
        return "it is another user's (CAP_SYS_PTRACE)";
    return "it does not run on libgil";
}

int watch_any(struct watch *w, const char *subcommand)
{
    const struct process *first;

    for (size_t i = 0; i < w->count; i++) {
        if (!w->processes[i].looks)
            look(w, &w->processes[i]); /* a child */
        if (!why_not(w, &w->processes[i]))
            return EXIT_OK;
    }
    first = w->processes;
    return complain(EXIT_NOT_SUPPORTED, "%s: process %d (%s): %s", subcommand, first->pid,
                    first->name, why_not(w, first));
}

void watch_each(struct watch *w, void (*fn)(const struct watched *process, void *arg), void *arg)
{
    qsort(w->processes, w->count, sizeof *w->processes, by_pid);
    for (size_t i = 0; i < w->count; i++) {
        const struct process *p = &w->processes[i];
        struct watched seen = {p->pid, p->ns_pid, p->name, false, why_not(w, p)};

        seen.counters = !seen.why_not;
        fn(&seen, arg);
    }
}

int watch_status(const struct watch *w)
{
    return w->status;
}

void watch_free(struct watch *w)
{
    for (size_t i = 0; w && i < w->count; i++) {
        struct process *p = &w->processes[i];

        for (size_t j = 0; j < p->page_count; j++)
            close(p->pages[j].fd);
        free(p->pages);
        free(p->tasks);
    }
    if (!w)
        return;
    if (w->receiver >= 0)
        close(w->receiver);
    free(w->processes);
    free(w->page);
    free(w);
}
