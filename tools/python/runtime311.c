/* CPython 3.11: the layout of its runtime, from its own headers.
 *
 * Recognised is what has the layout: a symbol _PyRuntime of exactly the size that the headers give,
 * in a process whose Py_Version says 3.11. A debug build, or another minor version, differs in one
 * of them. It does not matter whether the symbol is the program's own or that of libpython3.11.so.
 */
#define _GNU_SOURCE
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_runtime.h>

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "tools/python/runtime.h"

_Static_assert(PY_VERSION_HEX >> 16 == 0x030b, "this file is for CPython 3.11");

#define GIL (_PyRuntime.ceval.gil)

/* Weak: this library is also loaded into programs that have no interpreter. */
#pragma weak _PyRuntime
#pragma weak Py_Version
#pragma weak PyEval_SaveThread

struct py_runtime py_runtime;
uintptr_t py_gil = PY_NO_GIL;

#define GIL_OFFSET(field) offsetof(struct _gil_runtime_state, field)
_Static_assert(sizeof GIL == PY_GIL_SIZE && GIL_OFFSET(mutex) == PY_GIL_MUTEX &&
                   GIL_OFFSET(locked) == PY_GIL_LOCKED && sizeof GIL.locked == sizeof(int) &&
                   GIL_OFFSET(last_holder) == PY_GIL_LAST_HOLDER,
               "what the wrappers compare with and look at");

/* The size of a symbol as its object file states it, or 0. */
static size_t symbol_size(const void *address)
{
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    if (!dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
        info.dli_saddr != address)
        return 0;
    return symbol->st_size;
}

enum py_recognised py_recognise(void)
{
    if (!&_PyRuntime)
        return PY_NONE;
    if (!&Py_Version || Py_Version >> 16 != PY_VERSION_HEX >> 16 ||
        symbol_size(&_PyRuntime) != sizeof _PyRuntime)
        return PY_UNKNOWN;
    py_gil = (uintptr_t)&GIL;
    py_runtime = (struct py_runtime){
        .interval = &GIL.interval,
        .finalizing = (void **)&_PyRuntime._finalizing,
        .tstate_interpreter = offsetof(PyThreadState, interp),
        .save_thread = (uintptr_t)&PyEval_SaveThread,
        .save_thread_size = symbol_size((void *)&PyEval_SaveThread),
    };
    return PY_KNOWN;
}

const char *py_version(void)
{
    static char version[32];

    if (!&Py_Version)
        return "older than 3.11";
    snprintf(version, sizeof version, "%lu.%lu", Py_Version >> 24, Py_Version >> 16 & 255);
    return version;
}

void *py_main_interpreter(void)
{
    return __atomic_load_n(&_PyRuntime.interpreters.main, __ATOMIC_RELAXED);
}

void py_request_drop(void *interpreter)
{
    struct _ceval_state *ceval = &((PyInterpreterState *)interpreter)->ceval;

    _Py_atomic_store_relaxed(&ceval->gil_drop_request, 1);
    _Py_atomic_store_relaxed(&ceval->eval_breaker, 1);
}

void py_clear_request(void *interpreter)
{
    struct _ceval_state *ceval = &((PyInterpreterState *)interpreter)->ceval;

    /* The evaluation loop recomputes its breaker when it has the GIL again. */
    _Py_atomic_store_relaxed(&ceval->gil_drop_request, 0);
}

bool py_has_tstate(void)
{
    Py_tss_t *key = &_PyRuntime.gilstate.autoTSSkey;

    return key->_is_initialized && pthread_getspecific(key->_key);
}
