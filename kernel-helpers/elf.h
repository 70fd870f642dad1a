/* Reading an x86-64 ELF file: symbols, where a function begins, where libc functions are called
 * through, and the notes of USDT probes. Works on stripped files.
 *
 * Invariant: nothing in the file is believed. Whatever points outside of it reads as absent. */
#ifndef KERNEL_HELPERS_ELF_H
#define KERNEL_HELPERS_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf {
    const uint8_t *data; /* the whole file, mapped */
    size_t size;
    const Elf64_Shdr *sections;
    size_t section_count;
    const char *section_names;
    size_t section_names_size;
};

/* Maps the open file. Returns 0, or a negative errno: -ENOEXEC if it is no such file. */
int elf_open(struct elf *e, int fd);
void elf_close(struct elf *e);

/* The section, or NULL; its contents, of *size bytes, or NULL. */
const Elf64_Shdr *elf_section(const struct elf *e, const char *name);
const void *elf_contents(const struct elf *e, const Elf64_Shdr *section, size_t *size);

/* A symbol that the file defines, or NULL. */
const Elf64_Sym *elf_symbol(const struct elf *e, const char *name);

/* Which part of the file is loaded at an address; false if none. */
bool elf_offset(const struct elf *e, uint64_t address, uint64_t *offset);

/* The opposite. */
bool elf_address(const struct elf *e, uint64_t offset, uint64_t *address);

/* Where the function that the address is in begins, from the tables for unwinding; 0 if unknown. */
uint64_t elf_function_start(const struct elf *e, uint64_t address);

/* Calls fn with the address and length of each instruction that looks like a call of the libc
 * function `name`: its bytes may be part of something else. */
void elf_calls(const struct elf *e, const char *name,
               void (*fn)(uint64_t at, size_t length, void *), void *arg);

struct elf_probe {
    const char *name, *arguments;
    uint64_t address, semaphore; /* of the instruction; of the counter, 0 if there is none */
};

/* Calls fn for each USDT probe of the provider. */
void elf_probes(const struct elf *e, const char *provider,
                void (*fn)(const struct elf_probe *, void *), void *arg);

#endif
