/* See uprobe.h. libbpf 1.1 has no wrapper, and its headers no definition: bpf(2) is called here. */
#define _GNU_SOURCE
#include "kernel-helpers/uprobe.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* link_create with its member uprobe_multi, of the kernel's union bpf_attr. */
struct link_create {
    uint32_t program, target, attach_type, flags;
    uint64_t path, offsets, semaphores, cookies;
    uint32_t count, multi_flags, pid, unused;
};

_Static_assert(offsetof(struct link_create, path) ==
                   offsetof(union bpf_attr, link_create.kprobe_multi),
               "the kernel's layout");
_Static_assert(BPF_TRACE_KPROBE_MULTI == 42 && BPF_TRACE_KPROBE_MULTI < UPROBE_MULTI_ATTACH_TYPE,
               "the kernel's numbers");

int uprobe_attach(int program, int file, pid_t pid, const struct uprobe_points *points)
{
    char path[64];
    struct link_create create = {
        .program = (uint32_t)program,
        .attach_type = UPROBE_MULTI_ATTACH_TYPE,
        .path = (uintptr_t)path,
        .offsets = (uintptr_t)points->offsets,
        .semaphores = (uintptr_t)points->semaphores,
        .cookies = (uintptr_t)points->cookies,
        .count = (uint32_t)points->count,
        .pid = (uint32_t)pid,
    };
    long link;

    /* By descriptor, so that it is the very file that the offsets were found in. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    link = syscall(SYS_bpf, BPF_LINK_CREATE, &create, sizeof create);
    return link < 0 ? -errno : (int)link;
}
