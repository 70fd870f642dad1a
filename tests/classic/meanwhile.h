/* What the programs block, by_hand and lower_level assert of a nap that gives the lock up: another
 * thread runs meanwhile, which it cannot while this one keeps the lock, and afterwards the caller
 * has its thread state and its errno as before. */
#ifndef MEANWHILE_H
#define MEANWHILE_H

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include <gil/python.h>

/* Written and read by who holds the interpreter lock. */
static int other_has_run;
static PyThread_type_lock other_has_ended;

static void other(void *arg)
{
    PyThreadState *tstate = PyThreadState_New((PyInterpreterState *)arg);

    PyEval_AcquireThread(tstate);
    other_has_run = 1;
    PyThreadState_Clear(tstate);
    PyEval_ReleaseThread(tstate);
    PyThreadState_Delete(tstate);
    PyThread_release_lock(other_has_ended);
}

static void assert_others_run_during(void (*nap)(double secs))
{
    PyThreadState *mine;

    PyEval_InitThreads();
    Py_Initialize();
    mine = PyThreadState_Get();
    other_has_ended = PyThread_allocate_lock();
    PyThread_acquire_lock(other_has_ended, WAIT_LOCK);
    PyThread_start_new_thread(other, mine->interp);

    usleep(100000);
    assert(!other_has_run);
    while (!other_has_run) {
        errno = 0;
        nap(1.0);
        assert(errno == E2BIG);
        assert(PyThreadState_Get() == mine);
    }

    Py_BEGIN_ALLOW_THREADS PyThread_acquire_lock(other_has_ended, WAIT_LOCK);
    Py_END_ALLOW_THREADS PyThread_free_lock(other_has_ended);
    Py_Finalize();
}

#endif
