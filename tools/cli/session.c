/* See session.h. */
#define _GNU_SOURCE
#include "tools/cli/session.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "kernel-helpers/clock.h"
#include "tools/cli/cli.h"
#include "tools/cli/duration.h"

#define TICK_MS 200

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    stopped = signal;
}

/* A Ctrl-C is for the command, too, where there is one: how that ends decides. */
static void catch_signals(bool command)
{
    struct sigaction action = {.sa_handler = stop};

    if (!command)
        sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN;
    if (command)
        sigaction(SIGINT, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
}

int session_tier(struct session *s, const char *text)
{
    static const char *const names[] = {
        [TRACER_CONTENTION] = "contention", [TRACER_SAMPLE] = "sample", [TRACER_FULL] = "full"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            s->options.tier = (enum tracer_tier)i;
            return EXIT_OK;
        }
    }
    return complain(EXIT_USAGE, "%s: no tier '%s': it is sample, contention or full", s->subcommand,
                    text);
}

int session_target(struct session *s, int count, char **words)
{
    s->options.pids = s->pids.pids;
    s->options.pid_count = s->pids.count;
    s->options.command = count > 0 ? words : NULL;
    return options_one_target(s->subcommand, &s->pids, count);
}

static int fails(struct session *s, int error)
{
    int status = tracer_status(error);

    if (s->options.command && (error == -ENOENT || error == -EACCES || error == -ENOTDIR))
        status = error == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
    return complain(status, "%s: %s", s->subcommand, tracer_why(s->tracer));
}

int session_open(struct session *s)
{
    int error = tracer_open(&s->tracer, &s->options);

    return error ? fails(s, error) : EXIT_OK;
}

static int status_of(int wait_status)
{
    if (wait_status < 0)
        return EXIT_OK;
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int session_run(struct session *s)
{
    int64_t end = INT64_MAX, now;
    int error, status = EXIT_OK;
    bool over = false;

    catch_signals(s->options.command != NULL);
    error = tracer_attach(s->tracer);
    if (error)
        return fails(s, error);
    s->started = true;
    now = clock_now_ns();
    if (s->duration_ns)
        end = now + s->duration_ns;
    while (!over && !stopped && now < end && status == EXIT_OK) {
        int64_t left = (end - now) / NS_PER_MS + 1;

        over = tracer_poll(s->tracer, left < TICK_MS ? (int)left : TICK_MS) != 0;
        now = clock_now_ns();
        if (s->tick && !over)
            status = s->tick(s->options.arg);
    }
    tracer_detach(s->tracer);
    if (s->tick && status == EXIT_OK)
        status = s->tick(s->options.arg);
    return status == EXIT_OK ? status_of(tracer_child_status(s->tracer)) : status;
}

static void find_recognised(const struct tracer_process *process, void *any)
{
    *(bool *)any = *(bool *)any || process->recognised;
}

int session_summary(struct session *s, int status)
{
    struct gil_sum cost = tracer_cost(s->tracer);
    char time[DURATION_TEXT];
    bool lost = false, recognised = false;

    tracer_processes(s->tracer, find_recognised, &recognised);
    if (!recognised)
        complain(EXIT_OK,
                 "%s: no lock was found: neither libgil's probes nor the _PyRuntime of a CPython "
                 "3.11 was in any file of the processes",
                 s->subcommand);
    for (int i = 0; i < GIL_LOSSES; i++) {
        uint64_t count = tracer_loss(s->tracer, (enum gil_loss)i);

        if (count == 0)
            continue;
        complain(EXIT_OK, "%s: lost: %" PRIu64 " %s", s->subcommand, count,
                 tracer_loss_name((enum gil_loss)i));
        lost = true;
    }
    complain(EXIT_OK, "%s: cost: %" PRIu64 " hits of probes, about %s of the traced threads' time",
             s->subcommand, (uint64_t)cost.count, duration_format(time, cost.sum_ns, 0));
    return lost && s->strict && status == EXIT_OK ? EXIT_LOST : status;
}

void session_close(struct session *s)
{
    tracer_close(s->tracer);
    s->tracer = NULL;
}
