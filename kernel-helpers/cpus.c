/* See cpus.h. */
#define _GNU_SOURCE
#include "kernel-helpers/cpus.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a small file into buf as a string; returns 0, or -1 when there is none. */
static int read_small(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = read(fd, buf, size - 1);
    close(fd);
    if (n <= 0)
        return -1;
    buf[n] = '\0';
    return 0;
}

/* The quota in CPUs, rounded up, or 0 when there is none. */
static int cgroup_quota(void)
{
    char buf[512], path[640] = "/sys/fs/cgroup";
    char *group, *end;
    long quota, period;

    if (read_small("/proc/self/cgroup", buf, sizeof buf) || strncmp(buf, "0::/", 4) != 0)
        return 0;
    group = buf + 3;
    group[strcspn(group, "\n")] = '\0';
    strcat(path, group);
    strcat(path, "/cpu.max");
    if (read_small(path, buf, sizeof buf))
        return 0;
    quota = strtol(buf, &end, 10);
    if (end == buf) /* "max 100000" */
        return 0;
    period = strtol(end, NULL, 10);
    return period > 0 && quota > 0 ? (int)((quota + period - 1) / period) : 0;
}

int cpus_usable(void)
{
    int saved = errno;
    int quota = cgroup_quota();
    int count = 1;
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    if (quota > 0 && quota < count)
        count = quota;
    errno = saved;
    return count;
}
