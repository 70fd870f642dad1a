/* gil doctor: what of all that gil can use is there, and what can be watched of a process.
 *
 * Invariant: a line for each; what is missing says why, and what to do. Nothing is changed. */
#include "tools/cli/cli.h"
#include "tools/cli/options.h"
#include "tools/cli/watch.h"

#include "kernel-helpers/features.h"

#include <gil/io.h>
#include <gil/version.h>

#include <stdio.h>

static const char help[] =
    "Usage: gil doctor [-p PID[,PID]...]\n"
    "\n"
    "Says what this kernel and this user's privileges allow gil to do, and, of each\n"
    "process that is named, whether its lock can be watched, and why not.\n"
    "\n"
    "  -p PID         look at this process, too; several with commas\n"
    "  -h, --help     this text\n"
    "\n"
    "The exit status is 0 when all that gil can use is there, 4 when something is\n"
    "missing; 1: no such process, 2: wrong usage.\n";

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse(struct pid_list *pids, int argc, char **argv, bool *wants_help)
{
    int result, status = EXIT_OK;

    opterr = 0;
    while (status == EXIT_OK &&
           (result = getopt_long(argc, argv, "+:p:h", long_options, NULL)) != -1) {
        if (result == 'p')
            status = options_pids("doctor", pids, optarg);
        else if (result == 'h')
            *wants_help = true;
        else
            status = complain_option("doctor", result, argv, long_options);
    }
    if (status == EXIT_OK && optind < argc)
        status = complain(EXIT_USAGE, "doctor: unknown argument '%s' (see 'gil doctor --help')",
                          argv[optind]);
    return status;
}

static int print_line(bool there, const char *name, const char *about)
{
    printf("%-4s %-20s %s\n", there ? "ok" : "no", name, about);
    return there ? EXIT_OK : EXIT_MISSING;
}

static int print_features(void)
{
    struct feature features[FEATURES];
    gil_io_reason io = gil_io_status();
    int status = print_line(io == GIL_IO_URING, "io_uring", gil_io_reason_text(io));

    features_check(features);
    for (int i = 0; i < FEATURES; i++)
        if (print_line(features[i].there, features[i].name, features[i].about) != EXIT_OK)
            status = EXIT_MISSING;
    return status;
}

static void print_process(const struct watched *process, void *arg)
{
    int *status = arg;
    char title[32], about[256];

    snprintf(title, sizeof title, "process %d", process->pid);
    snprintf(about, sizeof about, "%s: %s", process->name,
             process->counters ? "on libgil, and has counters" : process->why_not);
    if (print_line(process->counters, title, about) != EXIT_OK)
        *status = EXIT_MISSING;
}

static int print_processes(const struct pid_list *pids)
{
    struct watch *w = watch_new();
    int status = w ? EXIT_OK : complain(EXIT_ERROR, "doctor: out of memory");

    for (size_t i = 0; i < pids->count && status == EXIT_OK; i++)
        status = watch_process(w, "doctor", pids->pids[i]);
    if (status == EXIT_OK)
        watch_each(w, print_process, &status);
    watch_free(w);
    return status;
}

int doctor_main(int argc, char **argv)
{
    struct pid_list pids = {.count = 0};
    bool wants_help = false;
    int status = parse(&pids, argc, argv, &wants_help), processes = EXIT_OK, written;

    if (status != EXIT_OK)
        return status;
    if (wants_help)
        return print_text(help);
    printf("gil %s\n", gil_version());
    status = print_features();
    if (pids.count)
        processes = print_processes(&pids);
    written = print_text("");
    return written ? written : processes ? processes : status;
}
