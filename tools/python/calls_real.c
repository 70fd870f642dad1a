/* Looks up libc's functions behind the wrappers when the library is loaded.
 *
 * Invariant: after this constructor no wrapper calls dlsym, so that wrappers are as usable in
 * signal handlers and vfork children as the functions that they stand for. */
#include "tools/python/calls.h"

extern struct py_real __start_py_reals[], __stop_py_reals[];

__attribute__((constructor)) static void look_up_all(void)
{
    for (struct py_real *real = __start_py_reals; real < __stop_py_reals; real++) {
        if (!__atomic_load_n(&real->function, __ATOMIC_RELAXED))
            __atomic_store_n(&real->function, py_real_slow(real->name), __ATOMIC_RELAXED);
    }
}
