/* Finding the drop-in library, and LD_PRELOAD: see preload.h. */
#define _GNU_SOURCE

#include "tools/cli/preload.h"
#include "tools/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DROPIN "libgil-python3.11.so"

/* The two places where a build and an installation have the drop-in, from the executable's folder.
 */
static const char *const places[] = {DROPIN, "../lib/gil/" DROPIN};

/* The folder of this executable, as the kernel names it. Returns 0, or -1 with errno. */
static int executable_folder(char *folder, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", folder, size);

    if (length < 0)
        return -1;
    if ((size_t)length >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    folder[length] = 0;
    *strrchr(folder, '/') = 0;
    return 0;
}

bool preload_find(char *path, size_t size)
{
    char folder[PATH_MAX];

    if (executable_folder(folder, sizeof folder) != 0)
        return false;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, size, "%s/%s", folder, places[i]);
        if (access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* The drop-in's full name, in memory that is never freed, or NULL after a complaint. */
static char *find_dropin(void)
{
    char folder[PATH_MAX], path[PATH_MAX + 64], *found;

    if (executable_folder(folder, sizeof folder) != 0) {
        complain(EXIT_ERROR, "run: cannot find out where gil is installed: /proc/self/exe: %s",
                 strerror(errno));
        return NULL;
    }
    if (preload_find(path, sizeof path) && (found = realpath(path, NULL)))
        return found;
    complain(EXIT_ERROR,
             "run: no %s in %s or %s/../lib/gil; install libpython3.11-dev, then make "
             "(and make install) again",
             DROPIN, folder, folder);
    return NULL;
}

/* Does the list, in which blanks and colons separate entries, have this one already? */
static int has_entry(const char *list, const char *entry)
{
    size_t length = strlen(entry);

    while (*list) {
        size_t word = strcspn(list, " :");

        if (word == length && memcmp(list, entry, length) == 0)
            return 1;
        list += word + (list[word] != 0);
    }
    return 0;
}

int preload_dropin(void)
{
    const char *before = getenv("LD_PRELOAD");
    char *dropin = find_dropin(), *list;

    if (!dropin)
        return -1;
    if (strpbrk(dropin, " :")) {
        complain(EXIT_ERROR,
                 "run: LD_PRELOAD cannot name %s: it has a space or a colon in it; build or "
                 "install libgil below a folder without",
                 dropin);
        return -1;
    }
    if (!before || !*before) {
        list = dropin;
    } else if (has_entry(before, dropin)) {
        return 0;
    } else if (asprintf(&list, "%s:%s", before, dropin) < 0) {
        complain(EXIT_ERROR, "run: out of memory");
        return -1;
    }
    if (setenv("LD_PRELOAD", list, 1) != 0) {
        complain(EXIT_ERROR, "run: cannot set LD_PRELOAD: %s", strerror(errno));
        return -1;
    }
    return 0;
}
