/* The classic spellings: what eval.h, state.h, thread.h and sync.h offer, under the names that it
 * has in the C interface of CPython, for code that was written against "Initialization,
 * Finalization, and Threads".
 *
 * All of it is macros and static inline functions: no library of this project defines a symbol that
 * begins with Py or _Py, so a program may use this header and load CPython as well. One source file
 * may not see both: including Python.h before or after this header is an error.
 *
 * Each function does what the function of libgil does that it calls: the documentation is there.
 * Differences from CPython, apart from what the comments here say:
 * - An object of the host's is a void *; nothing here counts references.
 * - PyEval_AcquireLock and PyEval_ReleaseLock are legal without a current thread state, as they
 *   once were; CPython since 3.2 refuses that.
 * - A thread lock gives the interpreter lock up while the caller waits for it.
 * - The functions of the module sys are called sys_getcheckinterval and so on.
 *
 * With GIL_NO_THREADS, the four Py_…_THREADS macros are empty. PyEval_InitThreads,
 * PyEval_AcquireLock, PyEval_ReleaseLock, PyEval_AcquireThread and PyEval_ReleaseThread do not
 * exist then, nor do PyThread_start_new_thread and PyThread_exit_thread. */
#ifndef GIL_PYTHON_H
#define GIL_PYTHON_H

#ifdef Py_PYTHON_H
#error "gil/python.h and Python.h cannot be used in one source file"
#else
/* Python.h asks for this name first: it does not compile after this line. */
#pragma GCC poison Py_PYTHON_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gil/eval.h>
#include <gil/state.h>
#include <gil/sync.h>
#include <gil/thread.h>

GIL_BEGIN_DECLS

typedef gil_interpreter_state PyInterpreterState;
/* Its member `interp` is public. */
typedef gil_thread_state PyThreadState;

/* How the functions end that have no way to return an error. */
static inline __attribute__((noreturn)) void gil_python_fatal_(const char *function)
{
    fprintf(stderr, "libgil: %s: %s\n", function, strerror(errno));
    abort();
}

/* Defined, as in CPython's configuration, where there are threads. */
#if !defined GIL_NO_THREADS && !defined WITH_THREAD
#define WITH_THREAD 1
#endif

/* ---- The runtime ---- */

/* gil_initialize(0), but fatal when there is no memory. */
static inline void Py_Initialize(void)
{
    if (gil_initialize(0) != 0)
        gil_python_fatal_("Py_Initialize");
}

static inline void Py_Finalize(void)
{
    gil_finalize();
}

static inline int Py_IsInitialized(void)
{
    return gil_is_initialized();
}

static inline int Py_AddPendingCall(int (*func)(void *), void *arg)
{
    return gil_add_pending_call(func, arg);
}

static inline int Py_MakePendingCalls(void)
{
    return gil_make_pending_calls();
}

/* ---- The interpreter lock ---- */

static inline int PyEval_ThreadsInitialized(void)
{
    return gil_threads_initialized();
}

#ifndef GIL_NO_THREADS

static inline void PyEval_InitThreads(void)
{
    gil_init_threads();
}

static inline void PyEval_AcquireLock(void)
{
    gil_acquire_lock();
}

static inline void PyEval_ReleaseLock(void)
{
    gil_release_lock();
}

static inline void PyEval_AcquireThread(PyThreadState *tstate)
{
    gil_acquire_thread(tstate);
}

static inline void PyEval_ReleaseThread(PyThreadState *tstate)
{
    gil_release_thread(tstate);
}

#endif

static inline PyThreadState *PyEval_SaveThread(void)
{
    return gil_save_thread();
}

static inline void PyEval_RestoreThread(PyThreadState *tstate)
{
    gil_restore_thread(tstate);
}

#define Py_BEGIN_ALLOW_THREADS   GIL_BEGIN_ALLOW_THREADS
#define Py_BLOCK_THREADS         GIL_BLOCK_THREADS
#define Py_UNBLOCK_THREADS       GIL_UNBLOCK_THREADS
#define Py_END_ALLOW_THREADS     GIL_END_ALLOW_THREADS

/* ---- Interpreter states ---- */

/* gil_interpreter_state_new(0): it shares the interpreter lock. NULL when there is no memory. */
static inline PyInterpreterState *PyInterpreterState_New(void)
{
    return gil_interpreter_state_new(0);
}

static inline void PyInterpreterState_Clear(PyInterpreterState *interp)
{
    gil_interpreter_state_clear(interp);
}

static inline void PyInterpreterState_Delete(PyInterpreterState *interp)
{
    gil_interpreter_state_delete(interp);
}

static inline PyInterpreterState *PyInterpreterState_Head(void)
{
    return gil_interpreter_state_head();
}

static inline PyInterpreterState *PyInterpreterState_Next(PyInterpreterState *interp)
{
    return gil_interpreter_state_next(interp);
}

static inline PyThreadState *PyInterpreterState_ThreadHead(PyInterpreterState *interp)
{
    return gil_interpreter_state_thread_head(interp);
}

/* ---- Thread states ---- */

static inline PyThreadState *PyThreadState_New(PyInterpreterState *interp)
{
    return gil_thread_state_new(interp);
}

static inline void PyThreadState_Clear(PyThreadState *tstate)
{
    gil_thread_state_clear(tstate);
}

static inline void PyThreadState_Delete(PyThreadState *tstate)
{
    gil_thread_state_delete(tstate);
}

static inline void PyThreadState_DeleteCurrent(void)
{
    gil_thread_state_delete_current();
}

static inline PyThreadState *PyThreadState_Get(void)
{
    return gil_thread_state_get();
}

static inline PyThreadState *PyThreadState_Swap(PyThreadState *tstate)
{
    return gil_thread_state_swap(tstate);
}

static inline PyThreadState *PyThreadState_Next(PyThreadState *tstate)
{
    return gil_thread_state_next(tstate);
}

/* CPython makes the dictionary on the first call; here the host sets it: gil_thread_state_set_dict.
 */
static inline void *PyThreadState_GetDict(void)
{
    return gil_thread_state_dict();
}

/* A request that this one replaces is forgotten; gil_thread_state_set_async_exc() returns it. */
static inline int PyThreadState_SetAsyncExc(unsigned long id, void *exc)
{
    return gil_thread_state_set_async_exc(id, exc, NULL);
}

/* ---- Threads that were created outside ---- */

typedef gil_state PyGILState_STATE;
#define PyGILState_LOCKED        GIL_STATE_LOCKED
#define PyGILState_UNLOCKED      GIL_STATE_UNLOCKED

static inline PyGILState_STATE PyGILState_Ensure(void)
{
    return gil_ensure();
}

static inline void PyGILState_Release(PyGILState_STATE state)
{
    gil_release(state);
}

static inline int PyGILState_Check(void)
{
    return gil_check();
}

static inline PyThreadState *PyGILState_GetThisThreadState(void)
{
    return gil_this_thread_state();
}

/* A document that is in use spells them so. */
#define PyGILState_STATE_Ensure  PyGILState_Ensure
#define PyGILState_STATE_Release PyGILState_Release

/* ---- Fork ---- */

static inline void PyOS_BeforeFork(void)
{
    gil_before_fork();
}

static inline void PyOS_AfterFork_Parent(void)
{
    gil_after_fork_parent();
}

static inline void PyOS_AfterFork_Child(void)
{
    gil_after_fork_child();
}

/* ---- Threads ---- */

#define PYTHREAD_INVALID_THREAD_ID GIL_NO_THREAD

#ifndef GIL_NO_THREADS

/* Calls gil_init_threads() if that has not been done. Returns the thread's ident, or
 * PYTHREAD_INVALID_THREAD_ID. */
static inline unsigned long PyThread_start_new_thread(void (*func)(void *), void *arg)
{
    return gil_start_new_thread(func, arg);
}

/* Does not return. */
static inline __attribute__((noreturn)) void PyThread_exit_thread(void)
{
    gil_thread_exit();
}

#endif

static inline unsigned long PyThread_get_thread_ident(void)
{
    return gil_thread_ident();
}

static inline unsigned long PyThread_get_thread_native_id(void)
{
    return gil_thread_native_id();
}

/* ---- Thread locks ---- */

/* A gil_thread_lock: it has no owner, any thread may release it. */
typedef void *PyThread_type_lock;

typedef enum PyLockStatus { PY_LOCK_FAILURE = 0, PY_LOCK_ACQUIRED = 1, PY_LOCK_INTR } PyLockStatus;

#define WAIT_LOCK                 1
#define NOWAIT_LOCK               0

/* A time in microseconds, and the longest. */
#define PY_TIMEOUT_T              long long
#define PY_TIMEOUT_MAX            (LLONG_MAX / 1000)

/* A free lock, or NULL when there is no memory. */
static inline PyThread_type_lock PyThread_allocate_lock(void)
{
    return calloc(1, sizeof(gil_thread_lock));
}

static inline void PyThread_free_lock(PyThread_type_lock lock)
{
    free(lock);
}

/* Takes the lock: with WAIT_LOCK however long it takes, interrupts or not, with NOWAIT_LOCK only if
 * it is free. Returns 1: the caller has it; or 0. */
static inline int PyThread_acquire_lock(PyThread_type_lock lock, int waitflag)
{
    return gil_thread_lock_acquire_uninterrupted((gil_thread_lock *)lock, waitflag ? -1 : 0) == 0;
}

/* Takes the lock, waiting that many microseconds at most; negative: without limit. Only with
 * intr_flag does an interrupt (gil_interrupt) end the wait: PY_LOCK_INTR. PY_LOCK_FAILURE: the time
 * is over. */
static inline PyLockStatus PyThread_acquire_lock_timed(PyThread_type_lock lock,
                                                       PY_TIMEOUT_T microseconds, int intr_flag)
{
    gil_thread_lock *l = (gil_thread_lock *)lock;
    int64_t timeout_ns = microseconds < 0                ? -1
                         : microseconds > PY_TIMEOUT_MAX ? INT64_MAX
                                                         : microseconds * 1000;
    int failed = intr_flag ? gil_thread_lock_acquire(l, timeout_ns)
                           : gil_thread_lock_acquire_uninterrupted(l, timeout_ns);

    if (!failed)
        return PY_LOCK_ACQUIRED;
    return errno == EINTR ? PY_LOCK_INTR : PY_LOCK_FAILURE;
}

/* Fatal when nobody holds the lock. */
static inline void PyThread_release_lock(PyThread_type_lock lock)
{
    if (gil_thread_lock_release((gil_thread_lock *)lock) != 0)
        gil_python_fatal_("PyThread_release_lock");
}

/* ---- A value of its own for each thread ---- */

typedef gil_tss Py_tss_t;
#define Py_tss_NEEDS_INIT         GIL_TSS_INIT

static inline Py_tss_t *PyThread_tss_alloc(void)
{
    return gil_tss_alloc();
}

static inline void PyThread_tss_free(Py_tss_t *key)
{
    gil_tss_free(key);
}

static inline int PyThread_tss_is_created(Py_tss_t *key)
{
    return gil_tss_is_created(key);
}

static inline int PyThread_tss_create(Py_tss_t *key)
{
    return gil_tss_create(key);
}

static inline void PyThread_tss_delete(Py_tss_t *key)
{
    gil_tss_delete(key);
}

static inline int PyThread_tss_set(Py_tss_t *key, void *value)
{
    return gil_tss_set(key, value);
}

static inline void *PyThread_tss_get(Py_tss_t *key)
{
    return gil_tss_get(key);
}

/* ---- The module sys ---- */

/* sys.setcheckinterval */
static inline void sys_setcheckinterval(int interval)
{
    gil_set_check_interval(interval);
}

/* sys.getcheckinterval */
static inline int sys_getcheckinterval(void)
{
    return gil_get_check_interval();
}

/* sys.setswitchinterval: in seconds. Returns 0, or -1 with errno EINVAL when that is not a positive
 * number of at most GIL_SWITCH_INTERVAL_MAX_S. */
#define GIL_SWITCH_INTERVAL_MAX_S 9e9
static inline int sys_setswitchinterval(double seconds)
{
    if (!(seconds > 0 && seconds <= GIL_SWITCH_INTERVAL_MAX_S)) {
        errno = EINVAL;
        return -1;
    }
    gil_set_switch_interval((int64_t)(seconds * 1e9));
    return 0;
}

/* sys.getswitchinterval: in seconds */
static inline double sys_getswitchinterval(void)
{
    return (double)gil_get_switch_interval() / 1e9;
}

/* sys.exc_info: the exception slot of the current thread state, as it is now */
static inline gil_exc_info sys_exc_info(void)
{
    return *gil_exc_info_slot();
}

GIL_END_DECLS

#endif /* Py_PYTHON_H */
#endif
