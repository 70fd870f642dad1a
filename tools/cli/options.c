/* See options.h. */
#include "tools/cli/options.h"
#include "tools/cli/cli.h"
#include "tools/cli/duration.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define SECONDS_MAX 1e8 /* three years */

int options_pids(const char *subcommand, struct pid_list *list, const char *text)
{
    for (const char *at = text;; at++) {
        char *end;
        long pid;

        errno = 0;
        pid = strtol(at, &end, 10);
        if (*at < '0' || *at > '9' || errno || pid <= 0 || pid > INT_MAX || (*end && *end != ','))
            return complain(EXIT_USAGE, "%s: no process '%s': -p takes numbers, as in -p 12,345",
                            subcommand, text);
        if (list->count == OPTIONS_PIDS_MAX)
            return complain(EXIT_USAGE, "%s: more than %d processes", subcommand, OPTIONS_PIDS_MAX);
        list->pids[list->count++] = (pid_t)pid;
        if (!*end)
            return EXIT_OK;
        at = end;
    }
}

int options_seconds(const char *subcommand, char option, int64_t *ns, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !(seconds > 0) || seconds > SECONDS_MAX)
        return complain(EXIT_USAGE, "%s: no time '%s': -%c takes seconds, as in -%c 0.5",
                        subcommand, text, option, option);
    *ns = (int64_t)(seconds * (double)NS_PER_S);
    return EXIT_OK;
}

int options_one_target(const char *subcommand, const struct pid_list *list, int command_count)
{
    if (!list->count && command_count <= 0)
        return complain(EXIT_USAGE, "%s: -p PID or a COMMAND is needed (see 'gil %s --help')",
                        subcommand, subcommand);
    if (list->count && command_count > 0)
        return complain(EXIT_USAGE, "%s: either -p PID or a COMMAND, not both", subcommand);
    return EXIT_OK;
}
