/* What this kernel allows this process to do, found out by trying, and why not. io_uring is another
 * matter: gil_io_status(). */
#ifndef KERNEL_HELPERS_FEATURES_H
#define KERNEL_HELPERS_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

enum { FEATURE_ABOUT = 160 };

struct feature {
    const char *name;
    bool there;
    char about[FEATURE_ABOUT]; /* what was found, or why it is not there and what to do */
};

enum { FEATURES = 8 };

/* Looks at all of them. Takes some milliseconds, and leaves nothing behind. */
void features_check(struct feature features[FEATURES]);

#endif
