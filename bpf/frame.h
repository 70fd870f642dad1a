/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * Where a thread of CPython is: which code object, and at which instruction of it. A thread of the
 * process that runs at this moment may be looked at, too: what is read is then checked before it is
 * believed, and reading never does more harm than to fail. */
#ifndef BPF_FRAME_H
#define BPF_FRAME_H

#include "bpf/maps.h"

static inline __u64 load(__u64 address)
{
    __u64 value = 0;

    bpf_probe_read_user(&value, sizeof value, (void *)address);
    return value;
}

static inline __u32 load32(__u64 address)
{
    __u32 value = 0;

    bpf_probe_read_user(&value, sizeof value, (void *)address);
    return value;
}

/* Where the thread with this thread state is. All zero if it runs no Python code, and if that cannot
 * be read. */
static inline void find_where(struct where *w, __u32 pid, __u64 tstate)
{
    __u64 cframe = tstate ? load(tstate + layout.tstate_cframe) : 0;
    __u64 frame = cframe ? load(cframe + layout.cframe_frame) : 0;
    __u64 code = frame ? load(frame + layout.frame_code) : 0;
    __u64 instruction = code ? load(frame + layout.frame_instruction) : 0;

    if (!cframe)
        lose(GIL_LOSS_FRAMES);
    w->code.code = code;
    w->code.lines = code ? load(code + layout.code_lines) : 0;
    w->code.pid = pid;
    w->code.unused = 0;
    w->offset = code ? (__u32)(instruction - (code + layout.code_instructions)) : 0;
}

static inline bool same_where(const struct where *a, const struct where *b)
{
    return a->code.code == b->code.code && a->code.lines == b->code.lines && a->offset == b->offset;
}

static inline void read_text(struct gil_text *text, __u64 string)
{
    __u32 state = load32(string + layout.string_state);
    bool ascii = state & 64; /* struct { interned:2, kind:3, compact:1, ascii:1, … } */

    text->length = load32(string + layout.string_length);
    text->state = state;
    /* What lies behind a short string may not be readable: then it is read as text. */
    string += ascii ? layout.string_ascii : layout.string_other;
    if (bpf_probe_read_user(text->bytes, sizeof text->bytes, (void *)string) != 0)
        bpf_probe_read_user_str(text->bytes, sizeof text->bytes, (void *)string);
}

/* Sends what the tracer has to know of a function. Returns false if it cannot be sent. */
static inline bool send_function(const struct gil_code *c, __u32 number)
{
    struct gil_function *f = bpf_ringbuf_reserve(&ring, sizeof *f, 0);

    if (!f)
        return false;
    f->kind = GIL_RECORD_FUNCTION;
    f->unused = 0;
    f->function = number;
    f->pid = c->pid;
    f->first_line = load32(c->code + layout.code_first_line);
    f->lines = c->lines + layout.bytes_data;
    f->lines_length = load(c->lines + layout.bytes_length);
    read_text(&f->name, load(c->code + layout.code_name));
    read_text(&f->file, load(c->code + layout.code_file));
    if (bpf_probe_read_user(f->table, sizeof f->table, (void *)f->lines) != 0)
        f->table[0] = 0; /* no entry begins with 0: the tracer reads it for itself */
    bpf_ringbuf_submit(f, BPF_RB_NO_WAKEUP);
    return true;
}

/* Is it the address of a code object? What was read may have been changed meanwhile. */
static inline bool is_code(__u64 object)
{
    __u64 type = load(object + layout.object_type);
    char name[8] = {};

    bpf_probe_read_user_str(name, sizeof name, (void *)load(type + layout.type_name));
    return name[0] == 'c' && name[1] == 'o' && name[2] == 'd' && name[3] == 'e' && !name[4];
}

/* The number of a code object's function: given now if it has none. */
static inline __u32 number_of(const struct where *w)
{
    struct gil_code code = w->code;
    __u32 *found = bpf_map_lookup_elem(&functions, &code);
    __u32 number;

    if (found)
        return *found;
    if (!code.code)
        return 0;
    if (!is_code(code.code)) {
        lose(GIL_LOSS_FRAMES);
        return 0;
    }
    number = __sync_fetch_and_add(&functions_seen, 1) + 1;
    if (bpf_map_update_elem(&functions, &code, &number, BPF_NOEXIST) != 0) {
        found = bpf_map_lookup_elem(&functions, &code); /* another thread was faster */
        if (!found)
            lose(GIL_LOSS_FUNCTIONS);
        return found ? *found : 0;
    }
    if (!send_function(&code, number)) {
        bpf_map_delete_elem(&functions, &code);
        lose(GIL_LOSS_FUNCTIONS);
        return 0;
    }
    return number;
}

#endif
