/* See top_screen.h. */
#define _GNU_SOURCE
#include "tools/cli/top_screen.h"

#ifdef HAVE_NCURSES

#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static SCREEN *screen;

bool screen_open(void)
{
    const char *terminal = getenv("TERM");

    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || !terminal || !*terminal)
        return false;
    setlocale(LC_ALL, "");
    screen = newterm(NULL, stdout, stdin); /* initscr() would end the process */
    if (!screen)
        return false;
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    curs_set(0);
    return true;
}

void screen_show(const char *text, int title)
{
    erase();
    for (int line = 0; *text && line < LINES; line++) {
        int length = (int)strcspn(text, "\n");

        if (line == title)
            attron(A_REVERSE);
        mvaddnstr(line, 0, text, length);
        attroff(A_REVERSE);
        text += length + (text[length] != 0);
    }
    refresh();
}

int screen_key(void)
{
    int key = getch();

    return key == ERR ? 0 : key;
}

void screen_close(void)
{
    if (!screen)
        return;
    endwin();
    delscreen(screen);
    screen = NULL;
}

#endif
