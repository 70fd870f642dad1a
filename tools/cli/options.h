/* Options that several subcommands have: which processes, for how long.
 *
 * Invariant: functions return EXIT_OK, or complain, in the name of the subcommand, and return
 * EXIT_USAGE. */
#ifndef GIL_CLI_OPTIONS_H
#define GIL_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { OPTIONS_PIDS_MAX = 64 };

struct pid_list {
    pid_t pids[OPTIONS_PIDS_MAX];
    size_t count;
};

/* -p PID: adds the numbers in the text, with commas between them. */
int options_pids(const char *subcommand, struct pid_list *list, const char *text);

/* -d SEC, -i SEC: a number of seconds, above 0, with decimals if need be. */
int options_seconds(const char *subcommand, char option, int64_t *ns, const char *text);

/* Exactly one of -p and a command (command_count words) has to be there. */
int options_one_target(const char *subcommand, const struct pid_list *list, int command_count);

#endif
