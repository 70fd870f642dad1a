/* gil record: what a tracer tells, written into a file (record_file.h) as it comes.
 *
 * Invariant: what was written is complete up to the last tick, a fifth of a second ago at most,
 * whatever happens to this process. Nothing is left behind if the tracing cannot begin. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernel-helpers/clock.h"
#include "tools/cli/cli.h"
#include "tools/cli/duration.h"
#include "tools/cli/record_file.h"
#include "tools/cli/session.h"

static const char help[] =
    "Usage: gil record [OPTION]... -p PID[,PID]...\n"
    "       gil record [OPTION]... [--] COMMAND [ARGUMENT]...\n"
    "\n"
    "Records who has the lock, who waits for it and whom that is to blame on, of\n"
    "processes on libgil and of an unmodified CPython 3.11, for gil report.\n"
    "\n"
    "  -p, --pid PID       processes that run already; their children are followed\n"
    "  -o, --output FILE   where to (default: " RECORD_FILE_NAME "); -: standard output. A file\n"
    "                      that exists is not overwritten\n"
    "  -d, --duration SEC  stop after so long (default: when all processes have\n"
    "                      ended, or at Ctrl-C)\n"
    "      --tier TIER     how much to look at in a CPython that is not on libgil:\n"
    "                      sample (99 times a second), contention (waits; default),\n"
    "                      full (each hold, which costs the most)\n"
    "      --buffer KB     of the buffer between kernel and recorder (default: 4096)\n"
    "      --strict        exit 5 if anything was lost\n"
    "  -h, --help          this text\n"
    "\n"
    "What was lost, and about what the recording has cost, is printed at the end.\n"
    "The exit status is COMMAND's; 2: wrong usage, 3: no lock that gil knows, 4: a\n"
    "privilege or a feature of the kernel is missing, 1: another error.\n";

enum { OPT_TIER = 256, OPT_STRICT, OPT_BUFFER };

static const struct option long_options[] = {
    {"pid", required_argument, NULL, 'p'},
    {"output", required_argument, NULL, 'o'},
    {"duration", required_argument, NULL, 'd'},
    {"tier", required_argument, NULL, OPT_TIER},
    {"buffer", required_argument, NULL, OPT_BUFFER},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct recording {
    struct session session;
    const char *path;
    bool help;
    struct record_writer *writer;
    int error; /* of the writer; the rest is not recorded then */
    uint64_t events;
    size_t processes, threads; /* how many were written so far */
    size_t nth;                /* counts through those of the tracer */
    bool all;
};

/* ---- What comes ---- */

static void keep_error(struct recording *r, int error)
{
    if (!r->error)
        r->error = error;
}

static void on_event(const struct gil_event *event, void *arg)
{
    struct recording *r = arg;

    keep_error(r, record_write_event(r->writer, event));
    r->events++;
}

static void on_function(uint32_t number, void *arg)
{
    struct recording *r = arg;

    keep_error(
        r, record_write_function(r->writer, number, tracer_function(r->session.tracer, number)));
}

static void on_process(const struct tracer_process *process, void *arg)
{
    struct recording *r = arg;

    if (r->nth++ >= r->processes || r->all)
        keep_error(r, record_write_process(
                          r->writer,
                          &(struct record_process){process->pid, process->ns_pid, process->name}));
}

static void on_thread(const struct gil_thread *thread, void *arg)
{
    struct recording *r = arg;
    char name[sizeof thread->name + 1] = "";

    memcpy(name, thread->name, sizeof thread->name);
    if (r->nth++ >= r->threads || r->all)
        keep_error(r, record_write_thread(
                          r->writer, &(struct record_thread){(pid_t)thread->pid, (pid_t)thread->tid,
                                                             (pid_t)thread->ns_tid, name}));
}

/* What is new is written, and handed to the kernel. */
static int tick(void *arg)
{
    struct recording *r = arg;

    r->nth = 0;
    tracer_processes(r->session.tracer, on_process, r);
    r->processes = r->nth;
    r->nth = 0;
    tracer_threads(r->session.tracer, on_thread, r);
    r->threads = r->nth;
    for (int i = 0; i < GIL_LOSSES; i++) {
        uint64_t count = tracer_loss(r->session.tracer, (enum gil_loss)i);

        if (count)
            keep_error(r, record_write_loss(r->writer, (unsigned int)i,
                                            tracer_loss_name((enum gil_loss)i), count));
    }
    keep_error(r, record_writer_flush(r->writer));
    if (r->error)
        return complain(EXIT_ERROR, "record: %s", record_writer_why(r->writer));
    return EXIT_OK;
}

/* ---- From beginning to end ---- */

static int open_file(struct recording *r)
{
    struct timespec wall;
    struct record_start start = {.time_ns = (uint64_t)clock_now_ns(),
                                 .tier = r->session.options.tier};

    clock_gettime(CLOCK_REALTIME, &wall);
    start.wall_ns = (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec;
    if (record_writer_open(&r->writer, r->path, &start) != 0)
        return complain(EXIT_ERROR, "record: %s", record_writer_why(r->writer));
    return EXIT_OK;
}

static int finish(struct recording *r, int status)
{
    r->all = true; /* names may have changed */
    if (tick(r) != EXIT_OK)
        return EXIT_ERROR;
    if (record_writer_finish(r->writer, (uint64_t)clock_now_ns()) != 0)
        return complain(EXIT_ERROR, "record: %s", record_writer_why(r->writer));
    complain(EXIT_OK, "record: %" PRIu64 " events, %" PRIu64 " bytes in %s", r->events,
             record_writer_bytes(r->writer), r->path);
    return session_summary(&r->session, status);
}

static int record(struct recording *r)
{
    int status = session_open(&r->session);

    if (status != EXIT_OK)
        return status;
    status = open_file(r);
    if (status != EXIT_OK)
        return status;
    status = session_run(&r->session);
    if (r->session.started)
        return r->error ? EXIT_ERROR : finish(r, status);
    if (strcmp(r->path, "-") != 0)
        unlink(r->path);
    return status;
}

/* ---- The command line ---- */

static int set_buffer(struct session *s, const char *text)
{
    char *end;
    unsigned long kb = strtoul(text, &end, 10);

    if (*end || end == text || kb < 4 || kb > 1048576 || (kb & (kb - 1)))
        return complain(EXIT_USAGE, "record: no buffer '%s': it is a power of two of KB, from 4",
                        text);
    s->options.buffer_bytes = kb * 1024;
    return EXIT_OK;
}

static int parse(struct recording *r, int argc, char **argv)
{
    struct session *s = &r->session;
    int result, status = EXIT_OK;

    opterr = 0;
    while (status == EXIT_OK &&
           (result = getopt_long(argc, argv, "+:p:o:d:h", long_options, NULL)) != -1) {
        switch (result) {
        case 'p':
            status = options_pids("record", &s->pids, optarg);
            break;
        case 'o':
            r->path = optarg;
            break;
        case 'd':
            status = options_seconds("record", 'd', &s->duration_ns, optarg);
            break;
        case OPT_TIER:
            status = session_tier(s, optarg);
            break;
        case OPT_BUFFER:
            status = set_buffer(s, optarg);
            break;
        case OPT_STRICT:
            s->strict = true;
            break;
        case 'h':
            r->help = true;
            return EXIT_OK;
        default:
            status = complain_option("record", result, argv, long_options);
        }
    }
    return status == EXIT_OK ? session_target(s, argc - optind, argv + optind) : status;
}

int record_main(int argc, char **argv)
{
    struct recording r = {
        .path = RECORD_FILE_NAME,
        .session = {.subcommand = "record",
                    .tick = tick,
                    .options = {.kinds = (1u << GIL_EVENT_KINDS) - 1,
                                .on_event = on_event,
                                .on_function = on_function}},
    };
    int status = parse(&r, argc, argv);

    r.session.options.arg = &r;
    if (status != EXIT_OK)
        return status;
    if (r.help)
        return print_text(help);
    status = record(&r);
    record_writer_close(r.writer);
    session_close(&r.session);
    return status;
}
