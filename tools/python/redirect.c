/* See redirect.h. An object calls what it imports through a table of addresses (its GOT), which the
 * dynamic linker has filled in, or fills in at the first call. The relocations say which entry
 * belongs to which name.
 *
 * Invariant: nothing is written before an entry was found for every name, and the pages of a table
 * that the dynamic linker has made read-only (RELRO) are read-only again afterwards. */
#define _GNU_SOURCE
#include "tools/python/redirect.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A loaded object. */
struct object {
    uintptr_t base;
    const ElfW(Dyn) * dynamic;
    uintptr_t readonly, readonly_end; /* after relocation */
};

/* The relocations of one of an object's two tables, and what they refer to. */
struct relocations {
    const ElfW(Rela) * first;
    size_t count;
    const ElfW(Sym) * symbols;
    const char *strings;
};

struct search {
    uintptr_t inside;
    struct object found;
};

static int look_at_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct object object = {.base = info->dlpi_addr};
    struct search *search = arg;
    bool inside = false;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + part->p_vaddr;

        if (part->p_type == PT_LOAD) {
            inside |= search->inside - start < part->p_memsz;
        } else if (part->p_type == PT_DYNAMIC) {
            object.dynamic = (const ElfW(Dyn) *)start;
        } else if (part->p_type == PT_GNU_RELRO) {
            object.readonly = start;
            object.readonly_end = start + part->p_memsz;
        }
    }
    if (inside)
        search->found = object;
    return inside;
}

/* The value of an entry of the dynamic section; the dynamic linker has made addresses of those that
 * are some. 0: there is none. */
static uintptr_t dynamic_value(const struct object *object, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = object->dynamic; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry->d_un.d_ptr;
    return 0;
}

static struct relocations relocations(const struct object *object, ElfW(Sxword) table,
                                      ElfW(Sxword) size)
{
    return (struct relocations){
        .first = (const ElfW(Rela) *)dynamic_value(object, table),
        .count = dynamic_value(object, size) / sizeof(ElfW(Rela)),
        .symbols = (const ElfW(Sym) *)dynamic_value(object, DT_SYMTAB),
        .strings = (const char *)dynamic_value(object, DT_STRTAB),
    };
}

static bool store(const struct object *object, uintptr_t entry, void (*ours)(void))
{
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE), page = entry & -page_size;
    bool readonly = entry >= object->readonly && entry < (object->readonly_end & -page_size);

    if (readonly && mprotect((void *)page, page_size, PROT_READ | PROT_WRITE) != 0)
        return false;
    *(void (**)(void))entry = ours;
    return !readonly || mprotect((void *)page, page_size, PROT_READ) == 0;
}

/* Counts the entries for a function, and redirects them if asked to. False: that was refused. */
static bool for_entries(const struct object *object, const struct redirect *redirect, bool write,
                        size_t *count)
{
    struct relocations tables[] = {relocations(object, DT_JMPREL, DT_PLTRELSZ),
                                   relocations(object, DT_RELA, DT_RELASZ)};

    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < tables[i].count; k++) {
            const ElfW(Rela) *rela = &tables[i].first[k];
            const ElfW(Sym) *symbol = &tables[i].symbols[ELF64_R_SYM(rela->r_info)];
            unsigned type = ELF64_R_TYPE(rela->r_info);

            if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) ||
                symbol->st_shndx != SHN_UNDEF ||
                strcmp(tables[i].strings + symbol->st_name, redirect->name) != 0)
                continue;
            ++*count;
            if (write && !store(object, object->base + rela->r_offset, redirect->ours))
                return false;
        }
    }
    return true;
}

bool py_redirect(const void *inside, const struct redirect *redirects, size_t count)
{
    struct search search = {.inside = (uintptr_t)inside};

    if (!dl_iterate_phdr(look_at_object, &search) || !search.found.dynamic)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t entries = 0;
        for_entries(&search.found, &redirects[i], false, &entries);
        if (entries == 0)
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        size_t entries = 0;
        if (!for_entries(&search.found, &redirects[i], true, &entries))
            return false;
    }
    return true;
}
