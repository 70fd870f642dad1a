/* The semaphores of the probes: see probe.h. The section is where tools look for them. */
#include "kernel-helpers/probe.h"

#if __has_include(<sys/sdt.h>)
#define SEMAPHORE(name) unsigned short gil_##name##_semaphore __attribute__((section(".probes")))

SEMAPHORE(released);
SEMAPHORE(contended);
SEMAPHORE(drop_request);
SEMAPHORE(handoff);
SEMAPHORE(swap);
SEMAPHORE(io_submit);
SEMAPHORE(io_complete);
#endif
