/* How many CPUs the process may use: its affinity mask, or the quota of its cgroup where that is
 * less. The program stands in for the kernel: it defines the open and the sched_getaffinity that
 * the library calls. */
#include "harness.h"

#include <stdarg.h>
#include <sys/mman.h>

#include "kernel-helpers/cpus.h"

/* What the kernel's files hold; NULL: there is no such file. */
static const char *cgroup, *cpu_max, *cpu_max_path;
static int affinity; /* -1: refused */

static int file_with(const char *text)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

int open(const char *path, int flags, ...)
{
    const char *text = NULL;
    va_list list;
    mode_t mode;

    va_start(list, flags);
    mode = va_arg(list, mode_t);
    va_end(list);
    if (strcmp(path, "/proc/self/cgroup") == 0)
        text = cgroup;
    else if (strcmp(path, cpu_max_path ? cpu_max_path : "") == 0)
        text = cpu_max;
    else if (strncmp(path, "/sys/fs/cgroup", 14) != 0)
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (text)
        return file_with(text);
    errno = ENOENT;
    return -1;
}

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    (void)pid;
    if (affinity < 0) {
        errno = EPERM;
        return -1;
    }
    CPU_ZERO_S(size, set);
    for (int cpu = 0; cpu < affinity; cpu++)
        CPU_SET_S((size_t)(3 * cpu), size, set);
    return 0;
}

static void kernel_has(int cpus, const char *group, const char *path, const char *max)
{
    affinity = cpus;
    cgroup = group;
    cpu_max_path = path;
    cpu_max = max;
}

START_TEST(the_affinity_mask_is_counted)
{
    kernel_has(5, NULL, NULL, NULL);
    ck_assert_int_eq(cpus_usable(), 5);
}
END_TEST

START_TEST(at_least_one)
{
    kernel_has(-1, NULL, NULL, NULL);
    ck_assert_int_eq(cpus_usable(), 1);
}
END_TEST

START_TEST(a_quota_below_that_counts)
{
    kernel_has(8, "0::/\n", "/sys/fs/cgroup//cpu.max", "200000 100000\n");
    ck_assert_int_eq(cpus_usable(), 2);
}
END_TEST

START_TEST(a_part_of_a_cpu_counts_as_one)
{
    kernel_has(8, "0::/\n", "/sys/fs/cgroup//cpu.max", "150000 100000\n");
    ck_assert_int_eq(cpus_usable(), 2);
    kernel_has(8, "0::/\n", "/sys/fs/cgroup//cpu.max", "1000 100000\n");
    ck_assert_int_eq(cpus_usable(), 1);
}
END_TEST

START_TEST(a_quota_above_that_does_not_count)
{
    kernel_has(2, "0::/\n", "/sys/fs/cgroup//cpu.max", "900000 100000\n");
    ck_assert_int_eq(cpus_usable(), 2);
}
END_TEST

START_TEST(the_group_is_the_process_s_own)
{
    kernel_has(8, "0::/a.slice/b.scope\n", "/sys/fs/cgroup/a.slice/b.scope/cpu.max",
               "300000 100000\n");
    ck_assert_int_eq(cpus_usable(), 3);
}
END_TEST

static const char *const no_quota[] = {"max 100000\n", "",  "nonsense\n", "100000 0\n",
                                       "-1 100000\n",  NULL};

START_TEST(without_a_quota)
{
    kernel_has(8, "0::/\n", "/sys/fs/cgroup//cpu.max", no_quota[_i]);
    ck_assert_int_eq(cpus_usable(), 8);
}
END_TEST

START_TEST(groups_of_version_1_are_not_looked_at)
{
    kernel_has(8, "4:cpu:/\n0::/\n", "/sys/fs/cgroup//cpu.max", "100000 100000\n");
    ck_assert_int_eq(cpus_usable(), 8);
}
END_TEST

START_TEST(errno_is_kept)
{
    kernel_has(-1, NULL, NULL, NULL);
    errno = 77;
    cpus_usable();
    ck_assert_int_eq(errno, 77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpus");
    TCase *tc = tcase_create("cpus");

    tcase_add_test(tc, the_affinity_mask_is_counted);
    tcase_add_test(tc, at_least_one);
    tcase_add_test(tc, a_quota_below_that_counts);
    tcase_add_test(tc, a_part_of_a_cpu_counts_as_one);
    tcase_add_test(tc, a_quota_above_that_does_not_count);
    tcase_add_test(tc, the_group_is_the_process_s_own);
    tcase_add_loop_test(tc, without_a_quota, 0, sizeof no_quota / sizeof *no_quota);
    tcase_add_test(tc, groups_of_version_1_are_not_looked_at);
    tcase_add_test(tc, errno_is_kept);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
