/* Threads: starting, joining and ending them, who they are, and a value of their own for each.
 *
 * A thread is known by its *ident*: pthread_self() as a number, so that it may be given to another
 * thread after this one has ended. gil_interrupt() (eval.h) takes it.
 *
 * Starting a thread calls gil_init_threads() if that has not been done: the caller then holds the
 * interpreter lock, as that function says. With GIL_NO_THREADS defined, what starts, joins and ends
 * threads is not declared.
 *
 * Functions keep errno unless they say that they return an error there. None may be called from a
 * signal handler, and none is a cancellation point. */
#ifndef GIL_THREAD_H
#define GIL_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gil/export.h>

GIL_BEGIN_DECLS

/* ---- Who a thread is ---- */

/* What no thread's ident is. Classic name: PYTHREAD_INVALID_THREAD_ID. */
#define GIL_NO_THREAD ((unsigned long)-1)

/* The calling thread's ident. Anybody may ask. From then on gil_interrupt() finds the thread.
 * Classic name: PyThread_get_thread_ident. */
GIL_API unsigned long gil_thread_ident(void);

/* The number by which the kernel knows the calling thread (gettid). Anybody may ask. Classic name:
 * PyThread_get_thread_native_id. */
GIL_API unsigned long gil_thread_native_id(void);

/* ---- Starting and ending ---- */

#ifndef GIL_NO_THREADS

/* Starts a thread that calls fn(arg). It has no thread state, holds no lock, and nobody can join
 * it: it ends when fn returns. Anybody may call it. Returns the thread's ident, or GIL_NO_THREAD
 * with errno EAGAIN or ENOMEM. Classic name: PyThread_start_new_thread. */
GIL_API unsigned long gil_start_new_thread(void (*fn)(void *arg), void *arg);

/* Ends the calling thread, as pthread_exit() does. A thread that gil_thread_start() started is
 * cleaned up as when its function returns; any other one must not hold a lock. Classic name:
 * PyThread_exit_thread. */
GIL_API void gil_thread_exit(void) __attribute__((noreturn));

/* A thread that can be joined. Opaque. */
typedef struct gil_thread gil_thread;

/* How to start a thread; all-zero members are the defaults. */
typedef struct gil_thread_options {
    const char
        *name; /* for ps, top and debuggers, which show the first 15 bytes; NULL: inherited */
    size_t stack_size; /* in bytes, rounded up to pages; 0: what the process has as a default */
} gil_thread_options;

/* Starts a thread that calls fn(arg) with a thread state of the caller's interpreter current: it
 * holds the lock then. When fn returns, or the thread ends in it, the state is cleared and deleted;
 * fn leaves that state current, or none.
 *
 * thread: where to put a handle, which exactly one gil_thread_join() that returns 0 or one
 * gil_thread_detach() gives back; NULL: nobody will join the thread. options may be NULL.
 *
 * A thread state must be current in the caller. Returns the thread's ident, or GIL_NO_THREAD with
 * errno EAGAIN, ENOMEM, or EINVAL: no such stack size. Classic name: thread.start_new_thread. */
GIL_API unsigned long gil_thread_start(gil_thread **thread, const gil_thread_options *options,
                                       void (*fn)(void *arg), void *arg);

/* Waits until a thread has ended, timeout_ns nanoseconds at most (-1: without limit; 0: only
 * looks). The interpreter lock is given up meanwhile if a thread state is current. Anybody but the
 * thread itself may call it. Returns 0: the thread has ended, destructors of thread-specific data
 * (pthread_key_create) included, and the handle is no more; or -1 with errno ETIMEDOUT, EINTR
 * (gil_interrupt), or EDEADLK: it is the calling thread. Classic name: threading.Thread.join. */
GIL_API int gil_thread_join(gil_thread *thread, int64_t timeout_ns);

/* Gives a handle back, and the thread its own way. Anybody may call it, whether or not the thread
 * has ended. */
GIL_API void gil_thread_detach(gil_thread *thread);

#endif

/* ---- A value of its own for each thread ---- */

/* A key: under it, every thread keeps a pointer of its own, which is NULL at first. Nothing is done
 * with that pointer when its thread ends or the key is deleted. All-zero memory is a valid key that
 * has not been created. No lock is needed for any of this. Classic name: Py_tss_t. */
typedef struct gil_tss {
    uint32_t key_;
} gil_tss;

/* Classic name: Py_tss_NEEDS_INIT. */
#define GIL_TSS_INIT                                                                               \
    {                                                                                              \
        0                                                                                          \
    }

/* Makes a key that has not been created, on the heap. Returns NULL with errno ENOMEM. The second
 * deletes the key as well; NULL is legal. Classic names: PyThread_tss_alloc, PyThread_tss_free. */
GIL_API gil_tss *gil_tss_alloc(void);
GIL_API void gil_tss_free(gil_tss *key);

/* Creates a key; does nothing if that is done already. Several threads may do it at a time. Returns
 * 0, or -1 with errno EAGAIN: the process has no more keys. Classic name: PyThread_tss_create. */
GIL_API int gil_tss_create(gil_tss *key);

/* Deletes a key, which can then be created again; does nothing to one that is not. Nobody uses the
 * key meanwhile. Classic name: PyThread_tss_delete. */
GIL_API void gil_tss_delete(gil_tss *key);

/* Has the key been created? Classic name: PyThread_tss_is_created. */
GIL_API bool gil_tss_is_created(const gil_tss *key);

/* Sets the calling thread's value. Returns 0, or -1 with errno ENOMEM, or EINVAL: the key is not
 * created. Classic name: PyThread_tss_set. */
GIL_API int gil_tss_set(gil_tss *key, void *value);

/* The calling thread's value; NULL, too, when the key is not created. Classic name:
 * PyThread_tss_get. */
GIL_API void *gil_tss_get(const gil_tss *key);

GIL_END_DECLS

#endif
