/* The drop-in library: where it is, and how a program is made to load it.
 *
 * Invariant: what the user has in LD_PRELOAD stays, unchanged and in front of ours. */
#ifndef GIL_CLI_PRELOAD_H
#define GIL_CLI_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>

/* Adds the drop-in that belongs to this executable to LD_PRELOAD, once. Returns 0, or complains and
 * returns -1: it was not found, or its name cannot stand in LD_PRELOAD. */
int preload_dropin(void);

/* Writes the drop-in's name; false if it is not there. Says nothing. */
bool preload_find(char *path, size_t size);

#endif
