/* What single calls cost inside a Python process, in nanoseconds: a release and acquire of the GIL
 * that nobody else wants, a pthread mutex that is not the GIL's, and a call that may block in a
 * thread that never touched Python.
 *
 * Invariant: each figure is the best of many short stretches, so that an interruption of the
 * machine does not count; nothing else runs in the process meanwhile. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

enum { STRETCHES = 400, PER_STRETCH = 1500 };

typedef void step_fn(void *arg);

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static double best_ns(step_fn *step, void *arg)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < STRETCHES; i++) {
        uint64_t start = now_ns();

        step(arg);
        start = now_ns() - start;
        if (start < best)
            best = start;
    }
    return (double)best / PER_STRETCH;
}

static void step_pair(void *arg)
{
    (void)arg;
    for (int i = 0; i < PER_STRETCH; i++)
        PyEval_RestoreThread(PyEval_SaveThread());
}

static void step_mutex(void *arg)
{
    pthread_mutex_t *mutex = arg;

    for (int i = 0; i < PER_STRETCH; i++) {
        pthread_mutex_lock(mutex);
        pthread_mutex_unlock(mutex);
    }
}

static void step_read(void *arg)
{
    int fd = *(int *)arg;
    char byte;

    for (int i = 0; i < PER_STRETCH; i++) {
        if (read(fd, &byte, 1) != -1)
            abort();
    }
}

static PyObject *pair(PyObject *self, PyObject *args)
{
    (void)self, (void)args;
    return PyFloat_FromDouble(best_ns(step_pair, NULL));
}

static PyObject *mutex(PyObject *self, PyObject *args)
{
    pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;

    (void)self, (void)args;
    return PyFloat_FromDouble(best_ns(step_mutex, &other));
}

struct foreign {
    int fd;
    double ns;
};

static void *foreign_thread(void *arg)
{
    struct foreign *foreign = arg;

    foreign->ns = best_ns(step_read, &foreign->fd);
    return NULL;
}

/* The caller keeps the GIL meanwhile: no thread of the process but the foreign one runs. */
static PyObject *foreign(PyObject *self, PyObject *args)
{
    struct foreign foreign = {0};
    pthread_t thread;
    int ends[2];

    (void)self, (void)args;
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    foreign.fd = ends[0];
    int error = pthread_create(&thread, NULL, foreign_thread, &foreign);
    if (error == 0)
        pthread_join(thread, NULL);
    close(ends[0]);
    close(ends[1]);
    if (error != 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyFloat_FromDouble(foreign.ns);
}

static PyMethodDef methods[] = {
    {"pair", pair, METH_NOARGS, "PyEval_SaveThread and PyEval_RestoreThread"},
    {"mutex", mutex, METH_NOARGS, "lock and unlock of a mutex that is not the GIL's"},
    {"foreign", foreign, METH_NOARGS, "read of an empty pipe in a thread without a thread state"},
    {0},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "callcost", .m_doc = "What single calls cost, in nanoseconds.",
    .m_size = -1,          .m_methods = methods,
};

PyMODINIT_FUNC PyInit_callcost(void);

PyMODINIT_FUNC PyInit_callcost(void)
{
    return PyModule_Create(&module);
}
