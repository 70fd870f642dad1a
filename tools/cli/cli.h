/* What the subcommands of `gil` share: the table entry, exit statuses, and how they complain.
 *
 * Invariant: a complaint is one line on standard error, says what was wrong and what to do, and is
 * followed by an exit with one of the statuses below. */
#ifndef GIL_CLI_H
#define GIL_CLI_H

#include <getopt.h>

/* Exit statuses of the command itself; `gil run` otherwise ends with the command's own. */
enum {
    EXIT_OK = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_SUPPORTED = 3,
    EXIT_MISSING = 4,      /* a privilege, or something that the kernel does not offer */
    EXIT_LOST = 5,         /* data was lost, and --strict was given */
    EXIT_CANNOT_RUN = 126, /* as a shell has it: COMMAND is there but cannot be run */
    EXIT_NOT_FOUND = 127,  /* as a shell has it: there is no such COMMAND */
};

/* A subcommand. main gets the arguments from its own name on, as if it were a program. */
struct command {
    const char *name;
    const char *summary; /* for the list in gil --help */
    int (*main)(int argc, char **argv);
};

int run_main(int argc, char **argv);
int record_main(int argc, char **argv);
int trace_main(int argc, char **argv);
int report_main(int argc, char **argv);

/* Prints "gil: " and the message as one line; returns status, for `return complain(…)`. */
int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For the '?' and ':' of getopt_long (with opterr 0 and an option string that begins with "+:"):
 * says which option was wrong in which command. Returns EXIT_USAGE. */
int complain_option(const char *command, int result, char **argv, const struct option *options);

/* Prints text to standard output. Returns EXIT_OK, or EXIT_ERROR when it could not be written. */
int print_text(const char *text);

#endif
