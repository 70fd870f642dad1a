/* A CPython extension for signals.test: a storm of signals whose handler is plain C and writes.
 *
 *     start(fd, [tid, …])   a thread of its own sends SIGUSR1 to the tids in turn, 1000 a second
 *     stop()                ends it; returns (sent, handled, written)
 *
 * Invariant: the handler calls only write() and atomics, so that anything that hangs or breaks is
 * the fault of what it interrupted or of the write() that it calls. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TIDS_MAX 64

static int out_fd, tid_count;
static pid_t tids[TIDS_MAX];
static atomic_bool running;
static atomic_long sent, handled, written;
static pthread_t sender;

static void on_signal(int number)
{
    int kept = errno;
    char byte = (char)number;

    atomic_fetch_add(&handled, 1);
    if (write(out_fd, &byte, 1) == 1)
        atomic_fetch_add(&written, 1);
    errno = kept;
}

static void *send_signals(void *arg)
{
    struct timespec ms = {0, 1000000};

    (void)arg;
    for (int i = 0; atomic_load(&running); i = (i + 1) % tid_count) {
        if (syscall(SYS_tgkill, getpid(), tids[i], SIGUSR1) == 0)
            atomic_fetch_add(&sent, 1);
        nanosleep(&ms, NULL);
    }
    return NULL;
}

static PyObject *start(PyObject *self, PyObject *args)
{
    struct sigaction action = {.sa_handler = on_signal};
    PyObject *list;
    sigset_t all, old;

    (void)self;
    if (!PyArg_ParseTuple(args, "iO!", &out_fd, &PyList_Type, &list))
        return NULL;
    for (tid_count = 0; tid_count < PyList_Size(list) && tid_count < TIDS_MAX; tid_count++)
        tids[tid_count] = (pid_t)PyLong_AsLong(PyList_GetItem(list, tid_count));
    if (PyErr_Occurred())
        return NULL;
    sigaction(SIGUSR1, &action, NULL);
    atomic_store(&running, true);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_create(&sender, NULL, send_signals, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    Py_RETURN_NONE;
}

static PyObject *stop(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    atomic_store(&running, false);
    Py_BEGIN_ALLOW_THREADS;
    pthread_join(sender, NULL);
    Py_END_ALLOW_THREADS;
    return Py_BuildValue("lll", atomic_load(&sent), atomic_load(&handled), atomic_load(&written));
}

static PyMethodDef methods[] = {
    {"start", start, METH_VARARGS, "Send SIGUSR1 to these threads in turn."},
    {"stop", stop, METH_NOARGS, "End that; how many were sent, handled and written."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "signals", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_signals(void);
PyMODINIT_FUNC PyInit_signals(void)
{
    return PyModule_Create(&module);
}
