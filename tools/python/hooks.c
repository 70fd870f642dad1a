/* The interpreter's GIL operations, recognised by the addresses of its mutex and condition
 * variables and answered by libgil's lock. Only the interpreter's own calls come here (redirect.h);
 * what concerns other objects goes straight on to libc.
 *
 * CPython 3.11 takes its GIL (take_gil) with: lock mutex, wait on cond while `locked`, lock
 * switch_mutex, locked = 1, signal switch_cond, unlock switch_mutex, unlock mutex. It drops it
 * (drop_gil) with: lock mutex, locked = 0, signal cond, unlock mutex, and, if a drop was requested,
 * wait on switch_cond until another thread has it. Here
 *
 *   lock(mutex)    by a thread that does not own libgil's lock is take_gil: acquire
 *                  by one that does is drop_gil: nothing yet
 *   unlock(mutex)  with locked == 1 is the end of take_gil: nothing
 *                  with locked == 0 is drop_gil: release
 *
 * and the waits are answered at once, since the lock has done the waiting already.
 *
 * Invariant: whoever returns from lock(mutex) in take_gil owns libgil's lock and finds locked == 0.
 * The exception is a thread that waits while the interpreter is being finalised: it returns *late*,
 * without the lock, CPython then finds that it must exit, and never touches its GIL again. */
#define _GNU_SOURCE
#include "tools/python/hooks.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "kernel-helpers/clock.h"
#include "lib/lock_impl.h"
#include "tools/python/calls.h"
#include "tools/python/predictor.h"
#include "tools/python/redirect.h"
#include "tools/python/runtime.h"

/* A call that gives the processor away and takes less than this, ns, did not sleep. */
#define YIELD_NS 50000

gil_lock py_lock;
bool py_gil_created;
_Thread_local bool py_deferral_pending;

static _Thread_local struct {
    void *tstate;      /* with which it last had the GIL */
    void *interpreter; /* and that one's interpreter */
    uintptr_t site;    /* of the pending deferral */
    int64_t woken;     /* when a semaphore last woke it, or 0 */
    bool released; /* it has dropped the GIL while others waited, and has not asked for it again */
    int64_t yielded; /* and has given its turn away since, at this time; or 0 */
    bool late;       /* it came out of lock(mutex) without the lock */
} me;

static int64_t first_interval_ns;
static bool closed;   /* the interpreter has destroyed its GIL */
static bool any_late; /* some thread has come out of lock(mutex) without the lock */

/* Where PyEval_SaveThread keeps its return address, counted from its frame; 0: not known. */
static uintptr_t save_thread_frame;

void *py_real_slow(const char *name)
{
    /* Condition variables have two versions; dlsym may find the older one. */
    if (strncmp(name, "pthread_cond_", 13) == 0)
        return dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
    return dlsym(RTLD_NEXT, name);
}

static inline bool in_gil(const void *object)
{
    return likely((uintptr_t)object - py_gil < PY_GIL_SIZE);
}

static inline bool is_gil_mutex(const pthread_mutex_t *m)
{
    return (uintptr_t)m - py_gil == PY_GIL_MUTEX;
}

/* The interpreter's own fields: is the GIL taken, and by which thread state last? */
static inline int *locked(void)
{
    return (int *)(py_gil + PY_GIL_LOCKED);
}

static inline void *last_holder(void)
{
    return *(void **)(py_gil + PY_GIL_LAST_HOLDER);
}

static inline struct lock *the_lock(void)
{
    return lock_of(&py_lock);
}

static inline bool mine(void)
{
    return relaxed_load(&node_of(the_lock())->state) == NODE_HELD;
}

/* CPython has just set last_holder to the calling thread's state, which is alive. */
static inline void note_tstate(void)
{
    me.tstate = last_holder();
    me.interpreter = *(void **)((char *)me.tstate + py_runtime.tstate_interpreter);
}

/* PyThreadState_Swap, noticed at the next drop. The state may be deleted by now otherwise, and is not
 * looked at. */
static __attribute__((cold, noinline)) void note_swap(void)
{
    void *old = me.tstate;

    note_tstate();
    PROBE(swap, old, me.tstate);
}

/* ---- Drop requests. ---- */

/* Stock CPython asks the waiter's interpreter only. The main one is asked too, since that is where
 * the owner mostly is; the owner's own may be gone at any moment, and is left alone. */
static void request_drop(void)
{
    void *main = py_main_interpreter();

    if (main)
        py_request_drop(main);
    if (me.interpreter && me.interpreter != main && py_has_tstate())
        py_request_drop(me.interpreter);
}

/* A waiter asks. The first to notice that the interpreter is being finalised tells the others. */
static void on_drop_request(gil_lock *lock, void *arg)
{
    (void)arg;
    request_drop();
    if (relaxed_load(py_runtime.finalizing) || relaxed_load(&closed))
        lock_wake_all(lock_of(lock));
}

/* ---- take_gil ---- */

/* Must the calling thread, which waits for the GIL, give up? */
static bool must_exit(void)
{
    void *finalizing = relaxed_load(py_runtime.finalizing);

    return relaxed_load(&closed) || (finalizing && finalizing != me.tstate);
}

/* Has what happened at that time (0: never) only just happened? */
static bool just_now(int64_t when)
{
    return when && clock_now_ns() - when < YIELD_NS;
}

/* take_gil when the GIL is not simply free, or a deferral is pending. */
static __attribute__((noinline)) int take_slow(struct lock *l, struct node *n)
{
    unsigned flags = 0;
    int64_t interval = (int64_t)relaxed_load(py_runtime.interval) * 1000;

    if (py_deferral_pending) {
        py_deferral_pending = false;
        if (me.site)
            site_learn(me.site, SITE_NO_CALL);
    }
    /* Back at once from giving the processor away: it waits like a thread that computes. */
    if (just_now(me.yielded))
        flags |= WAIT_NO_ASK;
    if (just_now(me.woken))
        flags |= WAIT_GRACE;
    me.yielded = me.woken = 0;
    me.released = false;
    if (interval != relaxed_load(&l->interval_ns))
        gil_lock_set_interval(&py_lock, interval);
    if (me.interpreter && me.interpreter != py_main_interpreter())
        flags |= WAIT_ASK; /* whoever is responsible may be of another interpreter */
    n->tstate = me.tstate;
    me.late = !lock_acquire_slow(l, n, FUTEX_FOREVER, flags, must_exit);
    if (me.late)
        relaxed_store(&any_late, true);
    return 0;
}

/* The end of a take_gil while others wait: CPython may just have cleared a request that was made
 * since. No plain load: that could be done before CPython's clearing is seen by a thread that asks,
 * and so in vain. */
static __attribute__((noinline)) int took_contended(struct lock *l)
{
    if (!__atomic_fetch_or(&l->drop, 0, __ATOMIC_SEQ_CST))
        return 0;
    request_drop();
    py_request_drop(me.interpreter);
    return 0;
}

/* A late thread has seen locked == 0 and is about to set it: it needs the lock after all. */
static __attribute__((cold, noinline)) int take_late(void)
{
    struct lock *l = the_lock();

    if (!me.late)
        return 0;
    if (!lock_acquire_slow(l, node_of(l), clock_now_ns() + lock_interval(l), 0, NULL))
        pthread_exit(NULL);
    me.late = false;
    return 0;
}

/* ---- drop_gil ---- */

/* The instruction that dropped the GIL: the caller of PyEval_SaveThread, or the place where the
 * compiler has inlined it. */
static uintptr_t site_of(uintptr_t return_address, uintptr_t frame)
{
    if (return_address - py_runtime.save_thread >= py_runtime.save_thread_size)
        return return_address;
    return save_thread_frame ? *(uintptr_t *)(frame + save_thread_frame) : return_address;
}

/* drop_gil when others wait. */
static __attribute__((noinline)) int drop_slow(struct lock *l, struct node *n, uintptr_t site)
{
    void *main = py_main_interpreter();

    if (main)
        py_clear_request(main); /* first: a request made from now on is for the next owner */
    me.site = site;
    n->tstate = me.tstate;
    if (site_defers(site))
        py_deferral_pending = gil_lock_release_deferred(&py_lock);
    else
        lock_release_slow(l, n, RELEASE_PLAIN);
    me.released = true;
    return 0;
}

/* ---- What the wrappers tell. ---- */

void py_call_blocks(bool tried)
{
    if (!py_deferral_pending)
        return;
    py_deferral_pending = false;
    site_learn(me.site, tried ? SITE_BLOCKED : SITE_UNTRIABLE);
    count_up(node_of(the_lock()), io_blocked);
    gil_lock_release_complete(&py_lock);
}

void py_call_done(void)
{
    if (!py_deferral_pending)
        return; /* a signal handler has completed it */
    site_learn(me.site, SITE_DONE);
    count_up(node_of(the_lock()), io_inline);
    me.site = 0;
}

void py_call_yields(void)
{
    if (!me.released)
        return;
    me.released = false;
    if (py_deferral_pending) {
        py_deferral_pending = false;
        site_learn(me.site, SITE_UNTRIABLE);
    }
    lock_hand_on(the_lock());
    me.yielded = clock_now_ns();
}

void py_call_woken(void)
{
    if (thread_nodes)
        me.woken = clock_now_ns();
}

/* ---- The GIL's life. ---- */

static void count_waiter(struct node *n, void *count)
{
    if (relaxed_load(&n->lock) == the_lock() && is_waiting(relaxed_load(&n->state)))
        ++*(int *)count;
}

/* create_gil: at the start, in a forked child, or after a finalisation, whose last waiters get a
 * moment to leave. */
static void created(void)
{
    struct lock *l = the_lock();

    for (int tries = 0, waiters = 1; waiters && tries < 100 && closed; tries++) {
        waiters = 0;
        node_each(count_waiter, &waiters);
        if (waiters) {
            lock_wake_all(l);
            futex_wait((uint32_t *)&l->spinners, l->spinners, clock_now_ns() + 1000000);
        }
    }
    lock_reset(l);
    relaxed_store(&node_of(l)->state, NODE_IDLE);
    gil_lock_on_drop_request(&py_lock, on_drop_request, NULL);
    relaxed_store(&l->owner_may_end, true); /* the others wait for ever, as on stock */
    memset(&me, 0, sizeof me);
    py_deferral_pending = false;
    relaxed_store(&closed, false);
    if (first_interval_ns)
        *py_runtime.interval = (unsigned long)(first_interval_ns / 1000);
    py_gil_created = true;
}

/* destroy_gil, by its owner: whoever still waits leaves. */
static void destroyed(void)
{
    relaxed_store(&closed, true);
    lock_wake_all(the_lock());
}

/* ---- What the interpreter calls instead of libc's functions. ---- */

/* A comparison and jump that lie across a 32-byte boundary cost some processors 2 ns. */
#define HOT __attribute__((aligned(64)))

/* Laid out so that an uncontended take_gil and drop_gil need no stack frame: everything that calls
 * is called last. */
static __attribute__((noinline)) int lock_first(void)
{
    struct lock *l = the_lock();
    struct node *n = node_of(l);

    return lock_acquire_fast(l, n) ? 0 : take_slow(l, n);
}

HOT static int mutex_lock(pthread_mutex_t *m)
{
    struct lock *l = the_lock();
    struct node *n;

    if (!in_gil(m))
        return pthread_mutex_lock(m);
    if (!likely(is_gil_mutex(m)))
        return unlikely(relaxed_load(&any_late)) ? take_late() : 0;
    n = thread_nodes;
    if (unlikely(!n || n->lock != l))
        return lock_first();
    if (likely(lock_acquire_fast(l, n)) || relaxed_load(&n->state) == NODE_HELD)
        return 0;
    return take_slow(l, n);
}

/* By a thread that does not own the lock: it is late, and exits next. */
static __attribute__((noinline)) int unlock_late(void)
{
    me.late = false;
    return 0;
}

HOT static int mutex_unlock(pthread_mutex_t *m)
{
    struct lock *l = the_lock();
    struct node *n;

    if (!in_gil(m))
        return pthread_mutex_unlock(m);
    if (!likely(is_gil_mutex(m)))
        return 0;
    n = thread_nodes;
    if (unlikely(!n || n->lock != l || relaxed_load(&n->state) != NODE_HELD))
        return unlock_late();
    if (relaxed_load(locked()) == 1) {
        note_tstate();
        if (unlikely(relaxed_load(&l->drop) || relaxed_load(&l->slice_start)))
            return took_contended(l);
        return 0;
    }
    if (unlikely(last_holder() != me.tstate))
        note_swap();
    if (likely(lock_release_fast(l, n)))
        return 0;
    return drop_slow(
        l, n, site_of((uintptr_t)__builtin_return_address(0), (uintptr_t)__builtin_dwarf_cfa()));
}

static int mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
    if (is_gil_mutex(m))
        created();
    return pthread_mutex_init(m, attr);
}

static int mutex_destroy(pthread_mutex_t *m)
{
    if (is_gil_mutex(m))
        destroyed();
    return pthread_mutex_destroy(m);
}

HOT static int cond_signal(pthread_cond_t *c)
{
    return in_gil(c) ? 0 : pthread_cond_signal(c);
}

/* drop_gil waits for another thread to take the GIL: the release has seen to that. It has also
 * cleared its interpreter's drop request, perhaps one that was made since. */
static int cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    if (!in_gil(c))
        return pthread_cond_wait(c, m);
    if (gil_lock_drop_requested(&py_lock))
        request_drop();
    return 0;
}

/* take_gil waits for the GIL: only a late thread comes here. */
static int cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at)
{
    if (!in_gil(c))
        return pthread_cond_timedwait(c, m, at);
    if (mine()) {
        /* In a child forked from C: the parent's owner is not here. */
        relaxed_store(locked(), 0);
        return 0;
    }
    if (lock_acquire_slow(the_lock(), node_of(the_lock()), 0, 0, NULL)) {
        me.late = false;
        return 0;
    }
    return ETIMEDOUT;
}

/* Condition variables of others: a release that was deferred is completed before they block. */
PY_WRAPPER int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    if (py_deferred())
        py_call_blocks(false);
    return REAL(pthread_cond_wait)(c, m);
}

PY_WRAPPER int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                      const struct timespec *at)
{
    if (py_deferred())
        py_call_blocks(false);
    return REAL(pthread_cond_timedwait)(c, m, at);
}

/* ---- Start. ---- */

/* How far above its frame PyEval_SaveThread's return address is: what its prologue pushes and
 * reserves. Zero if the prologue has another form than pushes followed by one subtraction. */
static uintptr_t frame_size(const uint8_t *code)
{
    static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    uintptr_t size = 0;

    if (memcmp(code, endbr64, sizeof endbr64) == 0)
        code += sizeof endbr64;
    for (;;) {
        if (code[0] >= 0x50 && code[0] <= 0x57) /* push */
            code += 1;
        else if (code[0] == 0x41 && code[1] >= 0x50 && code[1] <= 0x57) /* push r8..r15 */
            code += 2;
        else
            break;
        size += 8;
    }
    if (code[0] == 0x48 && code[1] == 0x83 && code[2] == 0xec) /* sub $imm8,%rsp */
        size += code[3];
    /* A call leaves the stack aligned: anything else is a prologue that was not understood. */
    return size % 16 == 8 ? size : 0;
}

#define REDIRECT(name)                                                                             \
    {                                                                                              \
        "pthread_" #name, (void (*)(void))name                                                     \
    }

bool py_hooks_start(int64_t interval_ns)
{
    static const struct redirect redirects[] = {REDIRECT(mutex_lock),    REDIRECT(mutex_unlock),
                                                REDIRECT(mutex_init),    REDIRECT(mutex_destroy),
                                                REDIRECT(cond_signal),   REDIRECT(cond_wait),
                                                REDIRECT(cond_timedwait)};

    first_interval_ns = interval_ns;
    if (py_runtime.save_thread_size)
        save_thread_frame = frame_size((const uint8_t *)py_runtime.save_thread);
    return py_redirect((const void *)py_gil, redirects, sizeof redirects / sizeof *redirects);
}
