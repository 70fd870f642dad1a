/* How long an x86-64 instruction is: what it takes to make sure that an address is where one
 * begins. */
#ifndef GIL_CLI_INSN_H
#define GIL_CLI_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the instruction at code, of which `size` bytes may be read; 0 if it is none that
 * is known or does not end there. */
size_t insn_length(const uint8_t *code, size_t size);

/* Going from one instruction to the next from code[0], is code[at] where one begins? */
bool insn_begins(const uint8_t *code, size_t at, size_t size);

#endif
