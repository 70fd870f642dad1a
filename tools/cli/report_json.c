/* gil report --json: see report_forms.h. */
#include "tools/cli/report_forms.h"
#include "tools/cli/opname.h"
#include "tools/cli/text.h"

#include <inttypes.h>
#include <stdlib.h>

static void number(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, ",\"%s\":%" PRIu64, name, value);
}

/* What may not be known is null. */
static void number_or_null(FILE *out, const char *name, bool is_known, uint64_t value)
{
    if (is_known)
        number(out, name, value);
    else
        fprintf(out, ",\"%s\":null", name);
}

static void text(FILE *out, const char *name, const char *value)
{
    fprintf(out, ",\"%s\":", name);
    text_json(out, value);
}

/* The sums that rows of threads and of functions have alike. */
static void sums(FILE *out, const struct report *report, const struct report_row *row)
{
    bool holds = report->events[GIL_EVENT_HOLD] > 0;

    number_or_null(out, "holds", holds, row->hold.count);
    number_or_null(out, "hold_ns", holds, row->hold.sum_ns);
    number_or_null(out, "hold_max_ns", holds, row->hold.max_ns);
    number_or_null(out, "hold_partial", holds, row->hold.partial);
    number(out, "waits", row->wait.count);
    number(out, "wait_ns", row->wait.sum_ns);
    number(out, "wait_max_ns", row->wait.max_ns);
    number(out, "wait_partial", row->wait.partial);
    number(out, "blamed_waits", row->blame.count + row->blame.partial);
    number(out, "blame_ns", row->blame.sum_ns);
    number(out, "blame_max_ns", row->blame.max_ns);
}

/* The slots that are not empty: [shortest duration in ns, count]. */
static void slots(FILE *out, const char *name, const struct histogram *h)
{
    const char *comma = "";

    fprintf(out, ",\"%s\":[", name);
    for (unsigned int slot = 0; slot < GIL_SLOTS; slot++) {
        if (h->slots[slot] == 0)
            continue;
        fprintf(out, "%s[%llu,%" PRIu64 "]", comma, (unsigned long long)gil_slot_from(slot),
                h->slots[slot]);
        comma = ",";
    }
    putc(']', out);
}

static void print_recording(FILE *out, const struct report *report)
{
    static const char *const tiers[] = {"contention", "sample", "full"};

    fprintf(out, "{\"type\":\"recording\"");
    number(out, "start_ns", report->start.wall_ns);
    number(out, "duration_ns", report_span_ns(report));
    number(out, "events", report_event_count(report));
    text(out, "tier", tiers[report->start.tier]);
    text(out, "machine", report->start.machine);
    fprintf(out, ",\"cut_off\":%s,\"sampled\":%s", report->cut_off ? "true" : "false",
            report->sampled ? "true" : "false");
    number(out, "swaps", report->events[GIL_EVENT_SWAP]);
    number(out, "handoff_delay_ns", report->delay_ns);
    number(out, "unblamed_ns", report->unblamed_ns);
    number(out, "beyond", report->beyond);
    fputs("}\n", out);
}

static void print_processes(FILE *out, const struct report *report)
{
    for (size_t i = 0; i < report->processes.count; i++) {
        const struct report_process *process = report->processes.entries[i];

        fprintf(out, "{\"type\":\"process\",\"pid\":%d", (int)process->pid);
        number_or_null(out, "ns_pid", process->ns_pid != 0, (uint64_t)process->ns_pid);
        text(out, "name", report_process_name(process));
        number(out, "threads", process->threads);
        fputs("}\n", out);
    }
}

static void print_thread(FILE *out, const struct report *report, const struct report_row *row)
{
    const struct report_thread *thread = row->thread;

    fprintf(out, "{\"type\":\"thread\",\"pid\":%d,\"tid\":%d", (int)thread->process->pid,
            (int)thread->tid);
    number_or_null(out, "ns_tid", thread->ns_tid != 0, (uint64_t)thread->ns_tid);
    text(out, "name", report_thread_name(thread));
    sums(out, report, row);
    number(out, "handoffs", thread->handoff.count);
    number(out, "handoff_ns", thread->handoff.sum_ns);
    number(out, "handoff_max_ns", thread->handoff.max_ns);
    number(out, "handoff_delay_ns", thread->delay_ns);
    slots(out, "hold_histogram", &thread->hold);
    slots(out, "wait_histogram", &thread->wait);
    slots(out, "handoff_histogram", &thread->handoff);
    fputs("}\n", out);
}

static void print_place(FILE *out, const struct report *report, const struct report_row *row)
{
    static const char *const languages[] = {"c", "python", "lua"};
    const struct report_function *function = report_function(report, row->place);
    uint32_t line = report_line(report, row->place);

    fprintf(out, "{\"type\":\"place\",\"language\":");
    if (function) {
        text_json(out, languages[function->language]);
        text(out, "function", function->name);
        text(out, "file", function->file);
    } else {
        fputs("null,\"function\":null,\"file\":null", out);
    }
    number_or_null(out, "line", line != 0, line);
    sums(out, report, row);
    fputs("}\n", out);
}

static void print_io(FILE *out, const struct report *report)
{
    for (int op = -1; op < REPORT_OPS; op++) {
        const struct report_io *io = &report->io[op + 1];

        if (io->kept == 0 && io->blocked.count + io->blocked.partial == 0)
            continue;
        fprintf(out, "{\"type\":\"io\",\"op\":%d", op);
        text(out, "name", op_name(op));
        number(out, "kept", io->kept);
        number(out, "blocked", io->blocked.count);
        number(out, "blocked_ns", io->blocked.sum_ns);
        number(out, "blocked_max_ns", io->blocked.max_ns);
        number(out, "partial", io->blocked.partial);
        fputs("}\n", out);
    }
}

static void print_losses(FILE *out, const struct report *report)
{
    for (unsigned int i = 0; i < RECORD_LOSSES_MAX; i++) {
        if (report->losses[i].count == 0)
            continue;
        fprintf(out, "{\"type\":\"loss\"");
        text(out, "name", report->losses[i].name);
        number(out, "count", report->losses[i].count);
        fputs("}\n", out);
    }
}

bool report_json(FILE *out, const struct report *report)
{
    size_t thread_count, place_count;
    struct report_row *threads = report_rows_by_thread(report, &thread_count);
    struct report_row *places = report_rows_by_place(report, &place_count);
    bool done = threads && places;

    if (done) {
        print_recording(out, report);
        print_processes(out, report);
        for (size_t i = 0; i < thread_count; i++)
            print_thread(out, report, &threads[i]);
        for (size_t i = 0; i < place_count; i++)
            print_place(out, report, &places[i]);
        print_io(out, report);
        print_losses(out, report);
    }
    free(threads);
    free(places);
    return done;
}
