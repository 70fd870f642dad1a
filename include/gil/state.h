/* Interpreter states and thread states: who can run, and in which interpreter.
 *
 * An *interpreter state* is one interpreter of the process: a table of modules, data of the host's,
 * and a list of thread states. All interpreters share one lock, the interpreter lock, unless one is
 * made with a lock of its own; they share nothing else. A *thread state* is what a thread needs in
 * order to run in an interpreter. At most one thread state is *current* in a thread, and a thread
 * whose thread state is current holds the lock of that state's interpreter (see eval.h).
 *
 * States are recognised after they have been deleted, until their memory is used for another one,
 * which is as late as possible: using one then is fatal.
 *
 * Misuse prints one line that names the function, the thread and the state, and aborts. No function
 * may be called from a signal handler. "Holding the lock" means the lock of the interpreter
 * concerned; before gil_init_threads() there is a single thread, which counts as holding it. */
#ifndef GIL_STATE_H
#define GIL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gil/export.h>
#include <gil/lock.h>

GIL_BEGIN_DECLS

/* An interpreter. Opaque. Classic name: PyInterpreterState. */
typedef struct gil_interpreter_state gil_interpreter_state;

/* What a thread needs to run. `interp` may be read by the thread whose state it is and by anybody
 * who holds the lock; the other members are the library's own. Classic name: PyThreadState. */
typedef struct gil_thread_state {
    gil_interpreter_state *interp;
    int32_t ticker_; /* checkpoints left until the next one that looks around */
} gil_thread_state;

/* An exception as the host represents it; the library only keeps it. Classic name: what
 * sys.exc_info returns. */
typedef struct gil_exc_info {
    void *type, *value, *traceback;
} gil_exc_info;

/* ---- The runtime ---- */

/* For gil_initialize: a thread of this runtime that asks for the lock after gil_finalize began, even
 * when another runtime has begun meanwhile, ends with pthread_exit(). Without it such a thread stays
 * where it is for ever, and touches nothing. */
#define GIL_LATE_THREADS_EXIT 1u

/* Makes the main interpreter state and the calling thread's state, which becomes current; the
 * calling thread is the *main thread* from now on. Takes the lock if gil_init_threads() was called
 * before. Nothing happens when the runtime is initialised already. flags: 0 or
 * GIL_LATE_THREADS_EXIT. Returns 0, or -1 with errno EINVAL or ENOMEM. May be called again after
 * gil_finalize(). Classic name: Py_Initialize. */
GIL_API int gil_initialize(unsigned flags);

/* Ends the runtime: runs the pending calls, gives signals back, deletes all states, and gives up
 * the lock. The main thread calls it, with a state of the main interpreter current. Other threads
 * may still wait for the lock or be in a blocking call: see GIL_LATE_THREADS_EXIT. Those that run
 * in an interpreter with a lock of its own are waited for until they give that up. The memory of
 * states that other threads may come back with is never used again: a host that ends many runtimes
 * deletes its states before. Nothing happens when the runtime is not initialised. Classic name:
 * Py_Finalize. */
GIL_API void gil_finalize(void);

/* Is the runtime initialised? Anybody may ask. Classic name: Py_IsInitialized. */
GIL_API bool gil_is_initialized(void);

/* ---- Interpreter states ---- */

/* For gil_interpreter_state_new: the interpreter has a lock of its own. Its threads then run beside
 * those of other interpreters. */
#define GIL_OWN_LOCK 1u

/* Makes an interpreter state without any thread state. flags: 0 or GIL_OWN_LOCK. Needs no lock, but
 * an initialised runtime. Returns NULL with errno EINVAL or ENOMEM. Classic name:
 * PyInterpreterState_New. */
GIL_API gil_interpreter_state *gil_interpreter_state_new(unsigned flags);

/* Clears the state and the states of its threads: host data, modules, exceptions, dictionaries are
 * forgotten. The host gives back before what they refer to. The caller holds the lock. Classic
 * name: PyInterpreterState_Clear. */
GIL_API void gil_interpreter_state_clear(gil_interpreter_state *interp);

/* Deletes an interpreter state and its thread states. None of them may be current in any thread,
 * and it must not be the main one's. Needs no lock; if the caller has the interpreter's own lock,
 * that goes with it. Classic name: PyInterpreterState_Delete. */
GIL_API void gil_interpreter_state_delete(gil_interpreter_state *interp);

/* The interpreter of the current thread state; fatal when there is none. Classic name:
 * PyInterpreterState_Get. */
GIL_API gil_interpreter_state *gil_interpreter_state_get(void);

/* The main interpreter, NULL before gil_initialize(). Anybody may ask. Classic name:
 * PyInterpreterState_Main. */
GIL_API gil_interpreter_state *gil_interpreter_state_main(void);

/* The list of all interpreters, the newest first; the end is NULL. The caller sees to it that no
 * interpreter is deleted meanwhile. Classic names: PyInterpreterState_Head, _Next. */
GIL_API gil_interpreter_state *gil_interpreter_state_head(void);
GIL_API gil_interpreter_state *gil_interpreter_state_next(const gil_interpreter_state *interp);

/* The newest thread state of an interpreter, NULL when it has none; go on with
 * gil_thread_state_next(). The caller sees to it that none is deleted meanwhile. Classic name:
 * PyInterpreterState_ThreadHead. */
GIL_API gil_thread_state *gil_interpreter_state_thread_head(const gil_interpreter_state *interp);

/* A number of its own for each interpreter of the process, 0 for the main one; never used again
 * before the runtime is finalised. Anybody may ask. Classic name: PyInterpreterState_GetID. */
GIL_API int64_t gil_interpreter_state_id(const gil_interpreter_state *interp);

/* The lock of an interpreter, for its counters and settings: threads take it and give it up with
 * the functions of eval.h. Anybody may ask. */
GIL_API gil_lock *gil_interpreter_state_lock(gil_interpreter_state *interp);

/* The interpreter's module table, and whatever else the host keeps: two pointers that the library
 * does not look at, NULL in a new interpreter. The caller holds the lock. Classic names:
 * PyImport_GetModuleDict, PyInterpreterState_GetDict. */
GIL_API void *gil_interpreter_state_modules(const gil_interpreter_state *interp);
GIL_API void gil_interpreter_state_set_modules(gil_interpreter_state *interp, void *modules);
GIL_API void *gil_interpreter_state_data(const gil_interpreter_state *interp);
GIL_API void gil_interpreter_state_set_data(gil_interpreter_state *interp, void *data);

/* ---- Thread states ---- */

/* Makes a thread state for the calling thread to use, in that interpreter; it does not become
 * current. Needs no lock. Returns NULL with errno ENOMEM. Classic name: PyThreadState_New. */
GIL_API gil_thread_state *gil_thread_state_new(gil_interpreter_state *interp);

/* Forgets the state's dictionary, exceptions and requests. The caller holds the lock. Classic name:
 * PyThreadState_Clear. */
GIL_API void gil_thread_state_clear(gil_thread_state *ts);

/* Deletes a thread state that is not current in any thread; does nothing when gil_finalize() has
 * done it. Needs no lock. Classic name: PyThreadState_Delete. */
GIL_API void gil_thread_state_delete(gil_thread_state *ts);

/* Deletes the current thread state and gives the lock up. Classic name:
 * PyThreadState_DeleteCurrent. */
GIL_API void gil_thread_state_delete_current(void);

/* The thread state that is current in the calling thread; fatal when there is none. Classic name:
 * PyThreadState_Get. */
GIL_API gil_thread_state *gil_thread_state_get(void);

/* The same, but NULL when there is none. Anybody may ask, signal handlers too: a thread that has a
 * current state holds the lock, at every moment. Classic name: _PyThreadState_UncheckedGet. */
GIL_API gil_thread_state *gil_thread_state_get_unchecked(void);

/* Makes ts current in the calling thread (NULL: none), and returns what was current. The caller
 * holds the lock, and keeps it; a state of an interpreter with another lock is fatal. Classic name:
 * PyThreadState_Swap. */
GIL_API gil_thread_state *gil_thread_state_swap(gil_thread_state *ts);

/* The interpreter of a thread state. Anybody may ask. Classic name:
 * PyThreadState_GetInterpreter. */
GIL_API gil_interpreter_state *gil_thread_state_interpreter(const gil_thread_state *ts);

/* A number of its own for each thread state of the process, from 1 on, never used again. Anybody
 * may ask. Classic name: PyThreadState_GetID. */
GIL_API uint64_t gil_thread_state_id(const gil_thread_state *ts);

/* The identity of the thread that last had the state current, or made it: as gil_thread_ident().
 * Anybody may ask. Classic name: the member thread_id. */
GIL_API unsigned long gil_thread_state_thread(const gil_thread_state *ts);

/* The next older thread state of the same interpreter, or NULL. Classic name: PyThreadState_Next.
 * */
GIL_API gil_thread_state *gil_thread_state_next(const gil_thread_state *ts);

/* The host's dictionary of the current thread state; NULL when nothing was set or no state is
 * current. The library does not look at it. Classic name: PyThreadState_GetDict. */
GIL_API void *gil_thread_state_dict(void);

/* Sets it. A thread state must be current. */
GIL_API void gil_thread_state_set_dict(void *dict);

/* The exception slot of the current thread state, fatal when there is none: the host reads and
 * writes it while the state is current. Classic name: sys.exc_info. */
GIL_API gil_exc_info *gil_exc_info_slot(void);

/* Raises an exception in another thread: each state of the thread `ident` (gil_thread_ident()) in
 * the caller's interpreter gets `exc` in exc_info's `type` at its next checkpoint, which returns
 * -1. A request that is still pending is replaced; NULL withdraws it. Returns how many states were
 * told, and in *replaced (may be NULL) the last request that was replaced, so that the host can
 * give it back. The caller holds the lock. Blocking calls go on: see gil_interrupt(). Classic name:
 * PyThreadState_SetAsyncExc. */
GIL_API int gil_thread_state_set_async_exc(unsigned long ident, void *exc, void **replaced);

GIL_END_DECLS

#endif
