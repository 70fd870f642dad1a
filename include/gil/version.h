/* The version of libgil, at compile time and at run time.
 *
 * Compare GIL_VERSION_NUMBER (0xMMmmpp) to know what a program was compiled against, and
 * gil_version() to know what it runs on. */
#ifndef GIL_VERSION_H
#define GIL_VERSION_H

#include <gil/export.h>

#define GIL_VERSION_MAJOR 0
#define GIL_VERSION_MINOR 1
#define GIL_VERSION_PATCH 0
#define GIL_VERSION_STRING "0.1.0"
#define GIL_VERSION_NUMBER                                                                         \
    ((GIL_VERSION_MAJOR << 16) | (GIL_VERSION_MINOR << 8) | GIL_VERSION_PATCH)

GIL_BEGIN_DECLS

/* The version of the library that is loaded, such as "0.1.0". Anyone may call it, with or without
 * any lock; the string is static. Classic name: Py_GetVersion. */
GIL_API const char *gil_version(void);

GIL_END_DECLS

#endif
