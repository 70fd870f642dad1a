/* libgil: an interpreter lock for Linux. This header includes all the others but gil/python.h. */
#ifndef GIL_H
#define GIL_H

#include <gil/version.h>
#include <gil/lock.h>
#include <gil/stats.h>
#include <gil/state.h>
#include <gil/eval.h>
#include <gil/thread.h>
#include <gil/sync.h>
#include <gil/io.h>

#endif
