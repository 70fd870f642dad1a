/* Where an interpreter keeps what the tracer reads; one small file a minor version fills it in.
 *
 * Invariant: an interpreter is recognised by a symbol _PyRuntime of exactly the size that its
 * headers give. Another version, or a debug build, differs. */
#ifndef GIL_CLI_LAYOUT_H
#define GIL_CLI_LAYOUT_H

#include <stddef.h>

#include "bpf/shared.h"

struct python_layout {
    size_t runtime_size; /* of _PyRuntime */
    struct gil_layout programs;
};

extern const struct python_layout python311_layout;

#endif
