/* See features.h. */
#define _GNU_SOURCE
#include "kernel-helpers/features.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

static void say(struct feature *f, bool there, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct feature *f, bool there, const char *format, ...)
{
    va_list args;

    f->there = there;
    va_start(args, format);
    vsnprintf(f->about, sizeof f->about, format, args);
    va_end(args);
}

/* The first line of a small file; false with errno. */
static bool read_line(const char *path, char *line, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, line, size - 1);
    int error = errno;

    if (fd >= 0)
        close(fd);
    line[got > 0 ? got : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    errno = error;
    return got >= 0;
}

static void check_futex(struct feature *f)
{
    uint32_t word = 1;
    long result = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL,
                          FUTEX_BITSET_MATCH_ANY);

    if (result < 0 && errno == EAGAIN)
        say(f, true, "works");
    else
        say(f, false, "the kernel refuses it: %s; a filter (seccomp) of the container?",
            strerror(errno));
}

static void check_btf(struct feature *f)
{
    static const char path[] = "/sys/kernel/btf/vmlinux";

    if (access(path, R_OK) == 0)
        say(f, true, "%s", path);
    else
        say(f, false, "%s: %s; the kernel needs CONFIG_DEBUG_INFO_BTF", path, strerror(errno));
}

static void check_uprobes(struct feature *f)
{
    static const char path[] = "/sys/bus/event_source/devices/uprobe/type";

    if (access(path, R_OK) == 0)
        say(f, true, "the kernel has them");
    else
        say(f, false, "%s: %s; the kernel needs CONFIG_UPROBE_EVENTS", path, strerror(errno));
}

/* ---- BPF, without a library ---- */

static int bpf(int command, union bpf_attr *attr, size_t size)
{
    return (int)syscall(SYS_bpf, command, attr, size);
}

/* Attach type and fields of Linux 6.6, which older headers do not have. */
enum { ATTACH_UPROBE_MULTI = 48 };

struct link_create {
    uint32_t program, target, attach_type, flags;
    uint64_t path, offsets, ref_counts, cookies;
    uint32_t count, multi_flags, pid, unused;
};

/* A program that does nothing, to be attached to user probes; -1 with errno. */
static int load_program(void)
{
    static const struct bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr attr = {0};

    attr.prog_type = BPF_PROG_TYPE_KPROBE;
    attr.expected_attach_type = ATTACH_UPROBE_MULTI;
    attr.insns = (uint64_t)(uintptr_t)code;
    attr.insn_cnt = sizeof code / sizeof code[0];
    attr.license = (uint64_t)(uintptr_t) "Dual MIT/GPL";
    return bpf(BPF_PROG_LOAD, &attr, sizeof attr);
}

/* A folder holds no instructions: a kernel that knows uprobe_multi says EBADF, others EINVAL. */
static void check_uprobe_multi(struct feature *f)
{
    union {
        union bpf_attr attr;
        struct link_create link;
    } a;
    uint64_t offset = 0;
    int program = load_program(), link;

    if (program < 0) {
        say(f, false, "BPF programs are not accepted: %s%s", strerror(errno),
            errno == EPERM ? " (CAP_BPF and CAP_PERFMON, or root)" : "");
        return;
    }
    memset(&a, 0, sizeof a);
    a.link.program = (uint32_t)program;
    a.link.target = (uint32_t)-1;
    a.link.attach_type = ATTACH_UPROBE_MULTI;
    a.link.path = (uint64_t)(uintptr_t) "/";
    a.link.offsets = (uint64_t)(uintptr_t)&offset;
    a.link.count = 1;
    link = bpf(BPF_LINK_CREATE, &a.attr, sizeof a);
    if (link < 0 && errno == EBADF)
        say(f, true, "works");
    else
        say(f, false, "this kernel has none: Linux 6.6 and later do");
    if (link >= 0)
        close(link);
    close(program);
}

static void check_tracefs(struct feature *f)
{
    static const char *const places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
    struct statfs about;

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (statfs(places[i], &about) != 0 || about.f_type != TRACEFS_MAGIC)
            continue;
        if (access(places[i], R_OK | X_OK) == 0)
            say(f, true, "%s", places[i]);
        else
            say(f, false, "%s: %s", places[i], strerror(errno));
        return;
    }
    say(f, false, "not mounted: mount -t tracefs tracefs /sys/kernel/tracing");
}

/* ---- Permissions ---- */

static uint64_t capabilities(void)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    uint64_t set = 0;

    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "CapEff:", 7) == 0)
            set = strtoull(line + 7, NULL, 16);
    if (status)
        fclose(status);
    return set;
}

static bool has(uint64_t set, int capability)
{
    return set >> capability & 1;
}

static void check_capabilities(struct feature *f)
{
    uint64_t set = capabilities();
    bool admin = has(set, CAP_SYS_ADMIN);
    bool bpf_too = admin || has(set, CAP_BPF), perfmon = admin || has(set, CAP_PERFMON);
    bool ptrace = has(set, CAP_SYS_PTRACE);

    if (bpf_too && perfmon && ptrace)
        say(f, true, "CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE are there");
    else
        say(f, false, "missing:%s%s%s; run gil as root, or give it these",
            bpf_too ? "" : " CAP_BPF", perfmon ? "" : " CAP_PERFMON",
            ptrace ? "" : " CAP_SYS_PTRACE");
}

static void check_lockdown(struct feature *f)
{
    char line[128];

    if (!read_line("/sys/kernel/security/lockdown", line, sizeof line))
        say(f, true, "the kernel has none");
    else if (strstr(line, "[confidentiality]"))
        say(f, false, "in mode confidentiality, in which BPF may not read memory");
    else
        say(f, true, "%s",
            strstr(line, "[integrity]") ? "in mode integrity, which is no obstacle" : "off");
}

static void check_paranoid(struct feature *f)
{
    char line[16];
    uint64_t set = capabilities();

    if (!read_line("/proc/sys/kernel/perf_event_paranoid", line, sizeof line))
        say(f, false, "no perf events in this kernel");
    else if (has(set, CAP_PERFMON) || has(set, CAP_SYS_ADMIN))
        say(f, true, "%s, which does not concern a process with CAP_PERFMON", line);
    else if (atoi(line) < 0)
        say(f, true, "%s", line);
    else
        say(f, false, "%s: sampling needs CAP_PERFMON, or sysctl kernel.perf_event_paranoid=-1",
            line);
}

void features_check(struct feature features[FEATURES])
{
    static const struct {
        const char *name;
        void (*check)(struct feature *f);
    } checks[FEATURES] = {
        {"futex", check_futex},       {"BTF", check_btf},
        {"uprobes", check_uprobes},   {"uprobe_multi", check_uprobe_multi},
        {"tracefs", check_tracefs},   {"capabilities", check_capabilities},
        {"lockdown", check_lockdown}, {"perf_event_paranoid", check_paranoid},
    };

    for (size_t i = 0; i < FEATURES; i++) {
        memset(&features[i], 0, sizeof features[i]);
        features[i].name = checks[i].name;
        checks[i].check(&features[i]);
    }
}
