/* Functions by their numbers, and which line of one a byte of its code belongs to.
 *
 * Invariant: what comes from the traced process is not believed: lengths are cut to what came. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "tools/cli/tracer_impl.h"

#define TABLE_MAX (1u << 20) /* bytes of a longer table of lines */

/* ---- Texts: characters of one, two or four bytes, as the state's bits 2 to 4 say. ---- */

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (c >> 18 & 7));
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* NULL when memory is short. */
static char *text_of(const struct gil_text *text)
{
    size_t width = text->state >> 2 & 7, count = text->length, length = 0;
    char *out;

    if (width != 1 && width != 2 && width != 4)
        width = 1;
    if (count > GIL_TEXT / width)
        count = GIL_TEXT / width;
    out = malloc(4 * count + 1);
    for (size_t i = 0; out && i < count; i++) {
        uint32_t c = 0;

        memcpy(&c, text->bytes + i * width, width);
        length += put_utf8(out + length, c);
    }
    if (out)
        out[length] = '\0';
    return out;
}

/* ---- Functions ---- */

/* The table of lines: the part that came is enough, or the rest is read from the process. */
static void find_table(struct traced_function *f)
{
    const struct gil_function *raw = f->raw;
    struct iovec here,
        there = {.iov_base = (void *)(uintptr_t)raw->lines, .iov_len = raw->lines_length};

    f->table = f->raw->table;
    f->table_size = raw->lines_length < GIL_LINES ? raw->lines_length : GIL_LINES;
    if ((raw->lines_length <= GIL_LINES && raw->table[0]) || raw->lines_length > TABLE_MAX)
        return;
    here = (struct iovec){.iov_base = malloc(raw->lines_length), .iov_len = raw->lines_length};
    if (here.iov_base &&
        process_vm_readv((pid_t)raw->pid, &here, 1, &there, 1, 0) == (ssize_t)raw->lines_length) {
        f->table = here.iov_base;
        f->table_size = raw->lines_length;
        return;
    }
    free(here.iov_base);
}

static bool make_room(struct tracer *t, uint32_t number)
{
    size_t count = number + 64;
    struct traced_function *more;

    if (number < t->function_count)
        return true;
    more = reallocarray(t->functions, count, sizeof *more);
    if (!more)
        return false;
    memset(more + t->function_count, 0, (count - t->function_count) * sizeof *more);
    t->functions = more;
    t->function_count = count;
    return true;
}

void tracer_function_came(struct tracer *t, const struct gil_function *raw)
{
    struct traced_function *f;
    char *name, *file;

    if (raw->function == 0 || raw->function > 2 * GIL_FUNCTIONS || !make_room(t, raw->function))
        return;
    f = &t->functions[raw->function];
    name = text_of(&raw->name);
    file = text_of(&raw->file);
    if (f->raw || !name || !file || !(f->raw = malloc(sizeof *raw))) {
        free(name);
        free(file);
        return;
    }
    memcpy(f->raw, raw, sizeof *raw);
    find_table(f);
    f->names =
        (struct tracer_function){TRACER_PYTHON, (pid_t)raw->pid, name, file, raw->first_line};
    if (t->options.on_function)
        t->options.on_function(raw->function, t->options.arg);
}

static const struct traced_function *function(const struct tracer *t, uint32_t number)
{
    return number && number < t->function_count && t->functions[number].raw ? &t->functions[number]
                                                                            : NULL;
}

const struct tracer_function *tracer_function(const struct tracer *t, uint32_t number)
{
    const struct traced_function *f = function(t, number);

    return f ? &f->names : NULL;
}

/* ---- Lines. An entry of the table is a byte with the top bit set, its kind in the next four and
 * its length in instructions less one in the last three, and more bytes without the top bit. ---- */

enum { ENTRY_NO_COLUMNS = 13, ENTRY_LONG = 14, ENTRY_NONE = 15, ENTRY_ONE_LINE = 10 };

/* A number in groups of six bits, the lowest first, each but the last with bit 6 set; its lowest
 * bit is the sign. */
static int32_t signed_number(const uint8_t *table, size_t size, size_t at)
{
    uint32_t value = 0;

    for (unsigned int shift = 0; at < size && shift < 30; at++, shift += 6) {
        value |= (uint32_t)(table[at] & 63) << shift;
        if (!(table[at] & 64))
            break;
    }
    return value & 1 ? -(int32_t)(value >> 1) : (int32_t)(value >> 1);
}

uint32_t tracer_line(struct tracer *t, uint32_t number, uint32_t offset)
{
    const struct traced_function *f = function(t, number);
    uint32_t instruction = offset / 2, here = 0;
    int32_t line;

    if (!f) {
        t->losses[GIL_LOSS_LINES] += number != 0;
        return 0;
    }
    line = (int32_t)f->raw->first_line;
    if (offset > INT32_MAX)
        return f->raw->first_line; /* before its first instruction */
    for (size_t at = 0; at < f->table_size;) {
        unsigned int kind = f->table[at] >> 3 & 15;

        here += (f->table[at] & 7u) + 1;
        if (kind == ENTRY_LONG || kind == ENTRY_NO_COLUMNS)
            line += signed_number(f->table, f->table_size, at + 1);
        else if (kind >= ENTRY_ONE_LINE && kind < ENTRY_NO_COLUMNS)
            line += (int32_t)kind - ENTRY_ONE_LINE;
        if (instruction < here && kind != ENTRY_NONE)
            return (uint32_t)line;
        if (instruction < here)
            break;
        do
            at++;
        while (at < f->table_size && !(f->table[at] & 0x80));
    }
    t->losses[GIL_LOSS_LINES]++;
    return 0;
}

void tracer_functions_close(struct tracer *t)
{
    for (size_t i = 0; i < t->function_count; i++) {
        struct traced_function *f = &t->functions[i];

        if (f->raw && f->table != f->raw->table)
            free(f->table);
        free((void *)f->names.name);
        free((void *)f->names.file);
        free(f->raw);
    }
    free(t->functions);
}
