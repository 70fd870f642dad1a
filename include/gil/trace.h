/* What libgil, BPF programs and whoever reads the counters share: how a duration falls into a
 * histogram, and what a release was like. Plain C without a library, for all sides.
 *
 * A histogram has eight slots for each power of two, so that a value read back from a slot is at
 * most 12.5 % off. Slots 0 to 7 hold the values 0 to 7 ns themselves; the last slot holds all that
 * is longer than the longest octave, about 18 minutes. */
#ifndef GIL_TRACE_H
#define GIL_TRACE_H

#define GIL_SLOT_BITS 3 /* eight slots an octave */
#define GIL_OCTAVES   38
#define GIL_SLOTS     (GIL_OCTAVES << GIL_SLOT_BITS)

/* The logarithm to base 2 of a value that is not 0, rounded down. */
static inline unsigned int gil_log2(unsigned long long value)
{
#ifdef __bpf__
    unsigned int log2 = 0;

    /* BPF has no instruction for this; unrolled halving keeps the verifier content. */
    for (unsigned int step = 32; step; step >>= 1) {
        if (value >> step) {
            value >>= step;
            log2 += step;
        }
    }
    return log2;
#else
    return 63u - (unsigned int)__builtin_clzll(value);
#endif
}

/* The slot that a duration in nanoseconds falls into. */
static inline unsigned int gil_slot(unsigned long long ns)
{
    unsigned int log2, slot;

    if (ns < 1u << GIL_SLOT_BITS)
        return (unsigned int)ns;
    log2 = gil_log2(ns);
    slot = ((log2 - GIL_SLOT_BITS + 1) << GIL_SLOT_BITS) +
           (unsigned int)((ns >> (log2 - GIL_SLOT_BITS)) & ((1u << GIL_SLOT_BITS) - 1));
    return slot < GIL_SLOTS ? slot : GIL_SLOTS - 1;
}

/* The shortest duration that falls into a slot, in nanoseconds. */
static inline unsigned long long gil_slot_from(unsigned int slot)
{
    unsigned int octave = slot >> GIL_SLOT_BITS;
    unsigned long long part = slot & ((1u << GIL_SLOT_BITS) - 1);

    return octave == 0 ? part : (part + (1u << GIL_SLOT_BITS)) << (octave - 1);
}

/* The flags of the probe `released` (kernel-helpers/probe.h). */
enum gil_released {
    GIL_RELEASED_FORCED = 1,   /* somebody had asked the holder to drop the lock */
    GIL_RELEASED_GRANTED = 2,  /* the lock went directly to a named waiter */
    GIL_RELEASED_DEFERRED = 4, /* nobody was woken: the holder is likely to come right back */
    GIL_RELEASED_PARTIAL = 8,  /* the hold began before the probe was attached: hold_ns is 0 */
};

#endif
