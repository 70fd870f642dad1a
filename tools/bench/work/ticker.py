"""An asyncio loop that wants to wake every millisecond beside computing threads: ticker.py COUNT.

`ops` is how often a second it did; how late it woke is given as quantiles.
"""
import asyncio
import sys
import time

import window

PERIOD = 0.001

ticks = [0]
late = []


async def tick():
    while True:
        due = time.monotonic() + PERIOD
        await asyncio.sleep(PERIOD)
        now = time.monotonic()
        late.append((now, now - due))
        ticks[0] += 1


def figures(began, ended):
    delays = sorted(delay for at, delay in list(late) if began <= at <= ended) or [0]
    return {f"{name}_us": delays[min(int(q * len(delays)), len(delays) - 1)] * 1e6
            for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1))}


window.start(asyncio.run, tick())
window.start_computing(int(sys.argv[1]))
window.measure(counters=[ticks], figures=figures)
