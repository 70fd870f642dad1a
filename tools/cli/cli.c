/* Messages of the `gil` command: see cli.h. */
#include "tools/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int complain(int status, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fputs("gil: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}

int complain_option(const char *command, int result, char **argv, const struct option *options)
{
    const char *word = argv[optind - 1];

    if (result == ':')
        return complain(EXIT_USAGE, "%s: option %s needs a value (see 'gil %s --help')", command,
                        word, command);
    /* getopt leaves 0 in optopt for a long option that it does not know. */
    if (optopt == 0)
        return complain(EXIT_USAGE, "%s: unknown option %.*s (see 'gil %s --help')", command,
                        (int)strcspn(word, "="), word, command);
    for (const struct option *option = options; option->name; option++)
        if (option->val == optopt)
            return complain(EXIT_USAGE, "%s: option --%s takes no value (see 'gil %s --help')",
                            command, option->name, command);
    return complain(EXIT_USAGE, "%s: unknown option -%c (see 'gil %s --help')", command, optopt,
                    command);
}

int print_text(const char *text)
{
    fputs(text, stdout);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_OK;
    return complain(EXIT_ERROR, "cannot write to standard output: %s", strerror(errno));
}
