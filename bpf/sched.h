/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * What the scheduler does: wake-ups of threads that wait for the lock, and when they run then; and
 * processes that traced ones start. These run for every thread of the machine, so the first thing
 * they do is to find out that they have nothing to do. */
#ifndef BPF_SCHED_H
#define BPF_SCHED_H

#include "bpf/account.h"

SEC("tp_btf/sched_waking")
int waking(__u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[0];
    struct mine *m = bpf_task_storage_get(&mine, task, 0, 0);
    __u64 waker = bpf_get_current_pid_tgid();

    if (!m || !m->waits_since || m->woken)
        return 0;
    if (waker >> 32 != (__u32)task->tgid || (__u32)waker == (__u32)task->pid)
        return 0; /* by a timer, most likely */
    m->woken = bpf_ktime_get_ns();
    m->waker = (__u32)waker;
    m->ran = 0;
    return 0;
}

SEC("tp_btf/sched_switch")
int switches(__u64 *ctx)
{
    struct task_struct *next = (struct task_struct *)ctx[2];
    struct mine *m = bpf_task_storage_get(&mine, next, 0, 0);

    if (m && m->woken && !m->ran)
        m->ran = bpf_ktime_get_ns();
    return 0;
}

static inline void tell(__u16 kind, __u32 pid, __u32 other)
{
    struct gil_event record = {
        .kind = kind, .pid = pid, .other = other, .time_ns = bpf_ktime_get_ns()};

    if (bpf_ringbuf_output(&ring, &record, sizeof record, 0) != 0)
        lose(GIL_LOSS_CHILDREN);
}

/* A child has its parent's memory, and so the interpreter at the same address. */
SEC("tp_btf/sched_process_fork")
int forks(__u64 *ctx)
{
    struct task_struct *parent = (struct task_struct *)ctx[0];
    struct task_struct *child = (struct task_struct *)ctx[1];
    __u32 parent_pid = parent->tgid, pid = child->tgid, tid = child->pid;
    struct gil_process *process = bpf_map_lookup_elem(&processes, &parent_pid), copy;
    struct gil_namespaced key = {.pid = pid};

    if (!process)
        return 0;
    key.ns_tid = ns_number(child);
    if (key.ns_tid != tid)
        bpf_map_update_elem(&namespaced, &key, &tid, BPF_ANY);
    if (pid == parent_pid)
        return 0;
    copy = *process;
    if (bpf_map_update_elem(&processes, &pid, &copy, BPF_ANY) != 0)
        lose(GIL_LOSS_CHILDREN);
    else
        tell(GIL_RECORD_FORK, pid, parent_pid);
    return 0;
}

SEC("tp_btf/sched_process_exec")
int execs(__u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[0];
    __u32 pid = task->tgid;
    struct gil_process *process = bpf_map_lookup_elem(&processes, &pid);

    if (!process)
        return 0;
    process->gil = 0;
    tell(GIL_RECORD_EXEC, pid, 0);
    return 0;
}

#endif
