/* Every classic name has the type that the classic interface gives it: each is the initial value of
 * something of that type. The numbers have the values that code relies upon. */
#undef NDEBUG
#include <assert.h>

#include <gil/python.h>

#ifdef GIL_NO_THREADS
#define HAVE_THREADS 0
#else
#define HAVE_THREADS 1
#endif

#ifdef __cplusplus
#define ASSERT(what) static_assert(what, #what)
#else
#define ASSERT(what) _Static_assert(what, #what)
#endif

/* An object of CPython's is a void * here. */
typedef void PyObject;

typedef struct names {
    void (*initialize)(void);
    void (*finalize)(void);
    int (*is_initialized)(void);
    int (*add_pending_call)(int (*)(void *), void *);
    int (*make_pending_calls)(void);
    int (*threads_initialized)(void);
    PyThreadState *(*save_thread)(void);
    void (*restore_thread)(PyThreadState *);

    PyThreadState *(*thread_new)(PyInterpreterState *);
    void (*thread_clear)(PyThreadState *);
    void (*thread_delete)(PyThreadState *);
    void (*thread_delete_current)(void);
    PyThreadState *(*thread_get)(void);
    PyThreadState *(*thread_swap)(PyThreadState *);
    PyObject *(*thread_get_dict)(void);
    PyThreadState *(*thread_next)(PyThreadState *);
    int (*thread_set_async_exc)(unsigned long, PyObject *);

    PyInterpreterState *(*interpreter_new)(void);
    void (*interpreter_clear)(PyInterpreterState *);
    void (*interpreter_delete)(PyInterpreterState *);
    PyInterpreterState *(*interpreter_head)(void);
    PyInterpreterState *(*interpreter_next)(PyInterpreterState *);
    PyThreadState *(*interpreter_thread_head)(PyInterpreterState *);

    PyGILState_STATE (*ensure)(void);
    void (*release)(PyGILState_STATE);
    int (*check)(void);
    PyThreadState *(*this_thread_state)(void);
    PyGILState_STATE (*state_ensure)(void);
    void (*state_release)(PyGILState_STATE);

    void (*before_fork)(void);
    void (*after_fork_parent)(void);
    void (*after_fork_child)(void);

    unsigned long (*get_thread_ident)(void);
    unsigned long (*get_thread_native_id)(void);
    PyThread_type_lock (*allocate_lock)(void);
    int (*acquire_lock)(PyThread_type_lock, int);
    PyLockStatus (*acquire_lock_timed)(PyThread_type_lock, PY_TIMEOUT_T, int);
    void (*release_lock)(PyThread_type_lock);
    void (*free_lock)(PyThread_type_lock);

    Py_tss_t *(*tss_alloc)(void);
    void (*tss_free)(Py_tss_t *);
    int (*tss_is_created)(Py_tss_t *);
    int (*tss_create)(Py_tss_t *);
    void (*tss_delete)(Py_tss_t *);
    int (*tss_set)(Py_tss_t *, void *);
    void *(*tss_get)(Py_tss_t *);

    void (*setcheckinterval)(int);
    int (*getcheckinterval)(void);
    int (*setswitchinterval)(double);
    double (*getswitchinterval)(void);
    gil_exc_info (*exc_info)(void);
} names;

names all_of_them = {
    Py_Initialize,
    Py_Finalize,
    Py_IsInitialized,
    Py_AddPendingCall,
    Py_MakePendingCalls,
    PyEval_ThreadsInitialized,
    PyEval_SaveThread,
    PyEval_RestoreThread,

    PyThreadState_New,
    PyThreadState_Clear,
    PyThreadState_Delete,
    PyThreadState_DeleteCurrent,
    PyThreadState_Get,
    PyThreadState_Swap,
    PyThreadState_GetDict,
    PyThreadState_Next,
    PyThreadState_SetAsyncExc,

    PyInterpreterState_New,
    PyInterpreterState_Clear,
    PyInterpreterState_Delete,
    PyInterpreterState_Head,
    PyInterpreterState_Next,
    PyInterpreterState_ThreadHead,

    PyGILState_Ensure,
    PyGILState_Release,
    PyGILState_Check,
    PyGILState_GetThisThreadState,
    PyGILState_STATE_Ensure,
    PyGILState_STATE_Release,

    PyOS_BeforeFork,
    PyOS_AfterFork_Parent,
    PyOS_AfterFork_Child,

    PyThread_get_thread_ident,
    PyThread_get_thread_native_id,
    PyThread_allocate_lock,
    PyThread_acquire_lock,
    PyThread_acquire_lock_timed,
    PyThread_release_lock,
    PyThread_free_lock,

    PyThread_tss_alloc,
    PyThread_tss_free,
    PyThread_tss_is_created,
    PyThread_tss_create,
    PyThread_tss_delete,
    PyThread_tss_set,
    PyThread_tss_get,

    sys_setcheckinterval,
    sys_getcheckinterval,
    sys_setswitchinterval,
    sys_getswitchinterval,
    sys_exc_info,
};

#ifndef GIL_NO_THREADS
typedef struct thread_names {
    void (*init_threads)(void);
    void (*acquire_lock)(void);
    void (*release_lock)(void);
    void (*acquire_thread)(PyThreadState *);
    void (*release_thread)(PyThreadState *);
    unsigned long (*start_new_thread)(void (*)(void *), void *);
    void (*exit_thread)(void);
} thread_names;

thread_names those_of_threads = {
    PyEval_InitThreads,   PyEval_AcquireLock,        PyEval_ReleaseLock,   PyEval_AcquireThread,
    PyEval_ReleaseThread, PyThread_start_new_thread, PyThread_exit_thread,
};
#endif

ASSERT(WAIT_LOCK == 1 && NOWAIT_LOCK == 0);
ASSERT(PY_LOCK_FAILURE == 0 && PY_LOCK_ACQUIRED == 1 && PY_LOCK_INTR == 2);
ASSERT(PyGILState_LOCKED == 0 && PyGILState_UNLOCKED == 1);
ASSERT(PY_TIMEOUT_MAX == LLONG_MAX / 1000);
ASSERT(PYTHREAD_INVALID_THREAD_ID == (unsigned long)-1);

int main(void)
{
    static Py_tss_t key = Py_tss_NEEDS_INIT;
    PyThreadState *tstate;
    PyInterpreterState **interp;

    assert(!PyThread_tss_is_created(&key));
    Py_Initialize();
    tstate = PyThreadState_Get();
    interp = &tstate->interp;
    assert(*interp == PyInterpreterState_Head());

    /* Where there are no threads, the four are empty: whoever runs goes on running. */
    Py_BEGIN_ALLOW_THREADS assert(PyGILState_Check() == !HAVE_THREADS);
    Py_BLOCK_THREADS assert(PyGILState_Check());
    Py_UNBLOCK_THREADS assert(PyGILState_Check() == !HAVE_THREADS);
    Py_END_ALLOW_THREADS assert(PyGILState_Check());
    Py_Finalize();
    return 0;
}
