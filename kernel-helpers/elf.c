/* See elf.h. */
#define _GNU_SOURCE
#include "kernel-helpers/elf.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* `size` bytes at an offset of the file, or NULL if it has not so many. */
static const void *at(const struct elf *e, uint64_t offset, uint64_t size)
{
    return offset <= e->size && size <= e->size - offset ? e->data + offset : NULL;
}

static const Elf64_Ehdr *header(const struct elf *e)
{
    return (const Elf64_Ehdr *)e->data;
}

/* The sections, if the file has any. */
static void find_sections(struct elf *e)
{
    const Elf64_Ehdr *h = header(e);
    const Elf64_Shdr *names;

    if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shoff % _Alignof(Elf64_Shdr))
        return;
    e->sections = at(e, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr));
    if (!e->sections || h->e_shstrndx >= h->e_shnum)
        return;
    names = &e->sections[h->e_shstrndx];
    e->section_names = at(e, names->sh_offset, names->sh_size);
    e->section_names_size = e->section_names ? names->sh_size : 0;
    e->section_count = h->e_shnum;
}

int elf_open(struct elf *e, int fd)
{
    struct stat about;
    const Elf64_Ehdr *h;

    *e = (struct elf){0};
    if (fstat(fd, &about) != 0)
        return -errno;
    if (!S_ISREG(about.st_mode) || (size_t)about.st_size < sizeof *h)
        return -ENOEXEC;
    e->size = (size_t)about.st_size;
    e->data = mmap(NULL, e->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (e->data == MAP_FAILED) {
        *e = (struct elf){0};
        return -errno;
    }
    h = header(e);
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_machine != EM_X86_64) {
        elf_close(e);
        return -ENOEXEC;
    }
    find_sections(e);
    return 0;
}

void elf_close(struct elf *e)
{
    if (e->data)
        munmap((void *)e->data, e->size);
    *e = (struct elf){0};
}

/* A string in a table, or "" if it does not end there. */
static const char *string_in(const char *table, size_t size, size_t offset)
{
    return table && offset < size && memchr(table + offset, 0, size - offset) ? table + offset : "";
}

const Elf64_Shdr *elf_section(const struct elf *e, const char *name)
{
    for (size_t i = 0; i < e->section_count; i++)
        if (strcmp(string_in(e->section_names, e->section_names_size, e->sections[i].sh_name),
                   name) == 0)
            return &e->sections[i];
    return NULL;
}

const void *elf_contents(const struct elf *e, const Elf64_Shdr *section, size_t *size)
{
    const void *contents = NULL;

    if (section && section->sh_type != SHT_NOBITS)
        contents = at(e, section->sh_offset, section->sh_size);
    *size = contents ? section->sh_size : 0;
    return contents;
}

/* ---- Symbols. ---- */

struct symbols {
    const Elf64_Sym *all;
    size_t count, names_size;
    const char *names;
};

static struct symbols symbols_of(const struct elf *e, const char *section_name)
{
    const Elf64_Shdr *section = elf_section(e, section_name);
    struct symbols s = {0};
    size_t size;

    if (!section || section->sh_link >= e->section_count)
        return s;
    s.all = elf_contents(e, section, &size);
    s.count = size / sizeof *s.all;
    s.names = elf_contents(e, &e->sections[section->sh_link], &s.names_size);
    return s;
}

static const char *symbol_name(const struct symbols *s, size_t index)
{
    return index < s->count ? string_in(s->names, s->names_size, s->all[index].st_name) : "";
}

const Elf64_Sym *elf_symbol(const struct elf *e, const char *name)
{
    static const char *const tables[] = {".dynsym", ".symtab"};

    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        struct symbols s = symbols_of(e, tables[t]);

        for (size_t i = 0; i < s.count; i++)
            if (s.all[i].st_shndx != SHN_UNDEF && strcmp(symbol_name(&s, i), name) == 0)
                return &s.all[i];
    }
    return NULL;
}

bool elf_offset(const struct elf *e, uint64_t address, uint64_t *offset)
{
    const Elf64_Ehdr *h = header(e);
    const Elf64_Phdr *p = at(e, h->e_phoff, (uint64_t)h->e_phnum * sizeof *p);

    for (size_t i = 0; p && i < h->e_phnum; i++) {
        if (p[i].p_type == PT_LOAD && address - p[i].p_vaddr < p[i].p_filesz) {
            *offset = address - p[i].p_vaddr + p[i].p_offset;
            return *offset < e->size;
        }
    }
    return false;
}

bool elf_address(const struct elf *e, uint64_t offset, uint64_t *address)
{
    const Elf64_Ehdr *h = header(e);
    const Elf64_Phdr *p = at(e, h->e_phoff, (uint64_t)h->e_phnum * sizeof *p);

    for (size_t i = 0; p && i < h->e_phnum; i++) {
        if (p[i].p_type == PT_LOAD && offset - p[i].p_offset < p[i].p_filesz) {
            *address = offset - p[i].p_offset + p[i].p_vaddr;
            return true;
        }
    }
    return false;
}

/* ---- Functions: the sorted table that .eh_frame_hdr has. ---- */

uint64_t elf_function_start(const struct elf *e, uint64_t address)
{
    /* Version 1; a pointer of four bytes, a count of four bytes, pairs relative to the section. */
    static const uint8_t known[] = {1, 0x1b, 0x03, 0x3b};
    struct pair {
        int32_t start, description;
    };
    const Elf64_Shdr *section = elf_section(e, ".eh_frame_hdr");
    size_t size, low = 0, high;
    const uint8_t *contents = elf_contents(e, section, &size);
    const struct pair *pairs;
    uint32_t count;

    if (size < 12 || memcmp(contents, known, sizeof known) != 0)
        return 0;
    memcpy(&count, contents + 8, sizeof count);
    pairs = (const struct pair *)(contents + 12);
    high = (size - 12) / sizeof *pairs;
    if (count < high)
        high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (section->sh_addr + (uint64_t)(int64_t)pairs[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? section->sh_addr + (uint64_t)(int64_t)pairs[low - 1].start : 0;
}

/* ---- Calls: directly through the table of jumps (PLT), or through the table of addresses. ---- */

/* Where the function's address is kept at run time; 0 if it is not imported. */
static uint64_t address_slot(const struct elf *e, const char *name)
{
    static const char *const tables[] = {".rela.plt", ".rela.dyn"};
    struct symbols s = symbols_of(e, ".dynsym");

    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        size_t size;
        const Elf64_Rela *r = elf_contents(e, elf_section(e, tables[t]), &size);

        for (size_t i = 0; i < size / sizeof *r; i++) {
            uint64_t type = ELF64_R_TYPE(r[i].r_info);

            if ((type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT) &&
                strcmp(symbol_name(&s, ELF64_R_SYM(r[i].r_info)), name) == 0)
                return r[i].r_offset;
        }
    }
    return 0;
}

/* The target of the relative operand whose four bytes are at code + offset and end the
 * instruction. */
static uint64_t relative(const uint8_t *code, size_t offset, uint64_t address)
{
    int32_t displacement;

    memcpy(&displacement, code + offset, sizeof displacement);
    return address + offset + sizeof displacement + (uint64_t)(int64_t)displacement;
}

#define STUBS_MAX 4

/* The stubs that jump to where the slot says. */
static size_t find_stubs(const struct elf *e, uint64_t slot, uint64_t *stubs)
{
    static const char *const tables[] = {".plt", ".plt.sec", ".plt.got"};
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    size_t found = 0;

    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        const Elf64_Shdr *section = elf_section(e, tables[t]);
        size_t size;
        const uint8_t *code = elf_contents(e, section, &size);

        for (size_t i = 0; i + 6 <= size && found < STUBS_MAX; i++) {
            size_t start = i;

            if (code[i] != 0xff || code[i + 1] != 0x25 ||
                relative(code, i + 2, section->sh_addr) != slot)
                continue;
            if (start && code[start - 1] == 0xf2) /* bnd */
                start--;
            if (start >= 4 && memcmp(code + start - 4, endbr64, 4) == 0)
                start -= 4;
            stubs[found++] = section->sh_addr + start;
        }
    }
    return found;
}

static bool is_one_of(uint64_t address, const uint64_t *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (all[i] == address)
            return true;
    return false;
}

void elf_calls(const struct elf *e, const char *name,
               void (*fn)(uint64_t at, size_t length, void *), void *arg)
{
    const Elf64_Shdr *text = elf_section(e, ".text");
    uint64_t slot = address_slot(e, name), stubs[STUBS_MAX];
    size_t size, stub_count;
    const uint8_t *code = elf_contents(e, text, &size);

    if (!slot)
        return;
    stub_count = find_stubs(e, slot, stubs);
    for (size_t i = 0; i + 6 <= size; i++) {
        if (code[i] == 0xe8 && is_one_of(relative(code, i + 1, text->sh_addr), stubs, stub_count))
            fn(text->sh_addr + i, 5, arg);
        else if (code[i] == 0xff && code[i + 1] == 0x15 &&
                 relative(code, i + 2, text->sh_addr) == slot)
            fn(text->sh_addr + i, 6, arg);
    }
}

/* ---- USDT probes. ---- */

/* A note's description: three addresses and three strings. */
static bool read_probe(struct elf_probe *probe, const char *provider, const char *text, size_t size,
                       uint64_t base_now)
{
    uint64_t addresses[3]; /* of the probe, of .stapsdt.base when it was linked, of the semaphore */
    const char *strings[3], *end = text + size;

    if (size < sizeof addresses)
        return false;
    memcpy(addresses, text, sizeof addresses);
    text += sizeof addresses;
    for (size_t i = 0; i < 3; i++) {
        const char *zero = memchr(text, 0, (size_t)(end - text));

        if (!zero)
            return false;
        strings[i] = text;
        text = zero + 1;
    }
    *probe = (struct elf_probe){
        .name = strings[1],
        .arguments = strings[2],
        .address = addresses[0] + (base_now ? base_now - addresses[1] : 0),
        .semaphore = addresses[2],
    };
    if (probe->semaphore && base_now)
        probe->semaphore += base_now - addresses[1];
    return strcmp(strings[0], provider) == 0;
}

void elf_probes(const struct elf *e, const char *provider,
                void (*fn)(const struct elf_probe *, void *), void *arg)
{
    const Elf64_Shdr *base = elf_section(e, ".stapsdt.base");
    size_t size, here = 0;
    const uint8_t *notes = elf_contents(e, elf_section(e, ".note.stapsdt"), &size);
    Elf64_Nhdr note;

    while (size - here >= sizeof note) {
        size_t name, text;
        struct elf_probe probe;

        memcpy(&note, notes + here, sizeof note);
        name = here + sizeof note;
        text = name + ((note.n_namesz + 3ull) & ~3ull);
        if (text > size || note.n_descsz > size - text)
            return;
        if (note.n_type == 3 && note.n_namesz == sizeof "stapsdt" &&
            memcmp(notes + name, "stapsdt", sizeof "stapsdt") == 0 &&
            read_probe(&probe, provider, (const char *)notes + text, note.n_descsz,
                       base ? base->sh_addr : 0))
            fn(&probe, arg);
        here = text + ((note.n_descsz + 3ull) & ~3ull);
        if (here > size)
            return;
    }
}
