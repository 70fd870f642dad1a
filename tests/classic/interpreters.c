/* Two interpreters in one process: they share the lock, so that one of them runs at a time, and
 * nothing else. */
#undef NDEBUG
#include <assert.h>
#include <unistd.h>

#include <gil/python.h>

/* Set by the thread of the second interpreter, with the lock. */
static int runs;
static PyThread_type_lock has_asked, has_ended;

static void thread_of_second(void *arg)
{
    PyThreadState *tstate = PyThreadState_New((PyInterpreterState *)arg);

    PyThread_release_lock(has_asked);
    PyEval_AcquireThread(tstate);
    runs = 1;
    PyThreadState_Clear(tstate);
    PyEval_ReleaseThread(tstate);
    PyThreadState_Delete(tstate);
    PyThread_release_lock(has_ended);
}

static PyThread_type_lock taken_lock(void)
{
    PyThread_type_lock lock = PyThread_allocate_lock();

    assert(PyThread_acquire_lock(lock, NOWAIT_LOCK));
    return lock;
}

static int count_interpreters(void)
{
    PyInterpreterState *interp;
    int n = 0;

    for (interp = PyInterpreterState_Head(); interp; interp = PyInterpreterState_Next(interp))
        n++;
    return n;
}

/* Each has its own threads: a state is in the list of its own interpreter only. */
static void assert_apart(PyThreadState *first, PyThreadState *second)
{
    assert(first->interp != second->interp);
    assert(PyInterpreterState_ThreadHead(first->interp) == first);
    assert(PyThreadState_Next(first) == NULL);
    assert(PyInterpreterState_ThreadHead(second->interp) == second);
    assert(PyThreadState_Next(second) == NULL);
    assert(count_interpreters() == 2);
}

/* A thread of the second interpreter does not run while one of the first has the lock. */
static void assert_one_lock(PyInterpreterState *second)
{
    has_asked = taken_lock();
    has_ended = taken_lock();
    assert(PyThread_start_new_thread(thread_of_second, second) != (unsigned long)-1);
    while (!PyThread_acquire_lock(has_asked, NOWAIT_LOCK)) /* which keeps the interpreter lock */
        usleep(1000);
    usleep(100000);
    assert(!runs);
    Py_BEGIN_ALLOW_THREADS PyThread_acquire_lock(has_ended, WAIT_LOCK);
    Py_END_ALLOW_THREADS assert(runs);
    PyThread_free_lock(has_asked);
    PyThread_free_lock(has_ended);
}

int main(void)
{
    PyThreadState *first, *second;
    PyInterpreterState *interp;

    PyEval_InitThreads();
    Py_Initialize();
    first = PyThreadState_Get();
    assert(PyInterpreterState_Head() == first->interp && count_interpreters() == 1);

    interp = PyInterpreterState_New();
    second = PyThreadState_New(interp);
    assert_apart(first, second);

    /* One thread may go from one to the other, and keeps the lock. */
    assert(PyThreadState_Swap(second) == first);
    assert(PyThreadState_Get()->interp == interp);
    assert(PyThreadState_Swap(first) == second);

    assert_one_lock(interp);

    assert(PyThreadState_Swap(second) == first);
    PyInterpreterState_Clear(interp);
    assert(PyThreadState_Swap(first) == second);
    PyThreadState_Delete(second);
    PyInterpreterState_Delete(interp);
    assert(count_interpreters() == 1);
    Py_Finalize();
    return 0;
}
