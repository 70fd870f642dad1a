/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * What BPF programs and user space share: events. The slots of histograms and the flags of a release
 * are also libgil's, and come from include/gil/trace.h. Plain C without a library, for both sides.
 *
 * An event is what happened to one thread, sent when it is over. Processes and threads are the
 * kernel's numbers, those of the first pid namespace. Durations are nanoseconds, times those of
 * CLOCK_MONOTONIC. A place is a function and a line; functions are numbered from 1 as they are
 * first seen by a tracer, and 0 is one that is not known. */
#ifndef BPF_SHARED_H
#define BPF_SHARED_H

#include <linux/types.h>

#include "../include/gil/trace.h"

enum gil_event_kind {
    GIL_EVENT_HOLD,    /* a thread had the lock; where: see GIL_EVENT_SEEN */
    GIL_EVENT_WAIT,    /* it waited for the lock, and got it; where: it asked for it */
    GIL_EVENT_SWAP,    /* it changed its thread state, from .swap.from to .swap.to */
    GIL_EVENT_HANDOFF, /* from the release (or the wake-up) by .other to its having the lock */
    GIL_EVENT_IO,      /* a blocking call; .io */
    GIL_EVENT_BLAME,   /* a part of a wait: what .other is to blame for; see GIL_EVENT_SPLIT */
    GIL_EVENT_KINDS
};

enum gil_event_flags {
    GIL_EVENT_PARTIAL = 1, /* it began before the tracer was attached: it took at least so long */
    GIL_EVENT_SAMPLE = 2,  /* no hold, but a sample that stands for one of this duration */
    GIL_EVENT_SPLIT = 4,   /* a wait for several holders: its parts were sent as BLAME before it */
    GIL_EVENT_SEEN = 8,    /* the place is one where the holder was seen, not where it released */
    GIL_EVENT_FORCED = 16, /* the hold was ended by a drop request */
    GIL_EVENT_INLINE = 32, /* the I/O did not block: the lock was kept */
};

struct gil_place {
    __u32 function; /* its number; 0: not known */
    __u32 line;     /* 0: not known. From BPF: which byte of the function's code */
};

struct gil_event {
    __u16 kind;        /* enum gil_event_kind */
    __u16 flags;       /* enum gil_event_flags */
    __u32 other;       /* tid: who had the lock when the wait began, or handed it on; 0: unknown */
    __u64 time_ns;     /* when it ended */
    __u64 duration_ns; /* it began this much earlier; swap: 0 */
    __u64 lock;        /* its address in the process; swap, I/O: 0 */
    __u32 pid, tid;    /* whom it happened to */
    struct gil_place place;
    union {
        struct gil_place other_place; /* wait, blame: where that thread was */
        struct {
            __u64 from, to; /* swap: thread states; 0: none */
        } swap;
        struct {
            __s32 op, fd; /* I/O: which call (include/gil/io.h), or -1 */
            __s64 result; /* or -errno */
        } io;
        __u64 delay_ns; /* handoff: of this, the time it could run but no processor ran it */
    };
};

/* Durations of one sort. */
struct gil_sum {
    __u64 count, sum_ns, max_ns;
};

struct gil_durations {
    struct gil_sum all;
    __u32 slots[GIL_SLOTS];
};

/* What is added up for a thread. */
struct gil_thread {
    __u32 pid, tid;       /* tid 0: this entry is not used yet */
    __u32 ns_pid, ns_tid; /* as the process's own pid namespace numbers them */
    char name[16];
    __u64 partial;  /* holds that began before attaching: their length is not known */
    __u64 delay_ns; /* of its hand-offs: it could run, but no processor ran it */
    __u64 hits;     /* of probes, in it: each has cost it some time */
    struct gil_durations hold, wait, handoff;
};

/* What is added up for a place, of one thread. */
struct gil_place_sums {
    __u32 function;
    __u32 unused;
    struct gil_sum hold; /* holds that ended, or were seen, here */
    struct gil_sum wait; /* waits of the thread when it asked here */
    __u64 blame_ns;      /* what others waited while it had the lock here */
};

/* ---- Between the programs and the tracer only. ---- */

#define GIL_SITES     256   /* probed instructions */
#define GIL_PROCESSES 1024  /* traced at a time */
#define GIL_THREADS   2048  /* whose durations are added up */
#define GIL_PLACES    16384 /* a thread at a place each */
#define GIL_FUNCTIONS 8192

/* A hold of this length or more is said to be where others saw it, not where it ended. */
#define GIL_LONG_HOLD_NS 1000000

/* Why something is missing from what the tracer tells. */
enum gil_loss {
    GIL_LOSS_BUFFER,    /* an event: the ring buffer was full */
    GIL_LOSS_THREADS,   /* an event of a thread beyond GIL_THREADS: not added up for its thread */
    GIL_LOSS_PLACES,    /* an event at a place beyond GIL_PLACES: not added up for its place */
    GIL_LOSS_FUNCTIONS, /* a function beyond GIL_FUNCTIONS, or whose name could not be sent */
    GIL_LOSS_FRAMES,    /* an event whose frame could not be read: function 0 */
    GIL_LOSS_HOLDERS,   /* a wait whose holder could not be found out: nobody to blame */
    GIL_LOSS_LINES,     /* an event whose line could not be decoded: line 0 */
    GIL_LOSS_MISSED,    /* a hit for which the kernel ran no program */
    GIL_LOSS_CHILDREN,  /* a child process that could not be followed */
    GIL_LOSSES
};

/* Where the interpreter keeps what the programs read: offsets in its structures. */
struct gil_layout {
    __u32 gil_last_holder, gil_locked, gil_cond, gil_switch_cond;
    __u32 runtime_gil, runtime_interpreters, interpreter_next, interpreter_threads;
    __u32 tstate_next, tstate_native_id, tstate_cframe, cframe_frame;
    __u32 frame_code, frame_instruction;
    __u32 object_type, type_name, code_instructions, code_first_line, code_file, code_name,
        code_lines;
    __u32 string_length, string_state, string_ascii, string_other;
    __u32 bytes_length, bytes_data;
};

struct gil_process {
    __u64 gil; /* the address of an interpreter's own lock; 0: none, or not known yet */
};

/* What is probed. The first three are calls in a stock interpreter, the others probes of libgil
 * (kernel-helpers/probe.h). */
enum gil_site_kind {
    GIL_SITE_SIGNAL, /* pthread_cond_signal(…) */
    GIL_SITE_WAIT,   /* pthread_cond_timedwait(…) */
    GIL_SITE_WAITED, /* soon after that, while eax still has its result */
    GIL_SITE_RELEASED,
    GIL_SITE_CONTENDED,
    GIL_SITE_DROP_REQUEST,
    GIL_SITE_HANDOFF,
    GIL_SITE_SWAP,
    GIL_SITE_IO_SUBMIT,
    GIL_SITE_IO_COMPLETE,
    GIL_SITE_KINDS
};

#define GIL_ARGUMENTS 6

/* Where a probe's argument is: in a register, or a constant. */
struct gil_argument {
    __s64 constant;
    __u16 from;  /* offset of the register in struct pt_regs; GIL_CONSTANT: the constant */
    __u16 shift; /* 64 - its width in bits */
    __u32 is_signed;
};
#define GIL_CONSTANT 0xffff

struct gil_site {
    __u32 kind;   /* enum gil_site_kind */
    __u32 python; /* libgil: thread states are those of a CPython */
    __s64 to_gil; /* stock: the interpreter's own lock, counted from the instruction */
    struct gil_argument arguments[GIL_ARGUMENTS];
};

/* A code object. The address alone may have been another's before; with that of its table of lines
 * the chance is small. */
struct gil_code {
    __u64 code, lines;
    __u32 pid, unused;
};

struct gil_place_key {
    struct gil_code code;
    __u32 tid, offset;
};

/* A thread as its own pid namespace numbers it, where that differs. */
struct gil_namespaced {
    __u32 pid, ns_tid;
};

/* What the ring buffer has beside events; the first field of each record tells. */
enum gil_record {
    GIL_RECORD_FUNCTION = GIL_EVENT_KINDS,
    GIL_RECORD_FORK, /* a gil_event: .other has forked .pid */
    GIL_RECORD_EXEC, /* a gil_event: .pid has become another program */
};

#define GIL_TEXT  192
#define GIL_LINES 1024

/* A string as the interpreter has it; the tracer makes text of it. */
struct gil_text {
    __u32 length; /* in characters */
    __u32 state;  /* the bit field that says how wide they are */
    __u8 bytes[GIL_TEXT];
};

/* A function that is seen for the first time. */
struct gil_function {
    __u16 kind, unused;
    __u32 function, pid, first_line;
    __u64 lines; /* the address of its table of lines, */
    __u64 lines_length;
    struct gil_text name, file;
    __u8 table[GIL_LINES]; /* and as much of it as fits */
};

#endif
