/* Attaching a BPF program to instructions of a file, in the memory of one process: one link for all
 * of them (uprobe_multi, Linux 6.6).
 *
 * The kernel writes a breakpoint over each instruction in that process's own copy of the page, and
 * takes it out again when the link's descriptor is closed, also by the end of this process. The
 * caller has made sure that each offset is where an instruction begins: a breakpoint in the middle
 * of one corrupts the program. */
#ifndef KERNEL_HELPERS_UPROBE_H
#define KERNEL_HELPERS_UPROBE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What libbpf 1.1 has no name for: the attach type to load such programs with. */
#define UPROBE_MULTI_ATTACH_TYPE 48

struct uprobe_points {
    const uint64_t *offsets;    /* in the file */
    const uint64_t *semaphores; /* in the file: what is counted up while attached; 0: nothing */
    const uint64_t *cookies;    /* what the program gets from bpf_get_attach_cookie() */
    size_t count;
};

/* Attaches the program to the points in the open file, for the process. Returns the link's
 * descriptor, or a negative errno. */
int uprobe_attach(int program, int file, pid_t pid, const struct uprobe_points *points);

#endif
