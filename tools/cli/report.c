/* gil report: prints what gil record has written, in one of several forms.
 *
 * Invariant: a file that was cut off is reported as far as it goes, and one line says so; of a
 * damaged one what comes before the damage is printed, and the exit status is 1. */
#include "tools/cli/cli.h"
#include "tools/cli/report_forms.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_DEFAULT 10
#define ROWS_MAX     1000000

static const char help[] =
    "Usage: gil report [OPTION]... [FILE]\n"
    "\n"
    "Prints what gil record has written to FILE (gil.record; -: standard input): who\n"
    "held the lock, who waited for it, and which functions made others wait.\n"
    "\n"
    "  -n N                  rows of each table (default: 10)\n"
    "  --json                a JSON object a line, with a \"type\": recording, process,\n"
    "                        thread, place, io, loss; times in nanoseconds\n"
    "  --folded[=held|blame] a line for each process, thread, function and line, with\n"
    "                        its time in nanoseconds, as flame graphs are made of:\n"
    "                        time that the lock was held (default), or that others\n"
    "                        waited for whoever held it\n"
    "  --svg                 both as flame graphs, in one SVG document\n"
    "  --trace               Chrome's trace format, for ui.perfetto.dev: holds,\n"
    "                        waits, hand-offs, swaps and I/O of each thread\n"
    "  --strict              exit 5 if anything was lost, or the record was cut off\n"
    "  -h, --help            this text\n"
    "\n"
    "Exit status: 0; 1: FILE cannot be read or is damaged, or another error; 2:\n"
    "wrong usage; 5: data were lost (--strict).\n";

enum form { FORM_TEXT, FORM_JSON, FORM_FOLDED, FORM_SVG, FORM_TRACE };

struct report_options {
    const char *file;
    enum form form;
    enum report_order folded;
    size_t rows;
    bool strict, help;
};

enum { OPT_JSON = 256, OPT_FOLDED, OPT_SVG, OPT_TRACE, OPT_STRICT };

static const struct option long_options[] = {
    {"json", no_argument, NULL, OPT_JSON},
    {"folded", optional_argument, NULL, OPT_FOLDED},
    {"svg", no_argument, NULL, OPT_SVG},
    {"trace", no_argument, NULL, OPT_TRACE},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int set_form(struct report_options *options, enum form form)
{
    if (options->form != FORM_TEXT && options->form != form)
        return complain(EXIT_USAGE, "report: one of --json, --folded, --svg and --trace at a time");
    options->form = form;
    return EXIT_OK;
}

static int set_folded(struct report_options *options, const char *text)
{
    if (!text || strcmp(text, "held") == 0)
        options->folded = REPORT_BY_HOLD;
    else if (strcmp(text, "blame") == 0)
        options->folded = REPORT_BY_BLAME;
    else
        return complain(EXIT_USAGE, "report: no --folded=%s: it is held or blame", text);
    return set_form(options, FORM_FOLDED);
}

static int set_rows(struct report_options *options, const char *text)
{
    char *end;
    unsigned long rows = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || rows == 0 || rows > ROWS_MAX)
        return complain(EXIT_USAGE, "report: -n is from 1 to %d, and not '%s'", ROWS_MAX, text);
    options->rows = rows;
    return EXIT_OK;
}

/* Returns EXIT_OK, or the status to exit with. */
static int parse(struct report_options *options, int argc, char **argv)
{
    int result, status = EXIT_OK;

    opterr = 0;
    while (status == EXIT_OK &&
           (result = getopt_long(argc, argv, "+:n:h", long_options, NULL)) != -1) {
        switch (result) {
        case 'n':
            status = set_rows(options, optarg);
            break;
        case OPT_JSON:
            status = set_form(options, FORM_JSON);
            break;
        case OPT_FOLDED:
            status = set_folded(options, optarg);
            break;
        case OPT_SVG:
            status = set_form(options, FORM_SVG);
            break;
        case OPT_TRACE:
            status = set_form(options, FORM_TRACE);
            break;
        case OPT_STRICT:
            options->strict = true;
            break;
        case 'h':
            options->help = true;
            return EXIT_OK;
        default:
            status = complain_option("report", result, argv, long_options);
        }
    }
    if (status == EXIT_OK && argc - optind > 1)
        status = complain(EXIT_USAGE, "report: one FILE at a time (see 'gil report --help')");
    if (status == EXIT_OK && optind < argc)
        options->file = argv[optind];
    return status;
}

static bool print_form(const struct report_options *options, const struct report *report)
{
    switch (options->form) {
    case FORM_JSON:
        return report_json(stdout, report);
    case FORM_FOLDED:
        return report_folded(stdout, report, options->folded);
    case FORM_SVG:
        return report_svg(stdout, report, options->file);
    case FORM_TRACE:
        return true; /* was printed while it was read */
    case FORM_TEXT:
        break;
    }
    return report_text(stdout, report, options->file, options->rows);
}

/* An empty graph would look like a fault of the tool. */
static bool nothing_to_fold(const struct report_options *options, const struct report *report)
{
    return options->form == FORM_FOLDED && options->folded == REPORT_BY_HOLD &&
           report->events[GIL_EVENT_HOLD] == 0 && report->events[GIL_EVENT_WAIT] > 0;
}

/* What is said about the record after the report itself, and the exit status. */
static int judge(const struct report_options *options, const struct record_reader *reader,
                 const struct report *report, int status)
{
    if (status != 0)
        return complain(EXIT_ERROR, "report: %s", record_reader_why(reader));
    if (report->cut_off)
        complain(EXIT_OK, "report: %s was cut off: the report goes as far as byte %" PRIu64,
                 options->file, record_reader_bytes(reader));
    if (options->strict && !report_is_complete(report))
        return report->cut_off
                   ? EXIT_LOST
                   : complain(EXIT_LOST, "report: %s: data were lost (--strict)", options->file);
    return EXIT_OK;
}

static int print_report(const struct report_options *options, struct record_reader *reader)
{
    int status, printed;
    struct report *report = options->form == FORM_TRACE ? report_trace(stdout, reader, &status)
                                                        : report_read(reader, NULL, NULL, &status);

    if (!report)
        return complain(EXIT_ERROR, "report: out of memory");
    if (nothing_to_fold(options, report)) {
        report_free(report);
        return complain(EXIT_ERROR, "report: %s has no holds, only waits: see --folded=blame",
                        options->file);
    }
    if (!print_form(options, report)) {
        report_free(report);
        return complain(EXIT_ERROR, "report: out of memory");
    }
    printed = print_text("");
    status = printed == EXIT_OK ? judge(options, reader, report, status) : printed;
    report_free(report);
    return status;
}

int report_main(int argc, char **argv)
{
    struct report_options options = {.file = RECORD_FILE_NAME, .rows = ROWS_DEFAULT};
    int status = parse(&options, argc, argv);
    struct record_reader *reader;

    if (status != EXIT_OK)
        return status;
    if (options.help)
        return print_text(help);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error that can be told */
    if (record_reader_open(&reader, options.file) != 0)
        status = complain(EXIT_ERROR, "report: %s", record_reader_why(reader));
    else
        status = print_report(&options, reader);
    record_reader_close(reader);
    return status;
}
