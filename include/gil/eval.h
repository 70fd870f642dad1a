/* Running: taking and giving up the interpreter lock, checkpoints, and what is asked of a thread
 * while it runs.
 *
 * A thread that wants to run takes the lock with its thread state (gil_acquire_thread,
 * gil_restore_thread, gil_ensure), calls gil_checkpoint() between instructions, and gives the lock
 * up around whatever may block (GIL_BEGIN_ALLOW_THREADS) or when it is done.
 *
 * Until gil_init_threads() there is no lock operation at all: the process has one thread, and
 * gil_save_thread() and gil_restore_thread() only note which state is current. Starting the first
 * thread through thread.h calls it.
 *
 * With GIL_NO_THREADS defined, a program is built for libgil-nothreads: the four macros are empty,
 * and what can only be done with several threads is not declared.
 *
 * Misuse prints one line that names the function, the thread and the state, and aborts. Functions
 * keep errno unless they say that they return an error there. No function may be called from a
 * signal handler, except those that say so. */
#ifndef GIL_EVAL_H
#define GIL_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gil/export.h>
#include <gil/lock.h>
#include <gil/state.h>

GIL_BEGIN_DECLS

/* ---- The lock ---- */

/* Has gil_init_threads() been called? Anybody may ask. Classic name: PyEval_ThreadsInitialized. */
GIL_API bool gil_threads_initialized(void);

#ifndef GIL_NO_THREADS

/* Creates the lock that the interpreters share, and takes it; it is left free when the runtime is
 * initialised and the caller does not run, as between gil_save_thread() and gil_restore_thread().
 * Called again it does nothing. The first call is the main thread's, or comes before
 * gil_initialize(); no other thread uses the library then. Classic name: PyEval_InitThreads. */
GIL_API void gil_init_threads(void);

/* Takes or gives up the shared lock, and leaves alone which thread state is current; legal without
 * any. Fatal before gil_init_threads(). To take, the caller must not hold the lock; to give it up,
 * it must. Classic names: PyEval_AcquireLock, PyEval_ReleaseLock. */
GIL_API void gil_acquire_lock(void);
GIL_API void gil_release_lock(void);

/* Takes the lock of ts's interpreter and makes ts current. The caller has no current state. Fatal
 * before gil_init_threads(). Classic name: PyEval_AcquireThread. */
GIL_API void gil_acquire_thread(gil_thread_state *ts);

/* Makes no state current, and gives the lock up. ts must be current. Fatal before
 * gil_init_threads(). Classic name: PyEval_ReleaseThread. */
GIL_API void gil_release_thread(gil_thread_state *ts);

#endif

/* Makes no state current, gives the lock up, and returns the state that was current, which must not
 * be NULL. Classic name: PyEval_SaveThread. */
GIL_API gil_thread_state *gil_save_thread(void);

/* Takes the lock and makes ts current; the caller has no current state. Classic name:
 * PyEval_RestoreThread. */
GIL_API void gil_restore_thread(gil_thread_state *ts);

/* Code between the first two runs without the lock: nothing of the interpreter may be touched
 * there. Between them, BLOCK takes the lock back for a moment and UNBLOCK gives it up again. BEGIN
 * opens a block and END closes it; none needs a semicolon. Classic names: Py_BEGIN_ALLOW_THREADS,
 * Py_END_ALLOW_THREADS, Py_BLOCK_THREADS, Py_UNBLOCK_THREADS. */
#ifndef GIL_NO_THREADS
#define GIL_BEGIN_ALLOW_THREADS                                                                    \
    {                                                                                              \
        gil_thread_state *_save;                                                                   \
        _save = gil_save_thread();
#define GIL_BLOCK_THREADS   gil_restore_thread(_save);
#define GIL_UNBLOCK_THREADS _save = gil_save_thread();
#define GIL_END_ALLOW_THREADS                                                                      \
    gil_restore_thread(_save);                                                                     \
    }
#else
#define GIL_BEGIN_ALLOW_THREADS
#define GIL_BLOCK_THREADS
#define GIL_UNBLOCK_THREADS
#define GIL_END_ALLOW_THREADS
#endif

/* ---- Threads that were created outside ---- */

/* What gil_ensure() found, for gil_release(). Classic name: PyGILState_STATE. */
typedef enum gil_state { GIL_STATE_LOCKED, GIL_STATE_UNLOCKED } gil_state;

/* Makes the calling thread ready to run, whatever it is: afterwards it holds the lock and has a
 * current thread state. That is the one that is current already, or the first that the thread made
 * or was given (gil_this_thread_state()), or a new one in the main interpreter. May be nested; each
 * call is paired with a gil_release() in the same thread. Fatal before gil_initialize() and after
 * gil_finalize(). Classic name: PyGILState_Ensure. */
GIL_API gil_state gil_ensure(void);

/* Undoes the matching gil_ensure(): the last one deletes a state that the first one made. Classic
 * name: PyGILState_Release. */
GIL_API void gil_release(gil_state state);

/* Does the calling thread run: is a state of its own current and the lock held? Anybody may ask.
 * Classic name: PyGILState_Check. */
GIL_API bool gil_check(void);

/* The thread state that gil_ensure() would use in the calling thread, or NULL. Anybody may ask.
 * Classic name: PyGILState_GetThisThreadState. */
GIL_API gil_thread_state *gil_this_thread_state(void);

/* ---- Checkpoints ---- */

/* The library's own: the state that is current in this thread; and gil_checkpoint() when its turn
 * has come. __thread and not thread_local: in C++ that would be a call. */
extern GIL_API __thread gil_thread_state *gil_current_ __attribute__((tls_model("initial-exec")));
GIL_API int gil_checkpoint_look_(gil_thread_state *ts);

/* What an interpreter calls between instructions. Every so many calls (gil_set_check_interval) it
 * looks around: hands the lock over if that is asked for, in the main thread runs pending calls and
 * the functions of signals that have arrived, and raises what another thread raised here. Returns
 * 0; or -1 when the host has to raise: an asynchronous exception is in gil_exc_info_slot(), or a
 * pending call or a signal's function returned -1. A thread state must be current. */
static inline int gil_checkpoint(void)
{
    gil_thread_state *ts = gil_current_;

    return __builtin_expect(ts && --ts->ticker_ > 0, 1) ? 0 : gil_checkpoint_look_(ts);
}

/* Lets the next waiter run, if anybody waits for the lock, and comes back. A thread state must be
 * current. */
GIL_API void gil_yield(void);

/* How many checkpoints there are from one that looks around to the next: 100, and 1 for anything
 * less than 1. Once it has been set, a checkpoint that looks around hands the lock over whenever
 * anybody waits for it, whatever the switch interval, until gil_set_switch_interval() is called.
 * For the lock of the current state's interpreter; without a current state, for the shared one.
 * Counts from the next look on. Classic names: sys.setcheckinterval, sys.getcheckinterval. */
#define GIL_CHECK_INTERVAL_DEFAULT 100
GIL_API void gil_set_check_interval(int instructions);
GIL_API int gil_get_check_interval(void);

/* How long a thread may keep the lock when others want it, in nanoseconds: GIL_INTERVAL_DEFAULT_NS,
 * at least 1000. Anybody may call it; for which lock, see above. Classic names:
 * sys.setswitchinterval, sys.getswitchinterval. */
GIL_API void gil_set_switch_interval(int64_t interval_ns);
GIL_API int64_t gil_get_switch_interval(void);

/* Calls fn(arg) whenever a waiter asks for the lock of this interpreter (NULL: the shared one), in
 * the waiter's thread and without the lock: for hosts that cannot call gil_checkpoint() often. fn
 * makes the running thread call it soon, and calls nothing of libgil itself. NULL removes it. Call
 * it before a second thread runs. */
typedef void gil_asked_fn(void *arg);
GIL_API void gil_on_drop_request(gil_interpreter_state *interp, gil_asked_fn *fn, void *arg);

/* ---- What is asked of a thread ---- */

/* Has fn(arg) called by the main thread at a checkpoint soon, with the lock held. At most
 * GIL_PENDING_CALLS_MAX calls may be waiting. Any thread may call it, with or without the lock.
 * Returns 0, or -1 with errno EAGAIN when the queue is full. Classic name: Py_AddPendingCall. */
#define GIL_PENDING_CALLS_MAX 32
GIL_API int gil_add_pending_call(int (*fn)(void *arg), void *arg);

/* Runs the pending calls now, in the main thread; elsewhere, and inside a pending call, it does
 * nothing. The caller holds the lock. Returns 0, or -1 as soon as one returned -1; the others stay
 * queued. Classic name: Py_MakePendingCalls. */
GIL_API int gil_make_pending_calls(void);

/* Called by the main thread at a checkpoint, with the lock held, once for each kind of signal that
 * has arrived. Returns 0, or -1 to make the checkpoint return -1. */
typedef int gil_signal_fn(int signum, void *arg);

/* Has fn called for a signal; NULL restores what the signal did before. The handler that this
 * installs notes the signal, and interrupts the main thread as gil_interrupt() does; system calls
 * are not restarted after it. The main thread calls it. Returns 0, or -1 with errno EINVAL. Classic
 * name: signal.signal. */
GIL_API int gil_on_signal(int signum, gil_signal_fn *fn, void *arg);

/* Does as if the signal had arrived. Anybody may call it, signal handlers too. Returns 0, or -1
 * with errno EINVAL when gil_on_signal() was not called for it. Classic name: PyErr_SetInterruptEx.
 * */
GIL_API int gil_set_signal(int signum);

/* Runs the functions of the signals that have arrived, in the main thread; elsewhere it does
 * nothing. The caller holds the lock. Returns 0 or -1 as they do. Classic name: PyErr_CheckSignals.
 * */
GIL_API int gil_check_signals(void);

/* Makes the blocking call of the library in which the thread `ident` is return with errno EINTR; if
 * it is in none, the next one that would block. Anybody may call it, with or without the lock.
 * Returns 0, or -1 with errno ESRCH when no such thread has used the library. */
GIL_API int gil_interrupt(unsigned long ident);

/* ---- Fork ---- */

/* Around fork(): the first before it, with the lock held, then one of the others in the parent and
 * in the child. In the child, the calling thread is the main thread, and the only one: it holds the
 * lock, the states of all other threads are gone, and so is what was asked of the parent: pending
 * calls, and signals that had arrived. Classic names: PyOS_BeforeFork, PyOS_AfterFork_Parent,
 * PyOS_AfterFork_Child. */
GIL_API void gil_before_fork(void);
GIL_API void gil_after_fork_parent(void);
GIL_API void gil_after_fork_child(void);

/* Has these called at every fork() from now on (pthread_atfork), also by threads that do not hold
 * the lock; such a child holds no lock either. Do not call them by hand then. Returns 0, or -1 with
 * errno ENOMEM. */
GIL_API int gil_install_fork_handlers(void);

/* ---- Hooks ---- */

/* What happens to a thread: it was started or got its first thread state; wants the lock; has got
 * it; has given it up; has ended or deleted its last thread state. The three about the lock come
 * from gil_init_threads() on. */
typedef enum gil_event {
    GIL_THREAD_STARTED = 1,
    GIL_THREAD_READY = 2,
    GIL_THREAD_RESUMED = 4,
    GIL_THREAD_SUSPENDED = 8,
    GIL_THREAD_EXITED = 16,
} gil_event;

/* Called in the thread concerned; ts is NULL when it has none. It holds the lock in RESUMED and
 * otherwise may not; it calls nothing of libgil but gil_thread_state_id(). */
typedef void gil_hook_fn(gil_event event, gil_thread_state *ts, void *arg);

/* Has fn called for each event whose bit is in `events`. At most GIL_HOOKS_MAX hooks. Anybody may
 * call it; a thread that runs may take a moment to notice. Returns the hook's number, or -1 with
 * errno EINVAL or ENOSPC. */
#define GIL_HOOKS_MAX 8
GIL_API int gil_add_hook(unsigned events, gil_hook_fn *fn, void *arg);

/* Removes a hook. fn may still be running in another thread on return. Returns 0, or -1 with errno
 * EINVAL. */
GIL_API int gil_remove_hook(int hook);

GIL_END_DECLS

#endif
