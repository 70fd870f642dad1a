/* gil report as text: see report_forms.h. */
#include "tools/cli/report_forms.h"
#include "tools/cli/duration.h"
#include "tools/cli/opname.h"
#include "tools/cli/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define WHERE_COLUMNS 41

static const char *const tier_names[] = {"contention", "sample", "full"};

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_head(FILE *out, const struct report *report, const char *name)
{
    char span[DURATION_TEXT], when[64] = "";
    time_t seconds = (time_t)(report->start.wall_ns / NS_PER_S);
    struct tm tm;

    if (localtime_r(&seconds, &tm))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    fprintf(out, "%s: %s from %s, %" PRIu64 " events (%s, %s)\n", name,
            duration_format(span, report_span_ns(report), 0), when, report_event_count(report),
            tier_names[report->start.tier], report->start.machine);
}

static void print_processes(FILE *out, const struct report *report, size_t rows)
{
    size_t left = rows;

    for (size_t i = 0; i < report->processes.count; i++) {
        const struct report_process *process = report->processes.entries[i];

        if (left-- == 0) {
            fprintf(out, "  and %zu more processes\n", report->processes.count - rows);
            return;
        }
        fprintf(out, "  process %d", (int)process->pid);
        if (process->ns_pid != 0 && process->ns_pid != process->pid)
            fprintf(out, " (%d in its container)", (int)process->ns_pid);
        fprintf(out, ": %s, %zu thread%s\n", report_process_name(process), process->threads,
                process->threads == 1 ? "" : "s");
    }
}

/* A duration that may not be known: "-" then. */
static char *known(char text[DURATION_TEXT], bool is_known, uint64_t ns, int width)
{
    if (is_known)
        return duration_format(text, ns, width);
    snprintf(text, DURATION_TEXT, "%*s", width, "-");
    return text;
}

static void print_threads(FILE *out, const struct report *report, struct report_row *rows,
                          size_t count, size_t limit)
{
    bool holds = report->events[GIL_EVENT_HOLD] > 0;

    if (count == 0)
        return;
    fprintf(out, "\n%-15s%8s%8s %9s  share%8s %9s %9s\n", "Thread", "tid", "holds", "held", "waits",
            "waited", "blamed");
    report_rows_sort(rows, count, holds ? REPORT_BY_HOLD : REPORT_BY_WAIT);
    for (size_t i = 0; i < count && i < limit; i++) {
        const struct report_row *row = &rows[i];
        char held[DURATION_TEXT], waited[DURATION_TEXT], blamed[DURATION_TEXT], holds_text[32];

        snprintf(holds_text, sizeof holds_text, "%" PRIu64, row->hold.count);
        text_column(out, report_thread_name(row->thread), 15);
        fprintf(out, "%8d%8s %s ", (int)row->thread->tid, holds ? holds_text : "-",
                known(held, holds, row->hold.sum_ns, 9));
        if (holds)
            fprintf(out, "%5.1f%%", percent(row->hold.sum_ns, report_span_ns(report)));
        else
            fprintf(out, "%6s", "-");
        fprintf(out, "%8" PRIu64 " %s %s\n", row->wait.count,
                duration_format(waited, row->wait.sum_ns, 9),
                duration_format(blamed, row->blame.sum_ns, 9));
    }
    if (count > limit)
        fprintf(out, "  and %zu more\n", count - limit);
}

/* One table of functions. share_of: what all shares are shares of. */
static void print_places(FILE *out, const struct report *report, struct report_row *rows,
                         size_t count, size_t limit, enum report_order order, uint64_t share_of)
{
    static const char *const titles[] = {
        "\nHeld by             share     holds   longest  function and line\n",
        "\nWaited in           share     waits   longest  function and line\n",
        "\nBlamed on           share     waits   longest  function and line\n",
    };
    size_t shown = 0, more = 0;

    report_rows_sort(rows, count, order);
    for (size_t i = 0; i < count; i++) {
        const struct report_sum *sum = report_row_sum(&rows[i], order);
        char label[REPORT_LABEL_MAX], time[DURATION_TEXT], longest[DURATION_TEXT];

        if (sum->count + sum->partial == 0)
            continue;
        if (shown == limit) {
            more++;
            continue;
        }
        if (shown++ == 0)
            fputs(titles[order], out);
        report_label(label, report, rows[i].place, WHERE_COLUMNS);
        fprintf(out, "%s %5.1f%% %9" PRIu64 " %s  ", duration_format(time, sum->sum_ns, 9),
                percent(sum->sum_ns, share_of), sum->count + sum->partial,
                duration_format(longest, sum->max_ns, 9));
        text_cut(out, label, WHERE_COLUMNS);
        putc('\n', out);
    }
    if (more)
        fprintf(out, "  and %zu more\n", more);
}

/* Blocking calls, by operation. */
static void print_io(FILE *out, const struct report *report)
{
    bool is_first = true;

    for (int op = -1; op < REPORT_OPS; op++) {
        const struct report_io *io = &report->io[op + 1];
        char time[DURATION_TEXT], longest[DURATION_TEXT];

        if (io->kept == 0 && io->blocked.count + io->blocked.partial == 0)
            continue;
        if (is_first)
            fprintf(out, "\n%-15s%10s%12s%11s%11s\n", "Call", "kept lock", "blocked", "for",
                    "longest");
        is_first = false;
        fprintf(out, "%-15s%10" PRIu64 "%12" PRIu64 "  %s  %s\n", op_name(op), io->kept,
                io->blocked.count + io->blocked.partial,
                duration_format(time, io->blocked.sum_ns, 9),
                duration_format(longest, io->blocked.max_ns, 9));
    }
}

static void print_histograms(FILE *out, const struct report *report)
{
    const struct {
        const char *title;
        const struct histogram *histogram;
    } all[] = {{"Holds", &report->hold}, {"Waits", &report->wait}, {"Hand-offs", &report->handoff}};
    char delay[DURATION_TEXT];

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].histogram->count > 0)
            putc('\n', out);
        histogram_print(out, all[i].title, all[i].histogram);
    }
    if (report->delay_ns > 0)
        fprintf(out, "Of the hand-offs, %s were spent waiting for a processor.\n",
                duration_format(delay, report->delay_ns, 0));
}

/* What the figures leave out, and how far they are to be believed. */
static void print_notes(FILE *out, const struct report *report)
{
    char unblamed[DURATION_TEXT];
    uint64_t partial = 0;

    for (size_t i = 0; i < report->cells.count; i++) {
        const struct report_cell *cell = report->cells.entries[i];

        partial += cell->hold.partial + cell->wait.partial;
    }
    putc('\n', out);
    if (report->sampled)
        fputs("held: from samples; each counts as a hold\n", out);
    else if (report->events[GIL_EVENT_HOLD] == 0)
        fputs("held: no holds were recorded, only waits and who is to blame\n", out);
    if (partial > 0)
        fprintf(out,
                "partial: %" PRIu64 " began before the recording; they took longer than shown\n",
                partial);
    if (report->unblamed_ns > 0)
        fprintf(out, "not blamed on anybody: %s of the waiting\n",
                duration_format(unblamed, report->unblamed_ns, 0));
    if (report->beyond > 0)
        fprintf(out, "not in the tables, which are full: %" PRIu64 " events\n", report->beyond);
    for (size_t i = 0; i < RECORD_LOSSES_MAX; i++)
        if (report->losses[i].count > 0)
            fprintf(out, "lost: %" PRIu64 " %s\n", report->losses[i].count, report->losses[i].name);
    if (report_is_complete(report))
        fputs("lost: nothing\n", out);
}

bool report_text(FILE *out, const struct report *report, const char *name, size_t rows)
{
    size_t thread_count, place_count;
    struct report_row *threads = report_rows_by_thread(report, &thread_count);
    struct report_row *places = report_rows_by_place(report, &place_count);
    bool done = threads && places;

    if (done) {
        uint64_t waited = 0;

        for (size_t i = 0; i < place_count; i++)
            waited += places[i].wait.sum_ns;
        print_head(out, report, name);
        print_processes(out, report, rows);
        print_threads(out, report, threads, thread_count, rows);
        print_places(out, report, places, place_count, rows, REPORT_BY_HOLD,
                     report_span_ns(report));
        print_places(out, report, places, place_count, rows, REPORT_BY_WAIT, waited);
        print_places(out, report, places, place_count, rows, REPORT_BY_BLAME, waited);
        print_io(out, report);
        print_histograms(out, report);
        print_notes(out, report);
    }
    free(threads);
    free(places);
    return done;
}
