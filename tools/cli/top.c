/* gil top: what the lock does in each thread, live.
 *
 * Invariant: what is shown is what has happened since it was shown before. On a terminal it is one
 * screen; otherwise, text that is repeated. */
#define _GNU_SOURCE
#include "tools/cli/cli.h"
#include "tools/cli/duration.h"
#include "tools/cli/options.h"
#include "tools/cli/text.h"
#include "tools/cli/top_screen.h"
#include "tools/cli/watch.h"

#include "kernel-helpers/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: gil top [OPTION]... -p PID[,PID]...\n"
    "       gil top [OPTION]... [--] COMMAND [ARGUMENT]...\n"
    "\n"
    "Shows what the interpreter lock does in processes on libgil, and in what they\n"
    "start, a line per thread: how often a second it takes the lock, waits for it and\n"
    "is made to drop it; which part of the time it waits, and holds the lock, as far\n"
    "as holds are timed. It needs no privileges, and stops nothing.\n"
    "\n"
    "  -p PID         watch a process that runs already; several with commas\n"
    "  -i SEC         how often to show it (default: 1)\n"
    "  -d SEC         end after so many seconds; COMMAND goes on\n"
    "  -h, --help     this text\n"
    "\n"
    "Keys: a, w, f, t, h sort by acquisitions, waits, forced drops, time waited,\n"
    "time held; p by process and thread; q quits. Where standard output is no\n"
    "terminal, the lines are printed again and again.\n"
    "\n"
    "The exit status is COMMAND's. With -p, 0; 1: no such process, 2: wrong usage,\n"
    "3: no process is on libgil, 4: a privilege is missing.\n";

enum { TITLE_LINE = 1 };

struct top {
    struct pid_list pids;
    int64_t interval_ns, duration_ns; /* duration 0: no end */
    bool help, screen;
    int order; /* the key that chose it */
    struct tally last;
    int64_t last_ns;
};

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse(struct top *top, int argc, char **argv)
{
    int result, status = EXIT_OK;

    opterr = 0;
    while (status == EXIT_OK &&
           (result = getopt_long(argc, argv, "+:p:i:d:h", long_options, NULL)) != -1) {
        switch (result) {
        case 'p':
            status = options_pids("top", &top->pids, optarg);
            break;
        case 'i':
            status = options_seconds("top", 'i', &top->interval_ns, optarg);
            break;
        case 'd':
            status = options_seconds("top", 'd', &top->duration_ns, optarg);
            break;
        case 'h':
            top->help = true;
            return EXIT_OK;
        default:
            status = complain_option("top", result, argv, long_options);
        }
    }
    return status ? status : options_one_target("top", &top->pids, argc - optind);
}

/* ---- Order ---- */

static int order_key; /* qsort has no argument for it */

static uint64_t weight(const struct tally_row *row)
{
    switch (order_key) {
    case 'a':
        return row->stats.acquires;
    case 'w':
        return row->stats.contended;
    case 'f':
        return row->stats.forced;
    case 'h':
        return row->stats.hold_ns;
    case 't':
        return row->stats.wait_ns;
    default:
        return 0;
    }
}

static int by_weight(const void *a, const void *b)
{
    const struct tally_row *x = a, *y = b;

    if (weight(x) != weight(y))
        return weight(x) > weight(y) ? -1 : 1;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    return (x->tid > y->tid) - (x->tid < y->tid);
}

/* ---- Text ---- */

static void print_row(FILE *out, const struct tally_row *row, double seconds)
{
    const gil_thread_stats *s = &row->stats;
    char longest[DURATION_TEXT], tid[16] = "-", hold[16] = "-";

    if (row->tid)
        snprintf(tid, sizeof tid, "%d", row->tid);
    if (s->holds)
        snprintf(hold, sizeof hold, "%.1f", (double)s->hold_ns / seconds / 1e7);
    fprintf(out, "%7d %7s ", row->pid, tid);
    text_column(out, row->name[0] ? row->name : row->tid ? "-" : "(ended)", 12);
    fprintf(out, " %9.0f %8.0f %8.0f %6.1f %8s %6s\n", (double)s->acquires / seconds,
            (double)s->contended / seconds, (double)s->forced / seconds,
            (double)s->wait_ns / seconds / 1e7,
            row->max_known[TALLY_WAIT] ? duration_format(longest, s->wait_max_ns, 8) : "-", hold);
}

static void print_text_of(FILE *out, struct top *top, struct tally *now, double seconds)
{
    struct tally_row sum;
    char p50[DURATION_TEXT], p99[DURATION_TEXT];

    tally_sum(now, &sum);
    fprintf(out, "%zu threads, %.0f hand-overs/s; hand-off p50 %s, p99 %s\n", now->count,
            (double)sum.stats.handovers / seconds,
            duration_format(p50, histogram_percentile(&sum.handoff, 500), 0),
            duration_format(p99, histogram_percentile(&sum.handoff, 990), 0));
    fprintf(out, "%7s %7s %-12s %9s %8s %8s %6s %8s %6s\n", "PID", "TID", "NAME", "ACQUIRE/s",
            "WAIT/s", "FORCED/s", "WAIT%", "LONGEST", "HOLD%");
    order_key = top->order;
    if (now->count)
        qsort(now->rows, now->count, sizeof *now->rows, by_weight);
    for (size_t i = 0; i < now->count; i++)
        if (now->rows[i].tid || now->rows[i].stats.acquires)
            print_row(out, &now->rows[i], seconds);
}

/* Shows what has happened since the last time. */
static int show(struct top *top, struct watch *w, int64_t now_ns)
{
    struct tally now = {0}, seen = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = top->screen ? open_memstream(&text, &size) : stdout;

    if (!out)
        return complain(EXIT_ERROR, "top: out of memory");
    watch_read(w, &now);
    tally_copy(&seen, &now);
    tally_since(&now, &top->last);
    print_text_of(out, top, &now, (double)(now_ns - top->last_ns) / 1e9);
    tally_free(&now);
    tally_free(&top->last);
    top->last = seen;
    top->last_ns = now_ns;
    if (!top->screen) {
        putchar('\n');
        return print_text("");
    }
    fclose(out);
    screen_show(text, TITLE_LINE);
    free(text);
    return EXIT_OK;
}

/* ---- The course of it ---- */

static int run(struct top *top, struct watch *w)
{
    int64_t now = clock_now_ns(), next = now + top->interval_ns;
    int64_t end = top->duration_ns ? now + top->duration_ns : INT64_MAX;
    int status = EXIT_OK;

    top->last_ns = now;
    if (top->pids.count)
        watch_read(w, &top->last);
    while (status == EXIT_OK && now < end && watch_wait(w)) {
        int key = top->screen ? screen_key() : 0;

        now = clock_now_ns();
        if (key == 'q')
            break;
        if (key && strchr("awfthp", key))
            top->order = key;
        if (now >= next) {
            status = show(top, w, now);
            next = now + top->interval_ns;
        }
    }
    return status;
}

int top_main(int argc, char **argv)
{
    struct top top = {.interval_ns = NS_PER_S, .order = 't'};
    int status = parse(&top, argc, argv);
    struct watch *w;

    if (status != EXIT_OK)
        return status;
    if (top.help)
        return print_text(help);
    watch_signals(top.pids.count == 0);
    w = watch_new();
    if (!w)
        return complain(EXIT_ERROR, "top: out of memory");
    for (size_t i = 0; i < top.pids.count && status == EXIT_OK; i++)
        status = watch_process(w, "top", top.pids.pids[i]);
    if (!top.pids.count)
        status = watch_command(w, "top", argv + optind);
    else if (status == EXIT_OK)
        status = watch_any(w, "top");
    if (status == EXIT_OK) {
        top.screen = screen_open();
        status = run(&top, w);
        screen_close();
    }
    if (status == EXIT_OK)
        status = watch_any(w, "top");
    if (status == EXIT_OK && watch_status(w) >= 0)
        status = watch_status(w);
    tally_free(&top.last);
    watch_free(w);
    return status;
}
