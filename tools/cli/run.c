/* gil run: replaces itself with COMMAND, which loads the drop-in library.
 *
 * Invariant: nothing is run unless the whole command line was understood and the drop-in is there.
 * COMMAND takes over this very process, so its status and the signals it gets are its own; its
 * environment differs only in LD_PRELOAD and the GIL_ variables below, which are set from the
 * options alone: one that stands in the environment already, from a `gil run` further out, does
 * not outlive this one. */
#define _GNU_SOURCE

#include "tools/cli/cli.h"
#include "tools/cli/duration.h"
#include "tools/cli/preload.h"
#include "tools/cli/target.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_MIN_NS NS_PER_US
#define INTERVAL_MAX_NS (10 * NS_PER_S)

static const char help[] =
    "Usage: gil run [OPTION]... [--] COMMAND [ARGUMENT]...\n"
    "\n"
    "Runs COMMAND, and every program that it starts, with libgil's lock in place of\n"
    "CPython 3.11's. Programs that are not CPython 3.11 run as they are.\n"
    "\n"
    "  --policy fair|fifo  who is next: the thread that has had the lock for the\n"
    "                      least time (default), or the one that waited longest\n"
    "  --interval TIME     the switch interval to start with, 1us to 10s; units ns,\n"
    "                      us, ms, s (default: the interpreter's own, 5ms)\n"
    "  --io auto|uring|syscall  what a thread waits in when recv, recvmsg, accept or\n"
    "                      read has to wait. auto (default): libc's function, since\n"
    "                      threads may be cancelled there, and a ring is no faster\n"
    "                      for one call; uring: an io_uring of the thread's own, if\n"
    "                      it has cancellation off; syscall: libc's function always.\n"
    "                      All other calls wait in libc's functions. Programs that\n"
    "                      call libgil themselves use io_uring unless it is syscall\n"
    "  --stats[=FILE]      at exit, print what the lock did, per thread, to standard\n"
    "                      error, or to FILE.PID for each process\n"
    "  --strict            exit 3 if COMMAND is not an interpreter that libgil knows\n"
    "  --no-inherit        programs that COMMAND starts run without libgil\n"
    "  -h, --help          this text\n"
    "\n"
    "The exit status is COMMAND's; 2: wrong usage, 126: COMMAND cannot be run,\n"
    "127: COMMAND not found, 1: another error.\n";

struct run_options {
    const char *policy;  /* NULL: the drop-in's default */
    const char *io;      /* NULL: auto */
    const char *stats;   /* NULL: none, "-": standard error, else a file name */
    int64_t interval_ns; /* 0: the interpreter's own */
    bool strict;
    bool no_inherit;
    bool help;
};

enum { OPT_POLICY = 256, OPT_INTERVAL, OPT_IO, OPT_STATS, OPT_STRICT, OPT_NO_INHERIT };

static const struct option long_options[] = {
    {"policy", required_argument, NULL, OPT_POLICY},
    {"interval", required_argument, NULL, OPT_INTERVAL},
    {"io", required_argument, NULL, OPT_IO},
    {"stats", optional_argument, NULL, OPT_STATS},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"no-inherit", no_argument, NULL, OPT_NO_INHERIT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int set_policy(struct run_options *options, const char *text)
{
    if (strcmp(text, "fair") != 0 && strcmp(text, "fifo") != 0)
        return complain(EXIT_USAGE, "run: no policy '%s': it is fair or fifo", text);
    options->policy = text;
    return EXIT_OK;
}

static int set_interval(struct run_options *options, const char *text)
{
    if (duration_parse(text, &options->interval_ns) != 0)
        return complain(EXIT_USAGE,
                        "run: no interval '%s': it is a number and ns, us, ms or s, such as 5ms",
                        text);
    if (options->interval_ns < INTERVAL_MIN_NS || options->interval_ns > INTERVAL_MAX_NS)
        return complain(EXIT_USAGE, "run: interval %s is out of range: 1us to 10s", text);
    return EXIT_OK;
}

static int set_io(struct run_options *options, const char *text)
{
    if (strcmp(text, "auto") != 0 && strcmp(text, "uring") != 0 && strcmp(text, "syscall") != 0)
        return complain(EXIT_USAGE, "run: no way of waiting '%s': it is auto, uring or syscall",
                        text);
    options->io = text;
    return EXIT_OK;
}

/* Turns the file name into one that still means the same after COMMAND has changed its folder, and
 * finds out now, not when COMMAND has ended, that nothing can be written there. */
static int set_stats(struct run_options *options, const char *file)
{
    char folder[PATH_MAX], *path, *slash;

    if (!file || strcmp(file, "-") == 0) {
        options->stats = "-";
        return EXIT_OK;
    }
    if (!*file)
        return complain(EXIT_USAGE, "run: --stats= needs the name of a file after the =");
    if (*file == '/')
        folder[0] = 0;
    else if (!getcwd(folder, sizeof folder))
        return complain(EXIT_ERROR, "run: --stats: cannot name the current folder: %s",
                        strerror(errno));
    if (asprintf(&path, "%s%s%s", folder, *file == '/' ? "" : "/", file) < 0)
        return complain(EXIT_ERROR, "run: out of memory");

    slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    if (access(folder, W_OK | X_OK) != 0)
        return complain(EXIT_ERROR, "run: --stats: cannot write a file in %s: %s", folder,
                        strerror(errno));
    options->stats = path;
    return EXIT_OK;
}

/* Returns EXIT_OK with optind at COMMAND, or the status to exit with. */
static int parse(struct run_options *options, int argc, char **argv)
{
    int result, status = EXIT_OK;

    opterr = 0;
    while (status == EXIT_OK &&
           (result = getopt_long(argc, argv, "+:h", long_options, NULL)) != -1) {
        switch (result) {
        case OPT_POLICY:
            status = set_policy(options, optarg);
            break;
        case OPT_INTERVAL:
            status = set_interval(options, optarg);
            break;
        case OPT_IO:
            status = set_io(options, optarg);
            break;
        case OPT_STATS:
            status = set_stats(options, optarg);
            break;
        case OPT_STRICT:
            options->strict = true;
            break;
        case OPT_NO_INHERIT:
            options->no_inherit = true;
            break;
        case 'h':
            options->help = true;
            return EXIT_OK;
        default:
            status = complain_option("run", result, argv, long_options);
        }
    }
    if (status == EXIT_OK && optind == argc)
        status = complain(EXIT_USAGE, "run: no command to run (see 'gil run --help')");
    return status;
}

/* Sets the variable, or removes it when value is NULL. */
static bool put(const char *name, const char *value)
{
    return (value ? setenv(name, value, 1) : unsetenv(name)) == 0;
}

static bool put_number(const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64, value);
    return put(name, value ? text : NULL);
}

/* What the drop-in library reads when a process starts. */
static bool put_environment(const struct run_options *options)
{
    return put("GIL_POLICY", options->policy) &&
           put_number("GIL_INTERVAL_NS", options->interval_ns) && put("GIL_IO", options->io) &&
           put("GIL_STATS", options->stats) && put("GIL_STRICT", options->strict ? "1" : NULL) &&
           put("GIL_NO_INHERIT", options->no_inherit ? "1" : NULL) &&
           put_number("GIL_COMMAND_PID", getpid());
}

int run_main(int argc, char **argv)
{
    struct run_options options = {0};
    int status = parse(&options, argc, argv);
    const char *unfit;

    if (status != EXIT_OK)
        return status;
    if (options.help)
        return print_text(help);
    unfit = target_unfit(argv[optind]);
    if (unfit && options.strict)
        return complain(EXIT_NOT_SUPPORTED, "%s %s: not run (--strict)", argv[optind], unfit);
    if (unfit)
        complain(EXIT_OK, "%s %s: it runs with its own locks", argv[optind], unfit);
    else if (preload_dropin() != 0)
        return EXIT_ERROR;
    if (!put_environment(&options))
        return complain(EXIT_ERROR, "run: cannot set the environment: %s", strerror(errno));

    execvp(argv[optind], argv + optind);
    status = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
    return complain(status, "run: cannot run '%s': %s", argv[optind], strerror(errno));
}
