"""Threads that only compute: compute.py COUNT [waits].

With `waits` each thread also looks at the clock between its batches: a gap of more than a
millisecond is a wait for its turn, and is reported with its two ends (CLOCK_MONOTONIC, ns).
"""
import sys
import time

import window

WAIT_NS = 1_000_000

waits = []


def compute_and_look(slot):
    window.gate.wait()
    now = time.monotonic_ns
    x = slot + 1
    last = now()
    while True:
        for _ in range(100):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        window.done[slot] += 1
        this = now()
        if this - last > WAIT_NS:
            waits.append((last, this))
        last = this


def figures(began, ended):
    inside = [w for w in list(waits) if began * 1e9 <= w[0] and w[1] <= ended * 1e9]
    return {"waits": inside, "waits_since_start": len(waits)}


def main(count, look=""):
    if look:
        window.start_computing(count, compute_and_look)
        window.measure(figures=figures)
    else:
        window.start_computing(count)
        window.measure()


main(int(sys.argv[1]), *sys.argv[2:])
