/* What every public header needs: C linkage, and the mark that makes a symbol visible.
 * Everything without GIL_API is hidden inside the library. */
#ifndef GIL_EXPORT_H
#define GIL_EXPORT_H

#define GIL_API __attribute__((visibility("default")))

#ifdef __cplusplus
#define GIL_BEGIN_DECLS extern "C" {
#define GIL_END_DECLS }
#else
#define GIL_BEGIN_DECLS
#define GIL_END_DECLS
#endif

#endif
