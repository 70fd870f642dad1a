/* A CPython extension for meaning.test: releases of the GIL that libgil does not interpose, and a
 * count that threads can read without holding the lock.
 *
 * Invariant: the count only grows; it is written by tick() with the GIL held and read anywhere. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_long ticks;

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static PyObject *tick(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    return PyLong_FromLong(atomic_fetch_add(&ticks, 1) + 1);
}

/* wait(ns): sleeps without the GIL, by a plain system call, and takes it back. Returns how far the
 * count went on while this thread wanted the lock. */
static PyObject *wait_for_lock(PyObject *self, PyObject *arg)
{
    long ns = PyLong_AsLong(arg), before;
    struct timespec ts = {ns / 1000000000, ns % 1000000000};

    (void)self;
    Py_BEGIN_ALLOW_THREADS;
    syscall(SYS_nanosleep, &ts, NULL);
    before = atomic_load(&ticks);
    Py_END_ALLOW_THREADS;
    return PyLong_FromLong(atomic_load(&ticks) - before);
}

/* release(ns, sleep): keeps the GIL released, in a system call that nobody interposes for ns
 * nanoseconds, or computing until the first tick but ns at most. Returns the count reached
 * meanwhile and how long that took. */
static PyObject *release(PyObject *self, PyObject *args)
{
    long ns, before, seen, took;
    int asleep;
    int64_t start;

    (void)self;
    if (!PyArg_ParseTuple(args, "lp", &ns, &asleep))
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    before = atomic_load(&ticks);
    start = now_ns();
    if (asleep) {
        struct timespec ts = {ns / 1000000000, ns % 1000000000};

        syscall(SYS_nanosleep, &ts, NULL);
    } else {
        while (atomic_load(&ticks) == before && now_ns() - start < ns)
            ;
    }
    seen = atomic_load(&ticks) - before;
    took = (long)(now_ns() - start);
    Py_END_ALLOW_THREADS;
    return Py_BuildValue("ll", seen, took);
}

static PyMethodDef methods[] = {
    {"tick", tick, METH_NOARGS, "Count one."},
    {"wait", wait_for_lock, METH_O, "Sleep without the GIL; how far others counted meanwhile."},
    {"release", release, METH_VARARGS, "Release the GIL around something not interposed."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "meaning", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_meaning(void);
PyMODINIT_FUNC PyInit_meaning(void)
{
    return PyModule_Create(&module);
}
