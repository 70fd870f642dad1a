/* The clock that everything in libgil is measured with: CLOCK_MONOTONIC in nanoseconds. */
#ifndef KERNEL_HELPERS_CLOCK_H
#define KERNEL_HELPERS_CLOCK_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "kernel-helpers/cannot.h"

static inline int64_t clock_now_ns(void)
{
    struct timespec ts;

    /* Refused only by a filter, where the vDSO is off. No deadline would ever pass. */
    if (__builtin_expect(clock_gettime(CLOCK_MONOTONIC, &ts) != 0, 0))
        cannot("read the clock", strerror(errno));
    return (int64_t)ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

#endif
