/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * Adding up durations, and sending events. */
#ifndef BPF_ACCOUNT_H
#define BPF_ACCOUNT_H

#include "bpf/frame.h"

/* A traced thread at one hit of a probe. */
struct hit {
    struct mine *mine;
    struct gil_thread *thread; /* NULL: there was no room for it */
    __u64 now, lock;
    __u32 pid, tid;
};

/* How the task's own pid namespace numbers it. */
static inline __u32 ns_number(struct task_struct *task)
{
    struct pid *pid = BPF_CORE_READ(task, thread_pid);
    __u32 level = BPF_CORE_READ(pid, level), number = 0;

    bpf_probe_read_kernel(&number, sizeof number,
                          (void *)&pid->numbers[0].nr + level * bpf_core_type_size(struct upid));
    return number;
}

/* Gives the thread an entry of its own. */
static __noinline void new_thread(struct mine *m, struct task_struct *task, __u32 pid, __u32 tid)
{
    __u32 index = __sync_fetch_and_add(&threads_seen, 1);
    struct gil_thread *t = bpf_map_lookup_elem(&threads, &index);
    struct gil_namespaced key = {.pid = pid};

    m->ns_tid = key.ns_tid = ns_number(task);
    m->thread = index + 1;
    if (m->ns_tid != tid)
        bpf_map_update_elem(&namespaced, &key, &tid, BPF_ANY);
    if (!t)
        return;
    t->pid = pid;
    t->ns_tid = m->ns_tid;
    t->ns_pid = ns_number(BPF_CORE_READ(task, group_leader));
    bpf_get_current_comm(t->name, sizeof t->name);
    t->tid = tid; /* last: the entry is valid now */
}

/* Returns false if the kernel cannot keep anything for the thread. */
static inline bool hit_begins(struct hit *h)
{
    struct task_struct *task = bpf_get_current_task_btf();
    __u64 id = bpf_get_current_pid_tgid();
    __u32 index;

    h->mine = bpf_task_storage_get(&mine, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!h->mine) {
        lose(GIL_LOSS_THREADS);
        return false;
    }
    h->now = bpf_ktime_get_ns();
    h->pid = id >> 32;
    h->tid = (__u32)id;
    if (!h->mine->thread)
        new_thread(h->mine, task, h->pid, h->tid);
    index = h->mine->thread - 1;
    h->thread = bpf_map_lookup_elem(&threads, &index);
    if (h->thread)
        h->thread->hits++;
    else
        lose(GIL_LOSS_THREADS);
    return true;
}

static inline void add(struct gil_sum *sum, __u64 ns)
{
    sum->count++;
    sum->sum_ns += ns;
    if (ns > sum->max_ns)
        sum->max_ns = ns;
}

static inline void add_slot(struct gil_durations *histogram, __u64 ns)
{
    __u32 slot = gil_slot(ns);

    add(&histogram->all, ns);
    if (slot < GIL_SLOTS)
        histogram->slots[slot]++;
}

/* The sums of a thread at a place; *function is its number even where there is no room for sums. */
static inline struct gil_place_sums *place_of(const struct hit *h, const struct where *w, __u32 tid,
                                              __u32 *function)
{
    struct gil_place_key key = {.code = w->code, .tid = tid, .offset = w->offset};
    struct gil_place_sums *found = bpf_map_lookup_elem(&places, &key), empty = {};

    if (!found) {
        empty.function = number_of(w);
        if (!empty.function) {
            key.code = (struct gil_code){.pid = h->pid};
            key.offset = 0;
        }
        *function = empty.function;
        bpf_map_update_elem(&places, &key, &empty, BPF_NOEXIST);
        found = bpf_map_lookup_elem(&places, &key);
    }
    if (found)
        *function = found->function;
    else
        lose(GIL_LOSS_PLACES);
    return found;
}

static inline bool wanted(const struct hit *h, enum gil_event_kind kind, __u64 duration)
{
    return (kinds >> kind & 1) && duration >= duration_min && (!only_tid || only_tid == h->tid);
}

/* An event of this thread, to be completed by the caller and sent. */
static inline struct gil_event event_of(const struct hit *h, enum gil_event_kind kind, __u64 end,
                                        __u64 duration)
{
    return (struct gil_event){.kind = kind,
                              .time_ns = end,
                              .duration_ns = duration,
                              .lock = h->lock,
                              .pid = h->pid,
                              .tid = h->tid};
}

static inline void send(const struct gil_event *event)
{
    if (bpf_ringbuf_output(&ring, (void *)event, sizeof *event, BPF_RB_NO_WAKEUP) != 0)
        lose(GIL_LOSS_BUFFER);
}

#endif
