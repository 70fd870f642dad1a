"""The arithmetic of the suite: bootstrap intervals, and how figures are printed.

Invariant: the same figures give the same summary; the bootstrap's random numbers are seeded.
"""
import random
import statistics

RESAMPLES = 2000


def bootstrap(values):
    """The 95 % interval of the median."""
    if len(values) < 2:
        return values[0], values[0]
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(values, k=len(values)))
                     for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1]


def three_digits(value):
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def short(value):
    """Three digits, and k or M where it helps."""
    for limit, scale, unit in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= limit:
            return three_digits(value / scale) + unit
    return three_digits(value)


def duration(us):
    """A duration in microseconds, as ns, µs, ms or s with three digits."""
    for limit, scale, unit in ((1e6, 1e6, "s"), (1e3, 1e3, "ms"), (1, 1, "µs")):
        if us >= limit:
            return f"{us / scale:.3g} {unit}"
    return f"{us * 1e3:.3g} ns"


def spread(values, show):
    if not values:
        return "-"
    middle = show(statistics.median(values))
    return f"{middle} [{show(min(values))}–{show(max(values))}]"
