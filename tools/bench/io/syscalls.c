/* Counts system calls at the kernel's own tracepoint, in all threads of the process. Needs tracefs
 * and the right to use it. */
#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/bench/io/bench.h"

static int counter = -1;

static bool id_of_tracepoint(uint64_t *id)
{
    FILE *f = fopen("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "re");
    unsigned long long found;
    bool known = f && fscanf(f, "%llu", &found) == 1;

    if (f)
        fclose(f);
    if (known)
        *id = found;
    return known;
}

void syscalls_start(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .inherit = 1};
    uint64_t id;

    if (!id_of_tracepoint(&id))
        return;
    attr.config = id;
    counter = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

bool syscalls_so_far(uint64_t *count)
{
    return counter >= 0 && read(counter, count, sizeof *count) == sizeof *count;
}
