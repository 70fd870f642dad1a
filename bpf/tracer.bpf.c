/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * The BPF programs of the tracer (tools/cli/tracer.h), one file each:
 *
 *   cpython.h   stock CPython's calls     libgil.h   the probes of libgil
 *   sched.h     wake-ups, children        sample.h   the timer
 *
 * on top of wait.h (waits, holds and whom to blame), account.h (sums, events), frame.h (where a
 * thread of CPython is), maps.h and kernel.h. */
#include "bpf/kernel.h"

#include "bpf/cpython.h"
#include "bpf/libgil.h"
#include "bpf/sample.h"
#include "bpf/sched.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
