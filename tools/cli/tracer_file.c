/* Files with probe sites: libgil's USDT probes, and the calls in a stock CPython that take, drop and
 * wait for its lock.
 *
 * Invariant: a site is an instruction's first byte. libgil's are said to be by its notes; those in
 * an interpreter are reached by decoding from the start of their function. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "kernel-helpers/elf.h"
#include "tools/cli/insn.h"
#include "tools/cli/layout.h"
#include "tools/cli/tracer_impl.h"

#include "tracer.skel.h"

struct finding {
    struct tracer *t;
    struct traced_file *file;
    const struct elf *elf;
    uint64_t gil;            /* the address of the interpreter's lock */
    enum gil_site_kind kind; /* of the calls that are being looked for */
};

static void add_site(struct finding *f, uint64_t address, uint64_t semaphore,
                     const struct gil_site *site)
{
    struct traced_file *file = f->file;
    uint64_t offset, semaphore_at = 0;
    uint32_t cookie = f->t->site_count;

    if (file->site_count == TRACER_SITES || cookie == GIL_SITES ||
        !elf_offset(f->elf, address, &offset) ||
        (semaphore && !elf_offset(f->elf, semaphore, &semaphore_at)))
        return;
    if (bpf_map_update_elem(bpf_map__fd(f->t->bpf->maps.sites), &cookie, site, BPF_ANY) != 0)
        return;
    file->offsets[file->site_count] = offset;
    file->semaphores[file->site_count] = semaphore_at;
    file->cookies[file->site_count] = cookie;
    file->site_count++;
    f->t->site_count++;
}

/* ---- libgil ---- */

/* In the order of struct registers (bpf/kernel.h); as 64, 32, 16 and 8 bits. */
static const char *const registers[][4] = {
    {"r15", "r15d", "r15w", "r15b"}, {"r14", "r14d", "r14w", "r14b"},
    {"r13", "r13d", "r13w", "r13b"}, {"r12", "r12d", "r12w", "r12b"},
    {"rbp", "ebp", "bp", "bpl"},     {"rbx", "ebx", "bx", "bl"},
    {"r11", "r11d", "r11w", "r11b"}, {"r10", "r10d", "r10w", "r10b"},
    {"r9", "r9d", "r9w", "r9b"},     {"r8", "r8d", "r8w", "r8b"},
    {"rax", "eax", "ax", "al"},      {"rcx", "ecx", "cx", "cl"},
    {"rdx", "edx", "dx", "dl"},      {"rsi", "esi", "si", "sil"},
    {"rdi", "edi", "di", "dil"},
};

static bool find_register(const char *name, struct gil_argument *argument)
{
    for (size_t i = 0; i < sizeof registers / sizeof *registers; i++) {
        for (size_t width = 0; width < 4; width++) {
            if (strcmp(registers[i][width], name) == 0) {
                argument->from = (uint16_t)(i * sizeof(uint64_t));
                return true;
            }
        }
    }
    return false;
}

/* One operand as the assembler has it: "8@%rax", "-4@$-1". */
static bool parse_argument(const char *word, struct gil_argument *argument)
{
    char *at;
    long bytes = strtol(word, &at, 10);

    if (*at != '@' || bytes == 0 || labs(bytes) > 8)
        return false;
    argument->is_signed = bytes < 0;
    argument->shift = (uint16_t)(64 - 8 * labs(bytes));
    if (at[1] == '$') {
        argument->constant = strtoll(at + 2, &at, 0);
        return *at == '\0';
    }
    return at[1] == '%' && find_register(at + 2, argument);
}

static bool parse_arguments(const char *text, struct gil_argument *arguments)
{
    char *copy = strdup(text), *save = NULL, *word = copy ? strtok_r(copy, " ", &save) : NULL;
    bool ok = copy;

    for (size_t i = 0; i < GIL_ARGUMENTS; i++)
        arguments[i].from = GIL_CONSTANT;
    for (size_t i = 0; ok && word && i < GIL_ARGUMENTS; i++, word = strtok_r(NULL, " ", &save))
        ok = parse_argument(word, &arguments[i]);
    free(copy);
    return ok;
}

static void found_probe(const struct elf_probe *probe, void *arg)
{
    static const struct {
        const char *name;
        enum gil_site_kind kind;
    } known[] = {
        {"released", GIL_SITE_RELEASED},
        {"contended", GIL_SITE_CONTENDED},
        {"handoff", GIL_SITE_HANDOFF},
        {"drop_request", GIL_SITE_DROP_REQUEST},
        {"swap", GIL_SITE_SWAP},
        {"io_submit", GIL_SITE_IO_SUBMIT},
        {"io_complete", GIL_SITE_IO_COMPLETE},
    };
    struct finding *f = arg;
    struct gil_site site = {.python = f->file->kind == FILE_DROPIN};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, probe->name) != 0)
            continue;
        site.kind = known[i].kind;
        if (parse_arguments(probe->arguments, site.arguments))
            add_site(f, probe->address, probe->semaphore, &site);
    }
}

/* ---- CPython ---- */

static const struct python_layout *layout_of(const struct elf *e)
{
#ifdef HAVE_PYTHON
    const Elf64_Sym *runtime = elf_symbol(e, "_PyRuntime");

    if (runtime && runtime->st_size == python311_layout.runtime_size)
        return &python311_layout;
#else
    (void)e;
#endif
    return NULL;
}

/* The first instruction after a call that is no comparison: eax still has the result, and a branch
 * costs a probe a twentieth of what most instructions do. */
static uint64_t after_call(const uint8_t *code, uint64_t at, size_t size)
{
    static const struct {
        uint8_t bytes[2], length;
    } compare[] = {{{0x83, 0xf8}, 3}, {{0x85, 0xc0}, 2}}; /* cmp $…,%eax; test %eax,%eax */

    for (size_t i = 0; i < sizeof compare / sizeof *compare; i++)
        if (size > 16 && memcmp(code, compare[i].bytes, 2) == 0)
            return at + compare[i].length;
    return at;
}

static void found_call(uint64_t at, size_t length, void *arg)
{
    struct finding *f = arg;
    uint64_t start = elf_function_start(f->elf, at), from, offset;
    struct gil_site site = {.kind = f->kind, .to_gil = (int64_t)(f->gil - at)};

    if (!start || !elf_offset(f->elf, start, &from) || !elf_offset(f->elf, at, &offset) ||
        !insn_begins(f->elf->data + from, at - start, f->elf->size - from))
        return;
    add_site(f, at, 0, &site);
    if (f->kind != GIL_SITE_WAIT)
        return;
    offset += length;
    at = after_call(f->elf->data + offset, at + length, f->elf->size - offset);
    site.kind = GIL_SITE_WAITED;
    site.to_gil = (int64_t)(f->gil - at);
    add_site(f, at, 0, &site);
}

static void find_calls(struct finding *f, const struct python_layout *layout)
{
    const Elf64_Sym *runtime = elf_symbol(f->elf, "_PyRuntime");
    uint64_t start = 0;

    f->gil = runtime->st_value + layout->programs.runtime_gil;
    elf_address(f->elf, 0, &start);
    f->file->gil = f->gil - start;
    if (f->t->options.tier == TRACER_SAMPLE)
        return;
    f->kind = GIL_SITE_WAIT;
    elf_calls(f->elf, "pthread_cond_timedwait", found_call, f);
    if (f->t->options.tier != TRACER_FULL)
        return;
    f->kind = GIL_SITE_SIGNAL;
    elf_calls(f->elf, "pthread_cond_signal", found_call, f);
}

/* ---- */

static void look_at(struct tracer *t, struct traced_file *file, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const struct python_layout *layout;
    struct elf elf;
    struct finding finding = {.t = t, .file = file, .elf = &elf};

    if (elf_open(&elf, file->fd) != 0)
        return;
    layout = layout_of(&elf);
    if (layout) {
        file->kind = FILE_PYTHON;
        find_calls(&finding, layout);
    } else {
        file->kind = strncmp(name, "libgil-python", strlen("libgil-python")) == 0 ? FILE_DROPIN
                                                                                  : FILE_LIBGIL;
        elf_probes(&elf, "gil", found_probe, &finding);
        if (!file->site_count)
            file->kind = FILE_OTHER;
    }
    elf_close(&elf);
}

int tracer_file(struct tracer *t, int fd, const char *path)
{
    struct stat about;
    struct traced_file *file = &t->files[t->file_count];

    if (fstat(fd, &about) != 0 || t->file_count == TRACER_FILES) {
        close(fd);
        return -ENOSPC;
    }
    for (size_t i = 0; i < t->file_count; i++) {
        if (t->files[i].device == about.st_dev && t->files[i].inode == about.st_ino) {
            close(fd);
            return (int)i;
        }
    }
    *file = (struct traced_file){.device = about.st_dev, .inode = about.st_ino, .fd = fd};
    look_at(t, file, path);
    if (file->kind == FILE_OTHER) {
        close(fd);
        file->fd = -1;
    }
    return (int)t->file_count++;
}

void tracer_files_close(struct tracer *t)
{
    for (size_t i = 0; i < t->file_count; i++)
        if (t->files[i].fd >= 0)
            close(t->files[i].fd);
}
