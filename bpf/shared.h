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
    __u64 time_ns;     /* when it ended */
    __u64 duration_ns; /* it began this much earlier; swap: 0 */
    __u64 lock;        /* its address in the process; swap: the new thread state */
    __u32 pid, tid;    /* whom it happened to */
    struct gil_place place;
    __u16 kind;  /* enum gil_event_kind */
    __u16 flags; /* enum gil_event_flags */
    __u32 other; /* tid: who had the lock when the wait began, or is to blame, or handed it on */
    union {
        struct gil_place other_place; /* wait, blame: where that thread was; handoff: not used */
        struct {
            __u64 from, to; /* thread states; 0: none */
        } swap;
        struct {
            __s32 op, fd; /* which call (include/gil/io.h), or -1 */
            __s64 result; /* or -errno */
        } io;
        __u64 delay_ns; /* handoff: of this, the time it could run but no processor ran it */
    };
};

#endif
