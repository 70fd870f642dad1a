/* A program with the layout of CPython 3.11 that calls no mutex function of libc, as if these were
 * its own, for unrecognised.test.
 *
 * Invariant: it runs as if nobody were there; libgil must say one line and touch nothing. */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_runtime.h>

#include <stdio.h>

_PyRuntimeState _PyRuntime;
const unsigned long Py_Version = PY_VERSION_HEX;

int main(void)
{
    const char *byte = (const char *)&_PyRuntime;
    long touched = 0;

    for (size_t i = 0; i < sizeof _PyRuntime; i++)
        touched += byte[i] != 0;
    printf("%ld\n", touched);
    return 5;
}
