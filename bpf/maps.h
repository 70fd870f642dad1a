/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * The maps, and the little state that programs keep for each thread between two hits.
 *
 * Every map is bounded, and whatever does not fit or cannot be read is counted in `losses`. No
 * per-CPU scratch: a uprobe's program may be preempted, and another one's run meanwhile. */
#ifndef BPF_MAPS_H
#define BPF_MAPS_H

#include "bpf/kernel.h"
#include "bpf/shared.h"

/* Set by the tracer before loading. */
const volatile struct gil_layout layout = {};
const volatile __u32 kinds = 0;         /* 1 << GIL_EVENT_… of those to be sent */
const volatile __u32 only_tid = 0;      /* events of this thread only; 0: of all */
const volatile __u64 duration_min = 0;  /* shorter events are not sent */
const volatile bool each_hold = false;  /* stock CPython: each hold is seen, not waits only */
const volatile __u64 sample_period = 0; /* ns that a sample stands for; 0: it does not count */

__u64 attached_ns = 0; /* when the tracer had attached: no hold is known to be older */
__u64 losses[GIL_LOSSES] = {};
__u32 functions_seen = 0, threads_seen = 0;

static inline void lose(enum gil_loss loss)
{
    __sync_fetch_and_add(&losses[loss], 1);
}

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 << 20);
} ring SEC(".maps");

/* What is at each probed instruction; the probe's cookie is the index. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __type(key, __u32);
    __type(value, struct gil_site);
    __uint(max_entries, GIL_SITES);
} sites SEC(".maps");

/* The traced processes. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, __u32);
    __type(value, struct gil_process);
    __uint(max_entries, GIL_PROCESSES);
} processes SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct gil_thread);
    __uint(max_entries, GIL_THREADS);
} threads SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct gil_place_key);
    __type(value, struct gil_place_sums);
    __uint(max_entries, GIL_PLACES);
} places SEC(".maps");

/* Code objects -> the number of their function. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct gil_code);
    __type(value, __u32);
    __uint(max_entries, GIL_FUNCTIONS);
} functions SEC(".maps");

/* The threads of containers: their numbers there -> those of the first pid namespace. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct gil_namespaced);
    __type(value, __u32);
    __uint(max_entries, GIL_THREADS);
} namespaced SEC(".maps");

/* Where a thread was: in which code, at which byte of it. */
struct where {
    struct gil_code code;
    __u32 offset;
};

/* Where somebody else has last seen a thread that had the lock. */
struct seen {
    __u64 when;
    struct where where;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, __u32);
    __type(value, struct seen);
    __uint(max_entries, GIL_THREADS);
} holders SEC(".maps");

/* Between two hits. Of times and thread numbers 0 is "none". */
struct mine {
    __u32 thread;     /* index in `threads` + 1; 0: no entry was looked for yet */
    __u32 ns_tid;     /* as its own pid namespace numbers it */
    __u64 tstate;     /* stock CPython: its thread state, if it was found */
    __u64 held_since; /* it has the lock */
    struct where asks;

    /* While it waits: part_since is when the present part of the wait began, for one holder at one
     * place; `parts` of them are over. */
    __u64 waits_since, part_since;
    __u32 parts, holder, first_holder;
    struct where holds, first_holds;

    /* Of the wake-up that may end the wait: when, by whom, and when it ran then. */
    __u64 woken, ran;
    __u32 waker;

    __u32 io_op, io_fd; /* libgil: the call that it blocks in */
    __u64 granted_ns;   /* libgil: how long the grant had taken that began this hold */
    __u32 granted_by;
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct mine);
} mine SEC(".maps");

#endif
