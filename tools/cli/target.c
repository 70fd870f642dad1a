/* See target.h. */
#define _GNU_SOURCE
#include "tools/cli/target.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOADER              "/lib64/ld-linux-x86-64.so.2" /* of glibc, on x86-64 */
#define SCRIPTS             4 /* a #! line may name a script, as the kernel allows */
#define PROGRAM_HEADERS_MAX 64

/* Opens COMMAND as execvp would find it. Returns -1 if it does not. */
static int open_command(const char *command)
{
    const char *path = getenv("PATH");
    char name[PATH_MAX];

    if (strchr(command, '/'))
        return open(command, O_RDONLY | O_CLOEXEC);
    for (const char *at = path ? path : "/bin:/usr/bin"; at; at = strchr(at, ':')) {
        at += *at == ':';
        snprintf(name, sizeof name, "%.*s/%s", (int)strcspn(at, ":"), *at && *at != ':' ? at : ".",
                 command);
        if (access(name, X_OK) == 0)
            return open(name, O_RDONLY | O_CLOEXEC);
    }
    return -1;
}

/* The interpreter of a #! line, in place; NULL if there is none. */
static char *script_interpreter(char *line)
{
    char *name;

    if (strncmp(line, "#!", 2) != 0)
        return NULL;
    name = line + 2 + strspn(line + 2, " \t");
    name[strcspn(name, " \t\n")] = '\0';
    return name;
}

static const char *elf_unfit(int fd, const Elf64_Ehdr *elf)
{
    Elf64_Phdr headers[PROGRAM_HEADERS_MAX];
    size_t count = elf->e_phnum < PROGRAM_HEADERS_MAX ? elf->e_phnum : PROGRAM_HEADERS_MAX;
    char loader[sizeof LOADER] = "";

    if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != EM_X86_64)
        return "is not an x86-64 program";
    if (pread(fd, headers, count * sizeof *headers, (off_t)elf->e_phoff) !=
        (ssize_t)(count * sizeof *headers))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type != PT_INTERP)
            continue;
        if (headers[i].p_filesz == sizeof LOADER &&
            pread(fd, loader, sizeof loader, (off_t)headers[i].p_offset) == sizeof loader &&
            memcmp(loader, LOADER, sizeof LOADER) == 0)
            return NULL;
        return "does not use glibc";
    }
    return "is statically linked";
}

static bool set_user_id(int fd)
{
    struct stat about;

    return fstat(fd, &about) == 0 && (about.st_mode & S_ISUID) && about.st_uid != getuid();
}

const char *target_unfit(const char *command)
{
    union {
        char line[256];
        Elf64_Ehdr elf;
    } start;
    char next[sizeof start.line];

    for (int i = 0; i < SCRIPTS; i++) {
        int fd = open_command(command);
        ssize_t got = fd < 0 ? -1 : read(fd, &start, sizeof start - 1);
        const char *why = NULL;
        char *script;

        if (got > 0)
            start.line[got] = '\0';
        if (got >= (ssize_t)sizeof start.elf && memcmp(start.line, ELFMAG, SELFMAG) == 0)
            why = set_user_id(fd) ? "is set-user-ID" : elf_unfit(fd, &start.elf);
        script = got > 0 ? script_interpreter(start.line) : NULL;
        if (fd >= 0)
            close(fd);
        if (!script)
            return why;
        command = strcpy(next, script);
    }
    return NULL;
}
