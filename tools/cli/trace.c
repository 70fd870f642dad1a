/* gil trace: events as lines, as they come. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-helpers/clock.h"
#include "tools/cli/cli.h"
#include "tools/cli/duration.h"
#include "tools/cli/session.h"
#include "tools/cli/text.h"

static const char help[] =
    "Usage: gil trace [OPTION]... -p PID[,PID]...\n"
    "       gil trace [OPTION]... [--] COMMAND [ARGUMENT]...\n"
    "\n"
    "Prints a line for each thing that happens to the lock: when it was over, the\n"
    "thread, what, how long it took, where in the program, and the other thread.\n"
    "\n"
    "  -p, --pid PID             processes that run already; children are followed\n"
    "  -t, --thread TID          of this thread only\n"
    "      --kind KIND[,KIND]... hold, wait, swap, handoff, io (default: all)\n"
    "      --min-duration TIME   nothing shorter, such as 10us\n"
    "  -d, --duration SEC        stop after so long\n"
    "      --tier TIER           of a CPython that is not on libgil: sample,\n"
    "                            contention (default) or full; see gil record\n"
    "      --strict              exit 5 if anything was lost\n"
    "  -h, --help                this text\n"
    "\n"
    "The exit status is that of gil record.\n";

enum { OPT_TIER = 256, OPT_STRICT, OPT_KIND, OPT_MIN };

static const struct option long_options[] = {
    {"pid", required_argument, NULL, 'p'},
    {"thread", required_argument, NULL, 't'},
    {"kind", required_argument, NULL, OPT_KIND},
    {"min-duration", required_argument, NULL, OPT_MIN},
    {"duration", required_argument, NULL, 'd'},
    {"tier", required_argument, NULL, OPT_TIER},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char *const kind_names[] = {
    [GIL_EVENT_HOLD] = "hold",       [GIL_EVENT_WAIT] = "wait", [GIL_EVENT_SWAP] = "swap",
    [GIL_EVENT_HANDOFF] = "handoff", [GIL_EVENT_IO] = "io",
};

struct tracing {
    struct session session;
    bool help;
    int64_t began;
};

/* ---- Lines ---- */

static void print_place(struct tracing *tr, const struct gil_place *place)
{
    const struct tracer_function *f = tracer_function(tr->session.tracer, place->function);

    if (!f)
        return;
    printf("  %s", f->name);
    if (place->line)
        printf(" (%s:%u)", f->file, place->line);
    else
        printf(" (%s)", f->file);
}

static void print_rest(struct tracing *tr, const struct gil_event *e)
{
    char time[DURATION_TEXT];

    print_place(tr, &e->place);
    switch (e->kind) {
    case GIL_EVENT_HOLD:
        if (e->flags & GIL_EVENT_PARTIAL)
            printf("  partial");
        if (e->flags & GIL_EVENT_FORCED)
            printf("  forced");
        if (e->flags & GIL_EVENT_SAMPLE)
            printf("  sample");
        break;
    case GIL_EVENT_WAIT:
        if (e->other)
            printf("  for %u", e->other);
        print_place(tr, &e->other_place);
        break;
    case GIL_EVENT_HANDOFF:
        printf("  from %u", e->other);
        if (e->delay_ns)
            printf("  no processor for %s", duration_format(time, e->delay_ns, 0));
        break;
    case GIL_EVENT_SWAP:
        printf("  %" PRIx64 " -> %" PRIx64, (uint64_t)e->swap.from, (uint64_t)e->swap.to);
        break;
    case GIL_EVENT_IO:
        printf("  op %d fd %d = %" PRId64, e->io.op, e->io.fd, (int64_t)e->io.result);
        break;
    }
}

static void on_event(const struct gil_event *e, void *arg)
{
    struct tracing *tr = arg;
    char time[DURATION_TEXT];

    printf("%12.6f %7u %-7s %s", (double)((int64_t)e->time_ns - tr->began) / (double)NS_PER_S,
           e->tid, kind_names[e->kind], duration_format(time, e->duration_ns, 9));
    print_rest(tr, e);
    putchar('\n');
}

/* A closed pipe ends the tracing. */
static int tick(void *arg)
{
    (void)arg;
    return print_text("");
}

/* ---- The command line ---- */

static int set_kinds(struct session *s, const char *text)
{
    s->options.kinds = 0;
    for (;;) {
        size_t length = strcspn(text, ","), i = 0, count = sizeof kind_names / sizeof *kind_names;

        while (i < count &&
               (strlen(kind_names[i]) != length || strncmp(kind_names[i], text, length) != 0))
            i++;
        if (i == count)
            return complain(EXIT_USAGE,
                            "trace: no kind '%.*s': it is hold, wait, swap, handoff or io",
                            (int)length, text);
        s->options.kinds |= 1u << i;
        if (!text[length])
            return EXIT_OK;
        text += length + 1;
    }
}

static int set_min(struct session *s, const char *text)
{
    int64_t ns;

    if (duration_parse(text, &ns) != 0)
        return complain(EXIT_USAGE,
                        "trace: no time '%s': it is a number and ns, us, ms or s, such as 10us",
                        text);
    s->options.duration_min_ns = (uint64_t)ns;
    return EXIT_OK;
}

static int set_thread(struct session *s, const char *text)
{
    struct pid_list one = {.count = 0};
    int status = options_pids("trace", &one, text);

    s->options.tid = one.pids[0];
    return status;
}

static int parse(struct tracing *tr, int argc, char **argv)
{
    struct session *s = &tr->session;
    int result, status = EXIT_OK;

    opterr = 0;
    while (status == EXIT_OK &&
           (result = getopt_long(argc, argv, "+:p:t:d:h", long_options, NULL)) != -1) {
        switch (result) {
        case 'p':
            status = options_pids("trace", &s->pids, optarg);
            break;
        case 't':
            status = set_thread(s, optarg);
            break;
        case 'd':
            status = options_seconds("trace", 'd', &s->duration_ns, optarg);
            break;
        case OPT_KIND:
            status = set_kinds(s, optarg);
            break;
        case OPT_MIN:
            status = set_min(s, optarg);
            break;
        case OPT_TIER:
            status = session_tier(s, optarg);
            break;
        case OPT_STRICT:
            s->strict = true;
            break;
        case 'h':
            tr->help = true;
            return EXIT_OK;
        default:
            status = complain_option("trace", result, argv, long_options);
        }
    }
    return status == EXIT_OK ? session_target(s, argc - optind, argv + optind) : status;
}

int trace_main(int argc, char **argv)
{
    struct tracing tr = {
        .session = {.subcommand = "trace",
                    .tick = tick,
                    .options = {.kinds = (1u << GIL_EVENT_BLAME) - 1, .on_event = on_event}},
    };
    int status = parse(&tr, argc, argv);

    if (status != EXIT_OK)
        return status;
    if (tr.help)
        return print_text(help);
    tr.session.options.arg = &tr;
    tr.began = clock_now_ns();
    status = session_open(&tr.session);
    if (status == EXIT_OK)
        status = session_run(&tr.session);
    if (tr.session.started)
        status = session_summary(&tr.session, status);
    session_close(&tr.session);
    return status;
}
