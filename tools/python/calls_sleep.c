/* Calls that sleep or give up the processor: never tried. A thread that makes one while others
 * wait for the GIL lets one of them run, however short the sleep: that is what time.sleep(0)
 * and os.sched_yield() mean. */
#include "tools/python/calls_try.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#define PY_YIELDS(type, name, parameters, arguments)                                               \
    PY_WRAPPER type name parameters                                                                \
    {                                                                                              \
        py_call_yields();                                                                          \
        return REAL(name) arguments;                                                               \
    }

PY_YIELDS(int, clock_nanosleep,
          (clockid_t clock, int flags, const struct timespec *time, struct timespec *left),
          (clock, flags, time, left))
PY_YIELDS(int, nanosleep, (const struct timespec *time, struct timespec *left), (time, left))
PY_YIELDS(int, usleep, (useconds_t time), (time))
PY_YIELDS(unsigned, sleep, (unsigned time), (time))
PY_YIELDS(int, sched_yield, (void), ())
PY_YIELDS(int, pause, (void), ())
