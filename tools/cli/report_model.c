/* See report_model.h. */
#define _GNU_SOURCE

#include "tools/cli/report_model.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* ---- Sets ---- */

static int compare_keys(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* Makes room for one more pointer; the room doubles. */
static bool make_room(struct report_set *set)
{
    void **entries;

    if (set->count & (set->count - 1))
        return true;
    entries = realloc(set->entries, (set->count ? 2 * set->count : 1) * sizeof *entries);
    if (entries)
        set->entries = entries;
    return entries;
}

void *report_set_entry(struct report_set *set, uint64_t key, size_t size, size_t max, bool *is_new)
{
    void *found = tfind(&key, &set->root, compare_keys);
    uint64_t *entry;

    *is_new = false;
    if (found)
        return *(void **)found;
    if (set->count == max) {
        errno = ENOSPC;
        return NULL;
    }
    entry = make_room(set) ? calloc(1, size) : NULL;
    if (!entry)
        return NULL;
    *entry = key;
    if (!tsearch(entry, &set->root, compare_keys)) {
        free(entry);
        errno = ENOMEM;
        return NULL;
    }
    set->entries[set->count++] = entry;
    *is_new = true;
    return entry;
}

static void leave(void *entry)
{
    (void)entry;
}

void report_set_free(struct report_set *set)
{
    tdestroy(set->root, leave);
    for (size_t i = 0; i < set->count; i++)
        free(set->entries[i]);
    free(set->entries);
}

/* ---- Who, where, and both ---- */

static struct report_process *process_of(struct report *report, pid_t pid)
{
    bool is_new;
    struct report_process *process = report_set_entry(
        &report->processes, (uint64_t)pid, sizeof *process, REPORT_PROCESSES_MAX, &is_new);

    if (is_new)
        process->pid = pid;
    return process;
}

static struct report_thread *thread_of(struct report *report, pid_t pid, pid_t tid)
{
    struct report_process *process = process_of(report, pid);
    uint64_t key = (uint64_t)pid << 32 | (uint32_t)tid;
    bool is_new;
    struct report_thread *thread;

    if (!process)
        return NULL;
    thread = report_set_entry(&report->threads, key, sizeof *thread, REPORT_THREADS_MAX, &is_new);
    if (is_new) {
        thread->index = report->threads.count - 1;
        thread->tid = tid;
        thread->process = process;
    }
    return thread;
}

static struct report_place *place_of(struct report *report, const struct gil_place *place)
{
    bool is_new;
    struct report_place *found =
        report_set_entry(&report->places, (uint64_t)place->function << 32 | place->line,
                         sizeof *found, REPORT_PLACES_MAX, &is_new);

    if (is_new) {
        found->index = report->places.count - 1;
        found->function = place->function;
        found->line = place->line;
    }
    return found;
}

/* A thread to which something happened, and which is therefore shown. */
static struct report_thread *seen_thread(struct report *report, pid_t pid, pid_t tid)
{
    struct report_thread *thread = thread_of(report, pid, tid);

    if (thread && !thread->seen) {
        thread->seen = true;
        thread->process->threads++;
    }
    return thread;
}

static struct report_cell *cell_of(struct report *report, struct report_thread *thread,
                                   const struct gil_place *at)
{
    struct report_place *place = place_of(report, at);
    bool is_new;
    struct report_cell *cell;

    if (!thread || !place)
        return NULL;
    cell = report_set_entry(&report->cells, (uint64_t)thread->index << 32 | place->index,
                            sizeof *cell, REPORT_CELLS_MAX, &is_new);
    if (is_new) {
        cell->thread = thread;
        cell->place = place;
    }
    return cell;
}

/* ---- Events ---- */

static void add(struct report_sum *sum, const struct gil_event *event)
{
    if (event->flags & GIL_EVENT_PARTIAL)
        sum->partial++;
    else
        sum->count++;
    sum->sum_ns += event->duration_ns;
    if (event->duration_ns > sum->max_ns)
        sum->max_ns = event->duration_ns;
}

void report_sum_add(struct report_sum *to, const struct report_sum *from)
{
    to->count += from->count;
    to->sum_ns += from->sum_ns;
    to->max_ns = from->max_ns > to->max_ns ? from->max_ns : to->max_ns;
    to->partial += from->partial;
}

/* Into the histogram of a thread, and that of all. How long a partial one took is not known, and a
 * sample has no length. */
static void spread(struct histogram *of_thread, struct histogram *of_all,
                   const struct gil_event *event)
{
    if (event->flags & (GIL_EVENT_PARTIAL | GIL_EVENT_SAMPLE))
        return;
    histogram_add(of_thread, event->duration_ns);
    histogram_add(of_all, event->duration_ns);
}

/* For a table that is full the event is only counted. */
static int no_room(struct report *report)
{
    if (errno == ENOMEM)
        return -ENOMEM;
    report->beyond++;
    return 0;
}

/* Charges a wait, or a part of one, to whoever had the lock meanwhile. */
static int add_blame(struct report *report, const struct gil_event *event)
{
    struct report_cell *cell;

    if (event->other == 0) {
        report->unblamed_ns += event->duration_ns;
        return 0;
    }
    cell = cell_of(report, seen_thread(report, (pid_t)event->pid, (pid_t)event->other),
                   &event->other_place);
    if (!cell)
        return no_room(report);
    add(&cell->blame, event);
    return 0;
}

static int add_hold(struct report *report, const struct gil_event *event)
{
    struct report_thread *thread = seen_thread(report, (pid_t)event->pid, (pid_t)event->tid);
    struct report_cell *cell = cell_of(report, thread, &event->place);

    report->sampled |= event->flags & GIL_EVENT_SAMPLE;
    if (!cell)
        return no_room(report);
    add(&cell->hold, event);
    spread(&thread->hold, &report->hold, event);
    return 0;
}

static int add_wait(struct report *report, const struct gil_event *event)
{
    struct report_thread *thread = seen_thread(report, (pid_t)event->pid, (pid_t)event->tid);
    struct report_cell *cell = cell_of(report, thread, &event->place);

    if (!cell)
        return no_room(report);
    add(&cell->wait, event);
    spread(&thread->wait, &report->wait, event);
    return event->flags & GIL_EVENT_SPLIT ? 0 : add_blame(report, event);
}

static int add_handoff(struct report *report, const struct gil_event *event)
{
    struct report_thread *thread = seen_thread(report, (pid_t)event->pid, (pid_t)event->tid);

    if (!thread)
        return no_room(report);
    spread(&thread->handoff, &report->handoff, event);
    thread->delay_ns += event->delay_ns;
    report->delay_ns += event->delay_ns;
    return 0;
}

static void add_io(struct report *report, const struct gil_event *event)
{
    int op = event->io.op >= 0 && event->io.op < REPORT_OPS ? event->io.op : -1;
    struct report_io *io = &report->io[op + 1];

    if (event->flags & GIL_EVENT_INLINE)
        io->kept++;
    else
        add(&io->blocked, event);
}

static int add_event(struct report *report, const struct gil_event *event)
{
    report->events[event->kind]++;
    if (event->time_ns > report->end_ns)
        report->end_ns = event->time_ns;
    switch (event->kind) {
    case GIL_EVENT_HOLD:
        return add_hold(report, event);
    case GIL_EVENT_WAIT:
        return add_wait(report, event);
    case GIL_EVENT_BLAME:
        return add_blame(report, event);
    case GIL_EVENT_HANDOFF:
        return add_handoff(report, event);
    case GIL_EVENT_IO:
        add_io(report, event);
    }
    return 0;
}

static int on_event(const struct gil_event *event, void *arg)
{
    struct report *report = arg;
    int status = add_event(report, event);

    return status == 0 && report->each ? report->each(report, event, report->each_arg) : status;
}

/* ---- Names ---- */

static int set_name(char **name, const char *to)
{
    char *copy = strdup(to);

    if (!copy)
        return -ENOMEM;
    free(*name);
    *name = copy;
    return 0;
}

static int on_process(const struct record_process *from, void *arg)
{
    struct report_process *process = process_of(arg, from->pid);

    if (!process)
        return errno == ENOMEM ? -ENOMEM : 0;
    process->ns_pid = from->ns_pid;
    return set_name(&process->name, from->name);
}

static int on_thread(const struct record_thread *from, void *arg)
{
    struct report_thread *thread = thread_of(arg, from->pid, from->tid);

    if (!thread)
        return errno == ENOMEM ? -ENOMEM : 0;
    thread->ns_tid = from->ns_tid;
    return set_name(&thread->name, from->name);
}

static int on_function(uint32_t number, const struct tracer_function *from, void *arg)
{
    struct report_function **function = &((struct report *)arg)->functions[number];

    if (!*function && !(*function = calloc(1, sizeof **function)))
        return -ENOMEM;
    (*function)->language = from->language;
    (*function)->line = from->line;
    if (set_name(&(*function)->name, from->name) != 0)
        return -ENOMEM;
    return set_name(&(*function)->file, from->file);
}

static int on_loss(unsigned int loss, const char *name, uint64_t count, void *arg)
{
    struct report *report = arg;

    report->losses[loss].count = count;
    return set_name(&report->losses[loss].name, name);
}

/* ---- All of it ---- */

struct report *report_read(struct record_reader *reader,
                           int (*each)(struct report *, const struct gil_event *, void *),
                           void *arg, int *status)
{
    static const struct record_visitor visitor = {on_process, on_thread, on_function, on_event,
                                                  on_loss};
    struct report *report = calloc(1, sizeof *report);

    *status = -ENOMEM;
    if (report) {
        report->start = *record_reader_start(reader);
        report->each = each;
        report->each_arg = arg;
        *status = record_reader_visit(reader, &visitor, report);
    }
    if (*status == -ENOMEM) {
        report_free(report);
        return NULL;
    }
    report->cut_off = record_reader_end(reader) == 0;
    if (!report->cut_off)
        report->end_ns = record_reader_end(reader);
    return report;
}

void report_free(struct report *report)
{
    if (!report)
        return;
    for (size_t i = 0; i < report->processes.count; i++)
        free(((struct report_process *)report->processes.entries[i])->name);
    for (size_t i = 0; i < report->threads.count; i++)
        free(((struct report_thread *)report->threads.entries[i])->name);
    report_set_free(&report->processes);
    report_set_free(&report->threads);
    report_set_free(&report->places);
    report_set_free(&report->cells);
    for (size_t i = 0; i < RECORD_FUNCTIONS_MAX; i++) {
        if (report->functions[i]) {
            free(report->functions[i]->name);
            free(report->functions[i]->file);
        }
        free(report->functions[i]);
    }
    for (size_t i = 0; i < RECORD_LOSSES_MAX; i++)
        free(report->losses[i].name);
    free(report);
}

uint64_t report_span_ns(const struct report *report)
{
    return report->end_ns > report->start.time_ns ? report->end_ns - report->start.time_ns : 0;
}

uint64_t report_event_count(const struct report *report)
{
    uint64_t count = 0;

    for (int kind = 0; kind < GIL_EVENT_KINDS; kind++)
        count += report->events[kind];
    return count;
}

bool report_is_complete(const struct report *report)
{
    for (size_t i = 0; i < RECORD_LOSSES_MAX; i++)
        if (report->losses[i].count > 0)
            return false;
    return !report->cut_off && report->beyond == 0;
}
