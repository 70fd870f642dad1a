/* The USDT probes of libgil, provider `gil`. Which there are, and when each is hit:
 *
 *   released(lock, tstate, wait_ns, hold_ns, waiters, flags)
 *       A thread has given the lock up; one hit for each hold. wait_ns: how long it had waited for
 *       the lock before, 0 if it had not. hold_ns: how long it had it. waiters: how many waited
 *       when it gave it up. flags: GIL_RELEASED_… (include/gil/trace.h). A deferred release is
 *       one, and the hold after taking it back is another hold.
 *   contended(lock, tstate, holder)
 *       A thread begins to wait. It has no lock; a wait that times out has no `released` to match.
 *       holder: who has it then, or had it last.
 *   drop_request(lock, asker, holder)
 *       A waiter has asked the holder to drop the lock.
 *   handoff(lock, from, to, ns)
 *       `from` had granted the lock to `to`, which ran with it ns later. Hit in `to`, right before
 *       the `released` of that hold: the grant was hold_ns + ns before.
 *   swap(old, new)
 *       The calling thread, which holds the lock and keeps it, runs with another thread state.
 *   io_submit(tstate, op, fd)
 *       A call gives the lock up to block. op: the IORING_OP_… that does it, or would.
 *   io_complete(tstate, op, fd, res, ns)
 *       It is done, or interrupted, after ns; the lock is not back yet. res: the result, or -errno.
 *
 * lock is the address of the gil_lock. tstate, old and new are the addresses of thread states (of
 * CPython's in the CPython drop-in), 0 where the lock is used alone. from, to, asker and holder are
 * kernel thread ids as the process sees them. Times are nanoseconds; all clocks are CLOCK_MONOTONIC.
 *
 * Invariants: apart from `swap`, no probe is hit by a thread that holds the lock, so that watching
 * makes no hold longer. Unattached, a probe costs a look at its semaphore, on paths that are slow
 * anyway; only `released` is looked at on the fast path, where it takes the branch of a contended
 * lock. Operands are in registers or constants: libbpf 1.1 knows no others. The site is the
 * one-byte nop of sys/sdt.h (systemtap-sdt-dev): a longer one lets some kernels write below the stack
 * pointer of a leaf function. Without that header there are no probes, and nothing else is
 * different.
 *
 * Readable by bpftrace, perf and readelf -n; the sites are in libgil.so, in libgil-python3.11.so, or
 * in a program that links libgil.a. */
#ifndef KERNEL_HELPERS_PROBE_H
#define KERNEL_HELPERS_PROBE_H

#if __has_include(<sys/sdt.h>)
#define _SDT_HAS_SEMAPHORES 1
#define SDT_USE_VARIADIC
#define STAP_SDT_ARG_CONSTRAINT nr
#include <sys/sdt.h>

extern unsigned short gil_released_semaphore, gil_contended_semaphore, gil_drop_request_semaphore,
    gil_handoff_semaphore, gil_swap_semaphore, gil_io_submit_semaphore, gil_io_complete_semaphore;

/* How many watch the probe: the kernel counts them. */
#define PROBE_WATCHERS(name) gil_##name##_semaphore

/* Hits the probe. Its arguments are evaluated only if it is attached. */
#define PROBE(name, ...)                                                                           \
    do {                                                                                           \
        if (PROBE_ATTACHED(name))                                                                  \
            STAP_PROBEV(gil, name, __VA_ARGS__);                                                   \
    } while (0)

#else

static inline void probe_nothing(int none, ...)
{
    (void)none;
}

#define PROBE_WATCHERS(name) 0
#define PROBE(name, ...)                                                                           \
    do {                                                                                           \
        if (0)                                                                                     \
            probe_nothing(0, __VA_ARGS__);                                                         \
    } while (0)

#endif

/* Does anybody? */
#define PROBE_ATTACHED(name) __builtin_expect(PROBE_WATCHERS(name) != 0, 0)

#endif
