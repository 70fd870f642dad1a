/* What `gil record` and `gil trace` share: a tracer that runs until it is told to stop.
 *
 * Invariant: however a session ends, everything is detached, and what was lost is printed. */
#ifndef GIL_CLI_SESSION_H
#define GIL_CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/cli/options.h"
#include "tools/cli/tracer.h"

struct session {
    const char *subcommand;
    struct tracer_options options; /* pids and command are filled in by session_target() */
    struct pid_list pids;
    int64_t duration_ns; /* 0: until all processes have ended */
    bool strict;         /* data that was lost is an error */
    bool started;        /* by session_run(): it has attached */
    struct tracer *tracer;

    /* Called about five times a second, and once more at the end. May be NULL. Anything but EXIT_OK
     * ends the session with that status. */
    int (*tick)(void *arg);
};

/* --tier TIER. */
int session_tier(struct session *s, const char *text);

/* After the options: -p, or the `count` words of a command. */
int session_target(struct session *s, int count, char **words);

/* Loads the programs, and starts the command, which waits. Returns an exit status. */
int session_open(struct session *s);

/* Attaches, and traces until it is over: Ctrl-C, the time, or the end of all processes. Returns an
 * exit status: that of the command, if there is one and nothing else went wrong. */
int session_run(struct session *s);

/* Prints what was lost and what it cost to standard error. Returns EXIT_LOST if something was lost
 * that is an error, else `status`. */
int session_summary(struct session *s, int status);

void session_close(struct session *s);

#endif
