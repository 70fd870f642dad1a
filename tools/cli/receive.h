/* Taking the pages of counters that processes send of themselves (lib/statspage.c), and starting a
 * command that does.
 *
 * Invariant: what arrives is a memory file that nobody can make shorter, or it is refused. */
#ifndef GIL_CLI_RECEIVE_H
#define GIL_CLI_RECEIVE_H

#include <sys/types.h>

/* Listens, and sets the variable of the environment by which processes that are started from now on
 * know where. Returns the socket, or -1 with errno. */
int receive_open(void);

/* Takes one page: a descriptor, and the number of the process that sent it. -1: there is none now. */
int receive_page(int socket, pid_t *from);

/* Starts a command. Returns its number, or a negative errno when it could not be started. */
pid_t receive_start(char **argv);

#endif
