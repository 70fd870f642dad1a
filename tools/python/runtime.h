/* What the drop-in knows of an interpreter: where its GIL is, and how to ask it to drop it.
 *
 * One small file a minor version fills this in from that version's own headers (runtime311.c);
 * everything else in tools/python is independent of the version. The pointers are valid from
 * recognition to the end of the process: the runtime is a static object of the interpreter. */
#ifndef GIL_PYTHON_RUNTIME_H
#define GIL_PYTHON_RUNTIME_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Reached without a look into the table of symbols that may be another library's. */
#define HIDDEN __attribute__((visibility("hidden")))

/* Where the interpreter's GIL structure starts, how long it is, and where in it are the fields that
 * an uncontended take and drop look at: what each call of a wrapped mutex function compares with.
 * No object of a program lies within PY_GIL_SIZE after PY_NO_GIL. */
extern HIDDEN uintptr_t py_gil;
enum { PY_GIL_LAST_HOLDER = 8, PY_GIL_LOCKED = 16, PY_GIL_MUTEX = 80, PY_GIL_SIZE = 208 };
#define PY_NO_GIL UINTPTR_MAX

struct py_runtime {
    unsigned long *interval;      /* µs */
    void **finalizing;            /* thread state that runs Py_FinalizeEx, or NULL */
    uintptr_t tstate_interpreter; /* offset of a thread state's pointer to its interpreter */
    uintptr_t save_thread;        /* PyEval_SaveThread's code */
    uintptr_t save_thread_size;
};

extern HIDDEN struct py_runtime py_runtime;

enum py_recognised {
    PY_NONE,    /* no CPython in this process */
    PY_UNKNOWN, /* one that the drop-in has no layout for */
    PY_KNOWN,   /* py_runtime is filled in */
};

/* Looks for an interpreter among the loaded objects. Call it once, from the constructor. */
enum py_recognised py_recognise(void);

/* The interpreter version as "3.11", whether known or not, after py_recognise. */
const char *py_version(void);

/* The main interpreter, or NULL before it exists. */
void *py_main_interpreter(void);

/* Sets, clears the drop request that an interpreter's evaluation loop looks at. */
void py_request_drop(void *interpreter);
void py_clear_request(void *interpreter);

/* Has the calling thread a thread state of its own (that of PyGILState)? */
bool py_has_tstate(void);

#endif
