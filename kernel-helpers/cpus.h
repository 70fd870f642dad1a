/* How many CPUs this process may use at the same time. */
#ifndef KERNEL_HELPERS_CPUS_H
#define KERNEL_HELPERS_CPUS_H

/* CPUs in the calling thread's affinity mask, or fewer when the process's cgroup (version 2) has a
 * quota below that: a quota of 1.5 CPUs counts as 2. At least 1. Reads one small file; not for
 * hot paths. */
int cpus_usable(void);

#endif
