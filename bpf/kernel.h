/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * The few kernel types that the programs look into, with only the fields they use: where those are
 * is filled in at load time from the running kernel's BTF. So no generated vmlinux.h is needed. */
#ifndef BPF_KERNEL_H
#define BPF_KERNEL_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct upid {
    int nr;
};

struct pid {
    unsigned int level;
    struct upid numbers[1];
};

struct task_struct {
    int pid, tgid;
    struct task_struct *group_leader;
    struct pid *thread_pid;
};

#pragma clang attribute pop

/* What a uprobe's program is given; the layout is the processor's, and part of the kernel's
 * interface. */
struct registers {
    unsigned long r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
    unsigned long rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp, ss;
};

#endif
