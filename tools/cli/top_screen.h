/* The screen of `gil top`: text on a terminal, redrawn, and keys. Where the build has no ncurses, there
 * is none.
 *
 * Invariant: between open and close standard output belongs to the screen; close gives the terminal
 * back as it was. */
#ifndef GIL_CLI_TOP_SCREEN_H
#define GIL_CLI_TOP_SCREEN_H

#include <stdbool.h>

#ifdef HAVE_NCURSES

/* False: standard output is no terminal, or one that cannot be used. */
bool screen_open(void);

/* Shows as much of the text as there is room for; line `title` (from 0) stands out. */
void screen_show(const char *text, int title);

/* A key that was pressed, 0 if none was. */
int screen_key(void);

void screen_close(void);

#else

static inline bool screen_open(void)
{
    return false;
}

static inline void screen_show(const char *text, int title)
{
    (void)text;
    (void)title;
}

static inline int screen_key(void)
{
    return 0;
}

static inline void screen_close(void)
{
}

#endif
#endif
