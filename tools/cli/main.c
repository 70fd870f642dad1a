/* The `gil` command: finds the subcommand and hands over to it.
 *
 * Invariant: everything that a subcommand does is in its own file; here is only the table. */
#include "tools/cli/cli.h"

#include <gil/version.h>

#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
    {"run", "run a program with libgil's lock as its interpreter lock", run_main},
    {"record", "record what the lock does, for gil report", record_main},
    {"trace", "print what the lock does, event by event", trace_main},
    {"report", "print what gil record has written", report_main},
};

static const size_t command_count = sizeof commands / sizeof commands[0];

static int print_help(void)
{
    printf("Usage: gil COMMAND [OPTION]... [ARGUMENT]...\n"
           "       gil --help | --version\n"
           "\n"
           "Commands (gil COMMAND --help says more):\n");
    for (size_t i = 0; i < command_count; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    return print_text("");
}

static int print_version(void)
{
    printf("gil %s\n", gil_version());
    return print_text("");
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;

    if (!word)
        return complain(EXIT_USAGE, "no command given (see 'gil --help')");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return print_help();
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return print_version();
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(word, commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    return complain(EXIT_USAGE, "unknown %s '%s' (see 'gil --help')",
                    word[0] == '-' ? "option" : "command", word);
}
