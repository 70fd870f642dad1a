/* Redirects calls of this program itself, whose table of imports is read-only (the makefile links it
 * with -z now), for imports.test. Prints what went wrong, or "ok". */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/python/redirect.c"

static pid_t no_parent(void)
{
    return 0;
}

static uid_t nobody(void)
{
    return 65534;
}

/* Are all pages between these addresses mapped for reading only? */
static bool read_only(uintptr_t from, uintptr_t to)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long start, end;
    bool all = from < to;
    char line[512], rights[8];

    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) == 3 && start < to && end > from)
            all = all && strncmp(rights, "r--", 3) == 0;
    return maps && fclose(maps) == 0 && all;
}

static int say(const char *what)
{
    puts(what);
    return strcmp(what, "ok") != 0;
}

int main(void)
{
    static const struct redirect unknown[] = {{"getppid", (void (*)(void))no_parent},
                                              {"no_such_import", (void (*)(void))no_parent}};
    static const struct redirect known[] = {{"getppid", (void (*)(void))no_parent},
                                            {"getuid", (void (*)(void))nobody}};
    struct search search = {.inside = (uintptr_t)unknown};
    uid_t me = getuid();

    if (!dl_iterate_phdr(look_at_object, &search) || !search.found.readonly)
        return say("this program has no table that is read-only");
    uintptr_t end = search.found.readonly_end & -(uintptr_t)sysconf(_SC_PAGESIZE);
    if (py_redirect(unknown, unknown, 2) || getppid() == 0)
        return say("a name that is not imported: not refused, or something was changed");
    if (!py_redirect(known, known, 2))
        return say("refused");
    if (getppid() != 0 || getuid() != 65534 || geteuid() != me)
        return say("the wrong calls were redirected");
    return say(read_only(search.found.readonly, end) ? "ok" : "the table stays writable");
}
