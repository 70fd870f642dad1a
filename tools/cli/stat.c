/* gil stat: what the lock did, per thread, as a summary at the end.
 *
 * Invariant: of a process that was there before, what is shown is what happened since; of a command
 * that was started, everything. */
#define _GNU_SOURCE
#include "tools/cli/cli.h"
#include "tools/cli/duration.h"
#include "tools/cli/options.h"
#include "tools/cli/watch.h"

#include "kernel-helpers/clock.h"

#include <inttypes.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: gil stat [OPTION]... -p PID[,PID]...\n"
    "       gil stat [OPTION]... [--] COMMAND [ARGUMENT]...\n"
    "\n"
    "Counts what the interpreter lock does in processes on libgil, and in what they\n"
    "start, and prints it per thread when they end, or on Ctrl-C: how often a thread\n"
    "took the lock, had to wait for it, and was made to drop it; how long it waited,\n"
    "in all and at most; how long it held the lock, as far as holds were timed. It\n"
    "needs no privileges, and stops nothing.\n"
    "\n"
    "  -p PID         watch a process that runs already; several with commas\n"
    "  -d SEC         end after so many seconds; COMMAND goes on\n"
    "  -i SEC         print what happened in each interval, too\n"
    "  --json         a JSON object per thread and line; times are nanoseconds\n"
    "  -h, --help     this text\n"
    "\n"
    "gil stat -- gil run -- python3 job.py    counts for a stock Python on libgil\n"
    "\n"
    "The exit status is COMMAND's. With -p, 0; 1: no such process, 2: wrong usage,\n"
    "3: no process is on libgil, 4: a privilege is missing.\n";

struct stat_options {
    struct pid_list pids;
    int64_t duration_ns, interval_ns; /* 0: none */
    bool json, help;
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse(struct stat_options *options, int argc, char **argv)
{
    int result, status = EXIT_OK;

    opterr = 0;
    while (status == EXIT_OK &&
           (result = getopt_long(argc, argv, "+:p:d:i:h", long_options, NULL)) != -1) {
        switch (result) {
        case 'p':
            status = options_pids("stat", &options->pids, optarg);
            break;
        case 'd':
            status = options_seconds("stat", 'd', &options->duration_ns, optarg);
            break;
        case 'i':
            status = options_seconds("stat", 'i', &options->interval_ns, optarg);
            break;
        case 'j':
            options->json = true;
            break;
        case 'h':
            options->help = true;
            return EXIT_OK;
        default:
            status = complain_option("stat", result, argv, long_options);
        }
    }
    return status ? status : options_one_target("stat", &options->pids, argc - optind);
}

/* ---- What is printed ---- */

struct printing {
    const struct tally *tally;
    bool json;
};

/* Has the row anything to tell? */
static bool is_shown(const struct tally_row *row)
{
    return row->tid || row->stats.acquires || row->stats.threads;
}

static void print_process(const struct watched *process, void *arg)
{
    const struct printing *p = arg;

    if (!process->counters)
        return;
    if (!p->json) {
        printf("process %d %s", process->pid, process->name);
        if (process->ns_pid != process->pid)
            printf(" (%d in its container)", process->ns_pid);
        putchar('\n');
        tally_print_titles(stdout);
    }
    for (size_t i = 0; i < p->tally->count; i++) {
        const struct tally_row *row = &p->tally->rows[i];

        if (row->pid != process->pid || !is_shown(row))
            continue;
        if (p->json)
            tally_print_json(stdout, row);
        else
            tally_print_row(stdout, row);
    }
}

static void print_rows(struct watch *w, const struct tally *tally, bool json)
{
    struct printing p = {tally, json};

    watch_each(w, print_process, &p);
}

/* The distributions of all threads together, and what is not in the table. */
static void print_rest(const struct tally *tally)
{
    struct tally_row sum;

    tally_sum(tally, &sum);
    histogram_print(stdout, "waits", &sum.wait);
    histogram_print(stdout, "hand-offs", &sum.handoff);
    if (sum.stats.io_inline || sum.stats.io_blocked)
        printf("calls: %" PRIu64 " did not block and kept the lock, %" PRIu64
               " were in flight without it\n",
               sum.stats.io_inline, sum.stats.io_blocked);
    if (sum.stats.holds < sum.stats.acquires + sum.stats.deferred_back)
        printf("holds: timed where they began with a wait and ended while others waited\n");
}

static int finish(struct watch *w, struct tally *tally, bool json)
{
    print_rows(w, tally, json);
    if (!json && tally->count)
        print_rest(tally);
    if (tally->failed)
        return complain(EXIT_ERROR, "stat: out of memory");
    return print_text("");
}

/* ---- The course of it ---- */

/* Watches until everything has ended, the time is over, or a signal comes. */
static void run(struct watch *w, const struct stat_options *options, const struct tally *before)
{
    int64_t now = clock_now_ns(),
            end = options->duration_ns ? now + options->duration_ns : INT64_MAX;
    int64_t next = options->interval_ns ? now + options->interval_ns : INT64_MAX;
    struct tally last = {0}, seen = {0}, shown = {0};

    tally_copy(&last, before);
    while (now < end && watch_wait(w)) {
        now = clock_now_ns();
        if (now < next)
            continue;
        next += options->interval_ns;
        watch_read(w, &seen);
        tally_copy(&shown, &seen);
        tally_since(&shown, &last);
        tally_copy(&last, &seen);
        print_rows(w, &shown, options->json);
        if (!options->json)
            putchar('\n');
        fflush(stdout);
        tally_free(&seen);
    }
    tally_free(&shown);
    tally_free(&last);
}

static int watch_and_print(struct watch *w, const struct stat_options *options)
{
    struct tally before = {0}, tally = {0};
    int status;

    if (options->pids.count)
        watch_read(w, &before);
    run(w, options, &before);
    watch_read(w, &tally);
    tally_since(&tally, &before);
    status = finish(w, &tally, options->json);
    if (status == EXIT_OK)
        status = watch_any(w, "stat");
    tally_free(&before);
    tally_free(&tally);
    return watch_status(w) >= 0 ? watch_status(w) : status;
}

int stat_main(int argc, char **argv)
{
    struct stat_options options = {0};
    int status = parse(&options, argc, argv);
    struct watch *w;

    if (status != EXIT_OK)
        return status;
    if (options.help)
        return print_text(help);
    watch_signals(options.pids.count == 0);
    w = watch_new();
    if (!w)
        return complain(EXIT_ERROR, "stat: out of memory");
    for (size_t i = 0; i < options.pids.count && status == EXIT_OK; i++)
        status = watch_process(w, "stat", options.pids.pids[i]);
    if (!options.pids.count)
        status = watch_command(w, "stat", argv + optind);
    else if (status == EXIT_OK)
        status = watch_any(w, "stat");
    if (status == EXIT_OK)
        status = watch_and_print(w, &options);
    watch_free(w);
    return status;
}
