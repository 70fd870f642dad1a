/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * What BPF programs and user space share. Plain C without a library, for both sides: the slots of
 * histograms and the flags of a release are also libgil's, and come from include/gil/trace.h. */
#ifndef BPF_SHARED_H
#define BPF_SHARED_H

#include "../include/gil/trace.h"

#endif
