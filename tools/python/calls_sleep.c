/* Calls that sleep or give up the processor: never tried. A thread that makes one while others
 * wait for the GIL lets one of them run, however short the sleep: that is what time.sleep(0)
 * and os.sched_yield() mean. */
#include "tools/python/calls_try.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

PY_BLOCKS(int, clock_nanosleep,
          (clockid_t clock, int flags, const struct timespec *time, struct timespec *left),
          (clock, flags, time, left))
PY_BLOCKS(int, nanosleep, (const struct timespec *time, struct timespec *left), (time, left))
PY_BLOCKS(int, usleep, (useconds_t time), (time))
PY_BLOCKS(unsigned, sleep, (unsigned time), (time))
PY_BLOCKS(int, sched_yield, (void), ())
PY_BLOCKS(int, pause, (void), ())
