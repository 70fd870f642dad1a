/* An extension module that makes a libc call the way CPython does: between PyEval_SaveThread and
 * PyEval_RestoreThread, imported by name, so that a drop-in's wrapper gets it.
 *
 *   call(name, *arguments) -> (result, errno)   integers, None for NULL, or buffers
 *   address(buffer) -> where its bytes are (the caller keeps it alive)
 *   path() -> how the last call of this thread met its deferral (alwaysdeferred.c only): "plain"
 * when there was none to meet, "done", "tried" (and completed then), "completed"
 *   count_signal(number, restart)               from now on its handler counts; signals() -> how
 * many
 *
 * errno is 77 before each call, so that a change of it shows. Each libc function has a release of
 * its own, as it has in CPython. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <signal.h>

#define ARGUMENTS 8
#define UNTOUCHED 77

typedef long call_fn(long, long, long, long, long, long, long, long);

/* The functions, by their names for the linker: their types do not matter to the calling
 * convention. */
#define FUNCTIONS(INT, LONG)                                                                       \
    LONG(read)                                                                                     \
    LONG(__read_chk)                                                                               \
    LONG(readv)                                                                                    \
    LONG(pread64)                                                                                  \
    LONG(pread) LONG(preadv64) LONG(preadv64v2) LONG(write) LONG(writev) LONG(pwrite64)            \
        LONG(pwritev64v2) INT(eventfd_read) INT(eventfd_write) LONG(recv) LONG(__recv_chk)         \
            LONG(recvfrom) LONG(recvmsg) LONG(send) LONG(sendto) LONG(sendmsg) INT(accept)         \
                INT(accept4) INT(connect) INT(setsockopt) INT(poll) INT(__poll_chk) INT(ppoll)     \
                    INT(select) INT(pselect) INT(epoll_wait) INT(epoll_pwait) INT(epoll_pwait2)    \
                        INT(clock_nanosleep) INT(nanosleep) INT(sched_yield) INT(waitpid)          \
                            INT(wait) INT(wait3) INT(wait4) INT(waitid) INT(sem_wait)              \
                                INT(sem_timedwait) INT(sem_clockwait) INT(sigtimedwait)            \
                                    INT(open64) INT(openat64) INT(__open64_2) INT(fsync)           \
                                        INT(flock) INT(lockf64) INT(fcntl64) INT(ioctl)            \
                                            LONG(getrandom) LONG(sendfile64) LONG(splice)          \
                                                LONG(copy_file_range) INT(posix_fallocate64)       \
                                                    INT(sem_init) INT(sem_post)

#define DECLARE(name) extern call_fn libc_##name __asm__(#name);
FUNCTIONS(DECLARE, DECLARE)

/* Present when alwaysdeferred.c is loaded. */
extern void always_defer(void) __attribute__((weak));
extern void always_deferred(int *completed, int *tried, int *done) __attribute__((weak));

#define SITE(name, type)                                                                           \
    static long site_##name(const long *a, int *error)                                             \
    {                                                                                              \
        PyThreadState *state = PyEval_SaveThread();                                                \
        if (always_defer)                                                                          \
            always_defer();                                                                        \
        errno = UNTOUCHED;                                                                         \
        type result = (type)libc_##name(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);           \
        *error = errno;                                                                            \
        PyEval_RestoreThread(state);                                                               \
        return result;                                                                             \
    }
#define SITE_INT(name)  SITE(name, int)
#define SITE_LONG(name) SITE(name, long)
FUNCTIONS(SITE_INT, SITE_LONG)

#define ENTRY(name) {#name, site_##name},
static const struct {
    const char *name;
    long (*call)(const long *, int *);
} sites[] = {FUNCTIONS(ENTRY, ENTRY)};

static int convert(PyObject *argument, long *value, Py_buffer *buffer)
{
    if (argument == Py_None) {
        *value = 0;
    } else if (PyLong_Check(argument)) {
        *value = (long)PyLong_AsUnsignedLongMask(argument);
        if (PyErr_Occurred())
            return -1;
    } else {
        if (PyObject_GetBuffer(argument, buffer, PyBUF_SIMPLE))
            return -1;
        *value = (long)buffer->buf;
    }
    return 0;
}

static PyObject *call(PyObject *Py_UNUSED(self), PyObject *const *arguments, Py_ssize_t count)
{
    const char *name = count ? PyUnicode_AsUTF8(arguments[0]) : NULL;
    if (!name || count > ARGUMENTS + 1) {
        PyErr_SetString(PyExc_TypeError, "call(name, up to 8 arguments)");
        return NULL;
    }
    size_t site = 0;
    while (site < sizeof sites / sizeof sites[0] && strcmp(sites[site].name, name))
        site++;
    if (site == sizeof sites / sizeof sites[0])
        return PyErr_Format(PyExc_LookupError, "no call of %s here: add it to FUNCTIONS", name);
    long values[ARGUMENTS] = {0};
    Py_buffer buffers[ARGUMENTS] = {0};
    PyObject *answer = NULL;
    Py_ssize_t i = 0;
    while (i < count - 1 && !convert(arguments[i + 1], &values[i], &buffers[i]))
        i++;
    if (i == count - 1) {
        int error;
        long result = sites[site].call(values, &error);
        answer = Py_BuildValue("li", result, error);
    }
    for (i = 0; i < ARGUMENTS; i++) {
        if (buffers[i].obj)
            PyBuffer_Release(&buffers[i]);
    }
    return answer;
}

static PyObject *address(PyObject *Py_UNUSED(self), PyObject *object)
{
    long value;
    Py_buffer buffer = {0};
    if (convert(object, &value, &buffer))
        return NULL;
    PyBuffer_Release(&buffer);
    return PyLong_FromLong(value);
}

static PyObject *path(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    int completed = 0, tried = 0, done = 0;
    if (always_deferred)
        always_deferred(&completed, &tried, &done);
    return PyUnicode_FromString(tried       ? "tried"
                                : completed ? "completed"
                                : done      ? "done"
                                            : "plain");
}

static int signal_count;

static void count_one(int number)
{
    (void)number;
    __atomic_add_fetch(&signal_count, 1, __ATOMIC_RELAXED);
}

static PyObject *count_signal(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    int number, restart;
    if (!PyArg_ParseTuple(arguments, "ip", &number, &restart))
        return NULL;
    struct sigaction action = {.sa_handler = count_one, .sa_flags = restart ? SA_RESTART : 0};
    if (sigaction(number, &action, NULL))
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *signals(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    return PyLong_FromLong(__atomic_exchange_n(&signal_count, 0, __ATOMIC_RELAXED));
}

static PyMethodDef methods[] = {
    {"call", (PyCFunction)(void (*)(void))call, METH_FASTCALL, NULL},
    {"address", address, METH_O, NULL},
    {"path", path, METH_NOARGS, NULL},
    {"count_signal", count_signal, METH_VARARGS, NULL},
    {"signals", signals, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "calls", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_calls(void);
PyMODINIT_FUNC PyInit_calls(void)
{
    return PyModule_Create(&module);
}
