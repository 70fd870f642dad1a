/* Between the GIL hooks (hooks.c) and the drop-in's start and end (dropin.c). */
#ifndef GIL_PYTHON_HOOKS_H
#define GIL_PYTHON_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include <gil/lock.h>

/* The lock that stands in for the interpreter's GIL. */
extern gil_lock py_lock;

/* Has the interpreter created its GIL? */
extern bool py_gil_created;

/* Switches the hooks on, after py_recognise has filled in py_runtime. interval_ns: the switch
 * interval that the interpreter starts with, 0: its own. False: the interpreter's calls cannot be
 * reached, and nothing has changed. */
bool py_hooks_start(int64_t interval_ns);

#endif
