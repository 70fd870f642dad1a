/* The processes that `gil stat` and `gil top` watch through their counters: those that were named,
 * the command that was started, and what these start.
 *
 * The command, and whatever it starts, sends its page as soon as it has one (GIL_STATS_TO, see
 * lib/statspage.c), so that nothing is missed however soon it ends. For processes that were there
 * before, /proc is looked at: a child that lives for less than a tenth of a second may be missed.
 *
 * Invariant: a process's pages stay open, and can be read, when it has ended. Nothing is done to
 * the processes. */
#ifndef GIL_CLI_WATCH_H
#define GIL_CLI_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "tools/cli/tally.h"

struct watch;

/* NULL when memory is short. */
struct watch *watch_new(void);

/* From now on SIGTERM and Ctrl-C end the watching, instead of this process; where there is a command,
 * Ctrl-C is for that, and what it does about it decides. */
void watch_signals(bool command);

/* Watches a process and its children. Returns 0, or an exit status after a complaint that begins
 * with the name of the subcommand. A process without counters is watched, too. */
int watch_process(struct watch *w, const char *subcommand, pid_t pid);

/* Once all processes have been named: EXIT_OK when one of them, or of their children, has counters;
 * otherwise a complaint, and EXIT_NOT_SUPPORTED. */
int watch_any(struct watch *w, const char *subcommand);

/* Starts a command and watches it. Returns as watch_process() does. */
int watch_command(struct watch *w, const char *subcommand, char **argv);

/* Waits for a tenth of a second at most, follows children and takes what is sent. False: everything
 * that was watched has ended, or a signal has come. */
bool watch_wait(struct watch *w);

/* Adds up the counters of all processes, as of now; finished. */
void watch_read(struct watch *w, struct tally *tally);

/* Calls fn for each process, in order of their numbers. */
struct watched {
    pid_t pid, ns_pid;
    const char *name;
    bool counters; /* it has a page that could be read */
    const char *why_not;
};
void watch_each(struct watch *w, void (*fn)(const struct watched *process, void *arg), void *arg);

/* The exit status of the command, as a shell has it; -1 while it runs, or if there is none. */
int watch_status(const struct watch *w);

/* Frees everything; the processes go on. */
void watch_free(struct watch *w);

#endif
