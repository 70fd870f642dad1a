/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * The timer, on each processor: does the thread that it interrupts hold an interpreter's lock, and
 * where is it? In the tier `sample` each such sample counts as a hold of one period; otherwise it
 * only tells where a long hold was spent. */
#ifndef BPF_SAMPLE_H
#define BPF_SAMPLE_H

#include "bpf/wait.h"

SEC("perf_event")
int sample(void *ctx __attribute__((unused)))
{
    struct hit h = {.pid = bpf_get_current_pid_tgid() >> 32};
    struct gil_process *process = bpf_map_lookup_elem(&processes, &h.pid);
    struct where where;

    if (!process || !process->gil || !load32(process->gil + layout.gil_locked))
        return 0;
    if (!hit_begins(&h))
        return 0;
    h.lock = process->gil;
    if (find_holder(&h, h.lock, &where) != h.tid || !sample_period)
        return 0;
    hold_ends(&h, sample_period, &where, GIL_EVENT_SAMPLE);
    return 0;
}

#endif
