/* C threads that bootstrap themselves: each makes a thread state, takes the lock, works with the
 * interpreter's data, and takes itself apart again. */
#undef NDEBUG
#include <assert.h>
#include <unistd.h>

#include <gil/python.h>

#define THREADS 4
#define WORK    1000

/* The interpreter's data: no thread touches it without the lock. */
static long work_done;
static int threads_done;

static PyThread_type_lock all_done;

static int has_state(PyInterpreterState *interp, PyThreadState *wanted)
{
    PyThreadState *tstate;

    for (tstate = PyInterpreterState_ThreadHead(interp); tstate;
         tstate = PyThreadState_Next(tstate))
        if (tstate == wanted)
            return 1;
    return 0;
}

static void work(PyThreadState *tstate)
{
    assert(PyThreadState_Get() == tstate && PyGILState_Check());
    assert(has_state(tstate->interp, tstate));
    for (int i = 0; i < WORK; i++) {
        long seen = work_done;

        if (i % 100 == 0)
            usleep(10); /* with the lock: whoever does not have it could spoil the count now */
        work_done = seen + 1;
        if (i % 10 == 0) {
            Py_BEGIN_ALLOW_THREADS Py_END_ALLOW_THREADS
        }
    }
}

static void thread_main(void *arg)
{
    PyInterpreterState *interp = (PyInterpreterState *)arg;
    PyThreadState *tstate = PyThreadState_New(interp);
    int last;

    assert(tstate && tstate->interp == interp);
    assert(!PyGILState_Check());

    PyEval_AcquireLock();
    assert(PyThreadState_Swap(tstate) == NULL);
    work(tstate);
    last = ++threads_done == THREADS;
    PyThreadState_Clear(tstate);
    assert(PyThreadState_Swap(NULL) == tstate);
    PyEval_ReleaseLock();
    PyThreadState_Delete(tstate);

    if (last)
        PyThread_release_lock(all_done);
}

int main(void)
{
    PyInterpreterState *interp;

    PyEval_InitThreads();
    Py_Initialize();
    interp = PyThreadState_Get()->interp;
    all_done = PyThread_allocate_lock();
    PyThread_acquire_lock(all_done, WAIT_LOCK);
    for (int i = 0; i < THREADS; i++)
        assert(PyThread_start_new_thread(thread_main, interp) != (unsigned long)-1);

    Py_BEGIN_ALLOW_THREADS PyThread_acquire_lock(all_done, WAIT_LOCK);
    Py_END_ALLOW_THREADS assert(work_done == THREADS * WORK);
    PyThread_free_lock(all_done);
    Py_Finalize();
    return 0;
}
