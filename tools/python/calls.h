/* Between the GIL hooks (hooks.c) and the interposed blocking calls (calls_*.c).
 *
 * CPython drops the GIL (hooks.c sees it), makes a call that may block, and takes the GIL back.
 * When others wait for the GIL, the drop may have been *deferred*: the lock is given up, but
 * nobody has been woken for it. A wrapper that finds a deferral pending tries the call in a form
 * that cannot block. If that succeeds it returns, and CPython takes the GIL back with one atomic
 * operation. If it would block, the wrapper completes the release with py_call_blocks(), which
 * wakes the next waiter, and makes the plain call.
 *
 * Invariant: a wrapper never sleeps while a deferral of its thread is pending, and whatever it
 * tries first is invisible: results, errno and out-parameters are those of the plain call alone. */
#ifndef GIL_PYTHON_CALLS_H
#define GIL_PYTHON_CALLS_H

#include <stdbool.h>

/* Exported over libc's function of the same name. */
#define PY_WRAPPER __attribute__((visibility("default")))

/* Set while a deferral of this thread is pending. Also false in a signal handler that interrupted a
 * step of the lock, and in threads that never touched Python. */
extern _Thread_local bool py_deferral_pending;

/* One TLS load: is there anything to do before a plain call? */
static inline bool py_deferred(void)
{
    return __builtin_expect(py_deferral_pending, 0);
}

/* The call is going to block (or may, and there is no way to try it): completes the deferred
 * release and wakes the next waiter. Keeps errno. Does nothing when no deferral is pending. `tried`
 * says whether the wrapper could try the call first, for the predictor: sites whose calls cannot be
 * tried or never succeed at once are not worth a deferral. */
void py_call_blocks(bool tried);

/* The call was tried and succeeded (or failed for good) without blocking, for the predictor. The
 * deferral stays pending: CPython takes the GIL back next. Keeps errno. */
void py_call_done(void);

/* The call gives the processor away (a sleep, sched_yield): makes sure that a thread that waits for
 * the GIL gets it, even if the call is over at once. Call it whether or not a deferral is pending.
 */
void py_call_yields(void);

/* Another thread, which mostly has the GIL, has just ended the call by waking this one: it gets a
 * moment to finish what it is at before this thread asks it for the GIL. */
void py_call_woken(void);

/* Finds libc's own function behind a wrapper. */
void *py_real_slow(const char *name);

/* One function of libc that wrappers use. All of them stand together in one section, so that
 * calls_real.c can look them up when the library is loaded: no wrapper then calls dlsym in a signal
 * handler or in a vfork child. A wrapper that runs before that looks up its own. */
struct py_real {
    void *function;
    const char *name;
};

/* libc's own function: REAL(recv)(fd, buf, len, flags). */
#define REAL(name_)                                                                                \
    ({                                                                                             \
        static struct py_real real_                                                                \
            __attribute__((section("py_reals"), aligned(16), used)) = {0, #name_};                 \
        void *now_ = __atomic_load_n(&real_.function, __ATOMIC_RELAXED);                           \
        if (__builtin_expect(now_ == 0, 0)) {                                                      \
            now_ = py_real_slow(real_.name);                                                       \
            __atomic_store_n(&real_.function, now_, __ATOMIC_RELAXED);                             \
        }                                                                                          \
        (__typeof__(&name_))now_;                                                                  \
    })

#endif
