/* What flame graphs are drawn of: time by process, thread, function and line. */
#ifndef GIL_CLI_REPORT_FLAME_H
#define GIL_CLI_REPORT_FLAME_H

#include "tools/cli/report_rows.h"

#define FLAME_DEPTH 4 /* frames: process, thread, function, line */

struct flame_leaf {
    uint64_t ns;
    char *frames[FLAME_DEPTH]; /* the last one is NULL if the line is not known */
};

struct flame {
    struct flame_leaf *leaves; /* in the order of their frames, so that equal ones are together */
    size_t count;
    uint64_t ns; /* of all */
};

/* Returns false when memory is short. flame_free() may follow either way. */
bool flame_make(struct flame *flame, const struct report *report, enum report_order order);
void flame_free(struct flame *flame);

#endif
