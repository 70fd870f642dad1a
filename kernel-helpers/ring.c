/* See ring.h. System calls and constants are used as they are: Debian 12's liburing and headers
 * know neither a ring without a file descriptor nor one in the caller's memory. */
#define _GNU_SOURCE
#include "kernel-helpers/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel-helpers/cannot.h"
#include "kernel-helpers/clock.h"
#include "kernel-helpers/futex.h"
#include "kernel-helpers/interrupt.h"

/* What the headers may be too old for. */
#define SETUP_NO_MMAP            (1U << 14)
#define SETUP_REGISTERED_FD_ONLY (1U << 15)
#define ENTER_NO_IOWAIT          (1U << 7)
#define FEATURE_REG_REG_RING     (1U << 13)
#define FEATURE_NO_IOWAIT        (1U << 17)
#define USE_REGISTERED_RING      (1U << 31) /* with an IORING_REGISTER_ number */

/* user_addr, the last member of both kinds of offsets, has had its name since Linux 6.5. */
_Static_assert(sizeof(struct io_sqring_offsets) == 40, "user_addr is at 32");
_Static_assert(sizeof(struct io_cqring_offsets) == 40, "user_addr is at 32");
_Static_assert(sizeof(struct io_uring_params) == 120, "io_uring_params is what the kernel takes");
_Static_assert(sizeof(struct io_uring_sqe) == 64, "io_uring_sqe is what the kernel takes");
_Static_assert(sizeof(struct io_uring_cqe) == 16, "io_uring_cqe is what the kernel gives");
_Static_assert(sizeof(struct io_uring_rsrc_update) == 16, "rsrc_update is what the kernel takes");
_Static_assert(sizeof(struct io_uring_getevents_arg) == 24,
               "getevents_arg is what the kernel takes");

enum { USER_ADDR = 32 };

/* What the kernel keeps in the memory of the rings besides their entries: 192 bytes so far. */
enum { RINGS_SIZE = 512 };

enum { RINGS, REQUESTS };

static int negative(long result)
{
    return result < 0 ? -errno : (int)result;
}

/* ---- Making one ---- */

static uint32_t setup_flags(void)
{
    return IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;
}

static size_t whole_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

static void unmap(struct ring *r)
{
    for (int i = RINGS; i <= REQUESTS; i++)
        if (r->memory[i])
            munmap(r->memory[i], r->size[i]);
}

static int map(struct ring *r, int which, size_t size, int flags, int fd, off_t offset)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, offset);

    if (memory == MAP_FAILED)
        return -errno;
    r->memory[which] = memory;
    r->size[which] = size;
    madvise(memory, size, MADV_DONTFORK);
    return 0;
}

static uint32_t power_of_two(uint32_t n)
{
    uint32_t power = 1;

    while (power < n)
        power *= 2;
    return power;
}

static void set_user_addr(void *offsets, const void *memory)
{
    uint64_t addr = (uintptr_t)memory;

    memcpy((char *)offsets + USER_ADDR, &addr, sizeof addr);
}

/* In memory of ours: the kernel puts the ring into the thread's table by itself. */
static int set_up_ours(struct ring *r, uint32_t entries, struct io_uring_params *p)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    size_t n = power_of_two(entries);
    int error;

    error =
        map(r, RINGS,
            whole_pages(RINGS_SIZE + n * sizeof(uint32_t) + 2 * n * sizeof(struct io_uring_cqe)),
            flags, -1, 0);
    if (!error)
        error = map(r, REQUESTS, whole_pages(n * sizeof(struct io_uring_sqe)), flags, -1, 0);
    if (error)
        return error;
    p->flags = setup_flags() | SETUP_NO_MMAP | SETUP_REGISTERED_FD_ONLY;
    set_user_addr(&p->cq_off, r->memory[RINGS]);
    set_user_addr(&p->sq_off, r->memory[REQUESTS]);
    return negative(syscall(SYS_io_uring_setup, entries, p));
}

/* Puts the ring behind a file descriptor into the thread's table. */
static int enter_in_table(int fd)
{
    struct io_uring_rsrc_update slot = {.offset = UINT32_MAX, .data = (uint32_t)fd};
    int n = negative(syscall(SYS_io_uring_register, fd, IORING_REGISTER_RING_FDS, &slot, 1));

    return n < 0 ? n : (int)slot.offset;
}

/* In memory of the kernel's, which is mapped through a file descriptor. */
static int set_up_kernels(struct ring *r, uint32_t entries, struct io_uring_params *p)
{
    size_t rings, cqes;
    int fd, index;

    p->flags = setup_flags();
    fd = negative(syscall(SYS_io_uring_setup, entries, p));
    if (fd < 0)
        return fd;
    rings = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
    cqes = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    index = map(r, RINGS, rings > cqes ? rings : cqes, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    if (!index)
        index = map(r, REQUESTS, p->sq_entries * sizeof(struct io_uring_sqe), MAP_SHARED, fd,
                    (off_t)IORING_OFF_SQES);
    if (!index)
        index = enter_in_table(fd);
    close(fd);
    return index;
}

static void set_pointers(struct ring *r, const struct io_uring_params *p)
{
    char *rings = r->memory[RINGS];
    uint32_t *array = (uint32_t *)(void *)(rings + p->sq_off.array);

    r->sqes = r->memory[REQUESTS];
    r->cqes = (const struct io_uring_cqe *)(void *)(rings + p->cq_off.cqes);
    r->sq_head = (uint32_t *)(void *)(rings + p->sq_off.head);
    r->sq_tail = (uint32_t *)(void *)(rings + p->sq_off.tail);
    r->cq_head = (uint32_t *)(void *)(rings + p->cq_off.head);
    r->cq_tail = (uint32_t *)(void *)(rings + p->cq_off.tail);
    r->sq_entries = p->sq_entries;
    r->cq_entries = p->cq_entries;
    r->enter_flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | IORING_ENTER_REGISTERED_RING |
                     (p->features & FEATURE_NO_IOWAIT ? ENTER_NO_IOWAIT : 0);
    for (uint32_t i = 0; i < r->sq_entries; i++)
        array[i] = i;
}

int ring_make_in(struct ring *r, enum ring_memory memory, uint32_t entries, uint32_t workers)
{
    struct io_uring_params p;
    uint32_t most[2] = {workers, workers}; /* for regular files, and for all else */

    memset(r, 0, sizeof *r);
    memset(&p, 0, sizeof p);
    r->index = memory == RING_OURS ? set_up_ours(r, entries, &p) : set_up_kernels(r, entries, &p);
    if (r->index < 0) {
        unmap(r);
        return r->index;
    }
    set_pointers(r, &p);
    if (p.features & FEATURE_REG_REG_RING) /* otherwise the kernel's own limits hold */
        syscall(SYS_io_uring_register, r->index,
                IORING_REGISTER_IOWQ_MAX_WORKERS | USE_REGISTERED_RING, most, 2);
    return 0;
}

int ring_make(struct ring *r, uint32_t entries, uint32_t workers)
{
    int error = ring_make_in(r, RING_OURS, entries, workers);

    /* The first kernels that have it want it in one page. */
    if (error == -EINVAL || error == -EFAULT)
        error = ring_make_in(r, RING_KERNELS, entries, workers);
    return error;
}

/* Where the kernel is too old for the call, the thread's end frees its place in the table. */
void ring_free(struct ring *r)
{
    struct io_uring_rsrc_update slot = {.offset = (uint32_t)r->index};

    syscall(SYS_io_uring_register, r->index, IORING_UNREGISTER_RING_FDS | USE_REGISTERED_RING,
            &slot, 1);
    unmap(r);
}

/* ---- Requests ---- */

/* The kernel takes requests only in ring_enter(), so the tail may be moved at any time. */
uint32_t ring_prepared(const struct ring *r)
{
    return r->prepared - __atomic_load_n(r->sq_head, __ATOMIC_ACQUIRE);
}

struct io_uring_sqe *ring_prepare(struct ring *r)
{
    struct io_uring_sqe *sqe;

    if (ring_prepared(r) == r->sq_entries)
        return NULL;
    sqe = &r->sqes[r->prepared++ & (r->sq_entries - 1)];
    memset(sqe, 0, sizeof *sqe);
    return sqe;
}

void ring_take_back(struct ring *r)
{
    r->prepared = __atomic_load_n(r->sq_head, __ATOMIC_ACQUIRE);
    __atomic_store_n(r->sq_tail, r->prepared, __ATOMIC_RELEASE);
}

uint64_t ring_take_back_last(struct ring *r)
{
    r->prepared--;
    __atomic_store_n(r->sq_tail, r->prepared, __ATOMIC_RELEASE);
    return r->sqes[r->prepared & (r->sq_entries - 1)].user_data;
}

void ring_cancel(struct io_uring_sqe *request, uint64_t user_data, uint64_t own_user_data)
{
    request->opcode = IORING_OP_ASYNC_CANCEL;
    request->fd = -1;
    request->addr = user_data;
    request->user_data = own_user_data;
}

/* ---- Entering, and what comes out ---- */

enum { REFUSALS_MOST = 1000, REST_NS = 1000000 };

static const uint32_t never;

static void set_time_left(struct __kernel_timespec *left, int64_t deadline_ns)
{
    int64_t ns = deadline_ns - clock_now_ns();

    if (ns < 0)
        ns = 0;
    left->tv_sec = ns / INT64_C(1000000000);
    left->tv_nsec = ns % INT64_C(1000000000);
}

int ring_enter(struct ring *r, uint32_t completions, int64_t deadline_ns, const uint32_t *word,
               uint32_t bits)
{
    struct __kernel_timespec left;
    struct io_uring_getevents_arg arg = {0};
    const long args[] = {r->index,          (long)ring_prepared(r),
                         (long)completions, r->enter_flags,
                         (long)&arg,        sizeof arg};
    long result;

    __atomic_store_n(r->sq_tail, r->prepared, __ATOMIC_RELEASE);
    if (deadline_ns != FUTEX_FOREVER) {
        set_time_left(&left, deadline_ns);
        arg.ts = (uintptr_t)&left;
    }
    result = interruptible_syscall(word ? word : &never, bits, SYS_io_uring_enter, args);
    if (!ring_refused((int)result))
        r->refusals = 0;
    return result < 0 ? (int)result : 0;
}

bool ring_refused(int error)
{
    return error < 0 && error != -EINTR && error != -ETIME;
}

void ring_endure(struct ring *r, int error)
{
    struct timespec rest = {0, REST_NS};

    if (++r->refusals == REFUSALS_MOST)
        cannot("wait for what io_uring has begun", strerror(-error));
    interruptible_syscall(&never, 0, SYS_nanosleep, (const long[6]){(long)&rest, 0});
}

bool ring_next(struct ring *r, struct io_uring_cqe *completion)
{
    uint32_t head = *r->cq_head;

    if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
        return false;
    memcpy(completion, &r->cqes[head & (r->cq_entries - 1)], sizeof *completion);
    __atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
    return true;
}
