/* gil report --trace: see report_forms.h. Each thread is a track with its holds, waits, hand-offs and
 * I/O, and a mark where it changed its thread state; each lock of a process is a track that says who
 * had it.
 *
 * Invariant: slices of a track do not overlap by halves, which viewers cannot show: one that begins
 * within another, as far as clocks tell, begins at its end instead. */
#include "tools/cli/report_forms.h"
#include "tools/cli/opname.h"
#include "tools/cli/text.h"

#include <errno.h>
#include <inttypes.h>

#define TRACKS_MAX 65536
#define LOCK_TRACK 1000000000 /* tracks of locks are numbered from here: no thread is */

struct track {
    uint64_t key;
    pid_t pid;
    uint64_t id, lock;       /* LOCK_TRACK and more, and its address; of a thread: tid, and 0 */
    uint64_t from_ns, to_ns; /* its last slice */
};

struct trace {
    FILE *out;
    const char *comma; /* before the next event */
    struct report_set threads, locks;
};

/* The track of a thread; of a lock, unless that is 0. NULL as report_set_entry() has it. */
static struct track *track_of(struct trace *trace, const struct gil_event *event, uint64_t lock)
{
    /* Addresses are the same in many processes. */
    uint64_t key = lock ? lock ^ event->pid * UINT64_C(0x9e3779b97f4a7c15)
                        : (uint64_t)event->pid << 32 | event->tid;
    struct report_set *set = lock ? &trace->locks : &trace->threads;
    bool is_new;
    struct track *track = report_set_entry(set, key, sizeof *track, TRACKS_MAX, &is_new);

    if (is_new) {
        track->pid = (pid_t)event->pid;
        track->lock = lock;
        track->id = lock ? LOCK_TRACK + set->count - 1 : event->tid;
    }
    return track;
}

/* Nanoseconds as the microseconds that the format has. */
static void print_time(FILE *out, const char *name, uint64_t ns)
{
    fprintf(out, ",\"%s\":%" PRIu64 ".%03u", name, ns / 1000, (unsigned int)(ns % 1000));
}

static void print_begin(struct trace *trace, const char *phase, const struct track *track)
{
    fprintf(trace->out, "%s\n{\"ph\":\"%s\",\"pid\":%d,\"tid\":%" PRIu64, trace->comma, phase,
            (int)track->pid, track->id);
    trace->comma = ",";
}

static void print_name(FILE *out, const char *category, const char *name)
{
    fprintf(out, ",\"cat\":\"%s\",\"name\":", category);
    text_json(out, name);
}

/* Begins a slice for the event, as long as it took, after the start of the recording. */
static void print_slice(struct trace *trace, const struct report *report, struct track *track,
                        const struct gil_event *event)
{
    uint64_t zero = report->start.time_ns;
    uint64_t to = event->time_ns > zero ? event->time_ns - zero : 0;
    uint64_t from = to > event->duration_ns ? to - event->duration_ns : 0;

    if (from > track->from_ns && from < track->to_ns)
        from = track->to_ns < to ? track->to_ns : to;
    track->from_ns = from;
    track->to_ns = to;
    print_begin(trace, "X", track);
    print_time(trace->out, "ts", from);
    print_time(trace->out, "dur", to - from);
}

static void print_place(FILE *out, const struct report *report, const struct gil_place *place)
{
    const struct report_function *function = report->functions[place->function];

    if (function) {
        fputs("\"function\":", out);
        text_json(out, function->name);
        fputs(",\"file\":", out);
        text_json(out, function->file);
        fputc(',', out);
    }
    fprintf(out, "\"line\":%" PRIu32, place->line);
}

static const char *place_name(const struct report *report, const struct gil_place *place)
{
    const struct report_function *function = report->functions[place->function];

    return function ? function->name : "?";
}

/* A hold is on the track of its thread, by function, and on that of the lock, by thread. */
static int trace_hold(struct trace *trace, const struct report *report, struct track *thread,
                      const struct gil_event *event)
{
    struct track *lock = track_of(trace, event, event->lock ? event->lock : 1);
    char name[32];

    print_slice(trace, report, thread, event);
    print_name(trace->out, "hold", place_name(report, &event->place));
    fputs(",\"args\":{", trace->out);
    print_place(trace->out, report, &event->place);
    fprintf(trace->out, ",\"forced\":%s}}", event->flags & GIL_EVENT_FORCED ? "true" : "false");
    if (!lock)
        return errno == ENOMEM ? -ENOMEM : 0;
    print_slice(trace, report, lock, event);
    snprintf(name, sizeof name, "thread %" PRIu32, event->tid);
    print_name(trace->out, "lock", name);
    fputc('}', trace->out);
    return 0;
}

static void trace_wait(struct trace *trace, const struct report *report, struct track *thread,
                       const struct gil_event *event)
{
    print_slice(trace, report, thread, event);
    print_name(trace->out, "wait", "wait for the lock");
    fputs(",\"args\":{", trace->out);
    print_place(trace->out, report, &event->place);
    if (event->other != 0) {
        fprintf(trace->out, ",\"holder\":{\"tid\":%" PRIu32 ",", event->other);
        print_place(trace->out, report, &event->other_place);
        fputc('}', trace->out);
    }
    fputs("}}", trace->out);
}

static void trace_handoff(struct trace *trace, const struct report *report, struct track *thread,
                          const struct gil_event *event)
{
    print_slice(trace, report, thread, event);
    print_name(trace->out, "handoff", "hand-off");
    fprintf(trace->out, ",\"args\":{\"from\":%" PRIu32 ",\"delay_ns\":%" PRIu64 "}}", event->other,
            (uint64_t)event->delay_ns);
}

static void trace_io(struct trace *trace, const struct report *report, struct track *thread,
                     const struct gil_event *event)
{
    print_slice(trace, report, thread, event);
    print_name(trace->out, "io", op_name(event->io.op));
    fprintf(trace->out, ",\"args\":{\"fd\":%d,\"result\":%" PRId64 ",\"kept_lock\":%s}}",
            event->io.fd, (int64_t)event->io.result,
            event->flags & GIL_EVENT_INLINE ? "true" : "false");
}

static void trace_swap(struct trace *trace, const struct report *report, const struct track *thread,
                       const struct gil_event *event)
{
    uint64_t zero = report->start.time_ns;

    print_begin(trace, "i", thread);
    print_time(trace->out, "ts", event->time_ns > zero ? event->time_ns - zero : 0);
    print_name(trace->out, "swap", "swap");
    fprintf(trace->out,
            ",\"s\":\"t\",\"args\":{\"from\":\"0x%" PRIx64 "\",\"to\":\"0x%" PRIx64 "\"}}",
            (uint64_t)event->swap.from, (uint64_t)event->swap.to);
}

static int trace_event(struct report *report, const struct gil_event *event, void *arg)
{
    struct trace *trace = arg;
    struct track *thread = track_of(trace, event, 0);

    if (!thread)
        return errno == ENOMEM ? -ENOMEM : 0;
    switch (event->kind) {
    case GIL_EVENT_HOLD:
        return trace_hold(trace, report, thread, event);
    case GIL_EVENT_WAIT:
        trace_wait(trace, report, thread, event);
        break;
    case GIL_EVENT_HANDOFF:
        trace_handoff(trace, report, thread, event);
        break;
    case GIL_EVENT_IO:
        trace_io(trace, report, thread, event);
        break;
    case GIL_EVENT_SWAP:
        trace_swap(trace, report, thread, event);
    }
    return 0;
}

/* What a process, or a track, is called: metadata, which may stand anywhere. */
static void print_metadata(struct trace *trace, const struct track *track, const char *what,
                           const char *name)
{
    print_begin(trace, "M", track);
    fprintf(trace->out, ",\"name\":\"%s\",\"args\":{\"name\":", what);
    text_json(trace->out, name);
    fputs("}}", trace->out);
}

static void print_names(struct trace *trace, const struct report *report)
{
    for (size_t i = 0; i < report->processes.count; i++) {
        const struct report_process *process = report->processes.entries[i];

        print_metadata(trace, &(struct track){.pid = process->pid, .id = (uint64_t)process->pid},
                       "process_name", report_process_name(process));
    }
    for (size_t i = 0; i < report->threads.count; i++) {
        const struct report_thread *thread = report->threads.entries[i];

        print_metadata(trace,
                       &(struct track){.pid = thread->process->pid, .id = (uint64_t)thread->tid},
                       "thread_name", report_thread_name(thread));
    }
    for (size_t i = 0; i < trace->locks.count; i++) {
        const struct track *track = trace->locks.entries[i];
        char name[32];

        snprintf(name, sizeof name, "lock 0x%" PRIx64, track->lock);
        print_metadata(trace, track, "thread_name", name);
    }
}

struct report *report_trace(FILE *out, struct record_reader *reader, int *status)
{
    struct trace trace = {.out = out, .comma = ""};
    struct report *report;

    fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", out);
    report = report_read(reader, trace_event, &trace, status);
    if (report)
        print_names(&trace, report);
    fputs("\n]}\n", out);
    report_set_free(&trace.threads);
    report_set_free(&trace.locks);
    return report;
}
