/* The clock that everything in libgil is measured with: CLOCK_MONOTONIC in nanoseconds. */
#ifndef KERNEL_HELPERS_CLOCK_H
#define KERNEL_HELPERS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

#endif
