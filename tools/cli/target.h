/* Can a program be made to load the drop-in library at all?
 *
 * Invariant: only looks. A file that cannot be found or read is left to exec to complain about. */
#ifndef GIL_CLI_TARGET_H
#define GIL_CLI_TARGET_H

/* Why COMMAND, looked up as execvp does and followed through #! lines, ignores LD_PRELOAD, as the
 * end of a sentence that begins with its name ("is statically linked"); NULL if it does not, or if
 * unknown. */
const char *target_unfit(const char *command);

#endif
