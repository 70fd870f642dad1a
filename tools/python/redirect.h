/* Sends an object's own calls of a libc function to one of ours.
 *
 * The interpreter alone is changed: the same calls from a library or an extension, on mutexes of
 * their own, cost nothing more than without us. */
#ifndef GIL_PYTHON_REDIRECT_H
#define GIL_PYTHON_REDIRECT_H

#include <stdbool.h>
#include <stddef.h>

struct redirect {
    const char *name;   /* of the function that the object imports */
    void (*ours)(void); /* what it calls from now on */
};

/* Redirects `count` functions in the loaded object (the program itself or a shared library) that
 * `inside` lies in. All of them or none: false when the object does not import one of the names,
 * or the kernel does not let its table be written. Call it while the process has one thread. */
bool py_redirect(const void *inside, const struct redirect *redirects, size_t count);

#endif
