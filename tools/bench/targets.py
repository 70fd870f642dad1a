"""What the figures have to show, and whether they do.

A ratio is the median of the ratios of the runs that stood beside each other. A target whose row
has no figures, or is void, is neither passed nor missed: it says why. A ratio that is judged within
10 % of 1 is also given with the bootstrap's 95 % interval and with the same harness's ratio of stock
to itself; where either interval is wider than ±3 %, the row is void.
"""
import dataclasses
import statistics
import typing

import summary

WIDEST = 0.03
NEAR_ONE = 0.1


def ratios(figures, key, over="stock", of="libgil"):
    pairs = zip(figures.get(of, ()), figures.get(over, ()))
    return [a[key] / b[key] for a, b in pairs if a.get(key) is not None and b.get(key)]


def median(figures, side, key):
    found = [run[key] for run in figures.get(side, ()) if key in run]
    return statistics.median(found) if found else None


def void_reason(row, figures):
    """Why stock's own figures do not count on this machine; empty when they do."""
    if not row.stock_range or "stock" not in figures:
        return ""
    key, low, high = row.stock_range
    label = next(figure.label for figure in row.shown if figure.key == key)
    found = median(figures, "stock", key)
    if found is None or low <= found <= high:
        return ""
    return (f"stock shows {summary.short(found)} {label}, expected "
            f"{summary.short(low)} to {summary.short(high)}")


@dataclasses.dataclass
class Verdict:
    target: str
    wanted: str
    found: str
    verdict: str  # pass, miss, void, skipped, failed, not run
    reason: str = ""
    value: typing.Optional[float] = None


@dataclasses.dataclass
class Target:
    title: str
    row: str
    above: bool  # the figure must be at least the bound (else at most)
    bound: float
    figure: typing.Callable  # of all results, gives the figure
    show: typing.Callable = summary.short
    close: str = ""  # the key whose ratio is judged within 10 % of 1
    more: str = ""  # the key whose difference to stock is judged
    also: tuple = ()  # other rows that it needs


def at_least(title, row, bound, key, **more):
    return Target(title, row, True, bound,
                  lambda results: statistics.median(ratios(results[row], key)),
                  show=lambda v: summary.short(v) + "×", **more)


def at_most_us(title, row, bound_us, key):
    return Target(title, row, False, bound_us,
                  lambda results: median(results[row], "libgil", key), show=summary.duration)


def beside_nothing(count):
    row = f"udp-{count}"
    return Target(f"UDP {count} CPU: of its own rate beside 0", row, True, 0.8,
                  lambda results: (median(results[row], "libgil", "rate")
                                   / median(results["udp-0"], "libgil", "rate")),
                  show=lambda v: summary.short(v) + "×", also=("udp-0",))


def udp_targets():
    for count, times, p99_us, kept in ((1, 120, 500, 0.40), (4, 250, 1000, 0.70)):
        row = f"udp-{count}"
        yield at_least(f"UDP {count} CPU: requests/s", row, times, "rate")
        yield beside_nothing(count)
        yield at_most_us(f"UDP {count} CPU: p99", row, p99_us, "p99_us")
        yield at_most_us(f"UDP {count} CPU: p99.9", row, 5000, "p999_us")
        yield at_least(f"UDP {count} CPU: CPU work kept", row, kept, "work")
    yield at_least("UDP, pauses, 4 CPU: requests/s", "udp-pause-4", 20, "rate")
    yield at_least("UDP, pauses, 4 CPU: CPU work kept", "udp-pause-4", 0.97, "work", close="work")


def other_waiting_targets():
    for count, times in ((1, 100), (4, 200)):
        yield at_least(f"TCP {count} CPU: requests/s", f"tcp-{count}", times, "rate")
    for count, times in ((1, 5), (4, 25)):
        row = f"http-{count}"
        yield at_least(f"HTTP {count} CPU: requests/s", row, times, "rate", also=("http-0",))
        yield Target(f"HTTP {count} CPU: p99 of stock's", row, False, 0.3,
                     lambda results, row=row: statistics.median(ratios(results[row], "p99_us")),
                     show=lambda v: summary.short(v) + "×", also=("http-0",))
    for source in ("file", "zero"):
        row = f"read-{source}-1"
        yield at_least(f"os.read ({source}) 1 CPU: reads/s", row, 50, "ops")
        yield at_least(f"os.read ({source}) 1 CPU: CPU work kept", row, 0.4, "work")
    yield at_least("sleep(0) 1 CPU: CPU work kept", "sleep0-1", 0.7, "work")


def pooled_waits(results, row):
    """Of all rounds: the 99.9th percentile of the waits, those above the bound that a hole explains
    left out."""
    waits = []
    for run in results[row]["libgil"]:
        out = run["above"] - run["unexplained"]
        waits += run["waits_us"][:len(run["waits_us"]) - out]
    waits.sort()
    return waits[min(int(0.999 * len(waits)), len(waits) - 1)] if waits else 0


def cpu_targets():
    for count in (2, 4, 16):
        yield at_least(f"CPU only, {count}: work", f"cpu-{count}", 0.97, "work", close="work")
    for count in (2, 4, 16):
        row = f"cpu-wait-{count}"
        yield Target(f"CPU only, {count}: p99.9 of waits", row, False, 1.3 * count * 5000,
                     lambda results, row=row: pooled_waits(results, row), show=summary.duration)
        yield Target(f"CPU only, {count}: longer waits, no hole", row, False, 0,
                     lambda results, row=row: sum(run["unexplained"]
                                                  for run in results[row]["libgil"]))
    yield Target("CPU only, 16: Jain index", "cpu-wait-16", True, 0.98,
                 lambda results: median(results["cpu-wait-16"], "libgil", "jain"))


def total_targets():
    for what in ("sha4k", "sha64k", "zlib", "stat", "listdir"):
        for count in (0, 1):
            yield at_least(f"two threads of {what}, {count} CPU", f"{what}-{count}", 0.95, "ops",
                           close="ops")


def at_most_ratio(title, row, key):
    return Target(title, row, False, 1.03, lambda results: low_end(results, row, key),
                  show=lambda v: summary.short(v) + "×", close=key)


def low_end(results, row, key):
    return summary.bootstrap(ratios(results[row], key))[0]


def differences(figures, key, of="libgil"):
    return [a[key] - b[key] for a, b in zip(figures[of], figures["stock"])]


def at_most_more(title, key):
    return Target(title, "calls", False, 2,
                  lambda results: statistics.median(differences(results["calls"], key)),
                  show=lambda v: f"{v:.2f} ns", more=key)


def cost_targets():
    yield at_most_ratio("one thread: CPU time, low end", "one-thread", "cpu_us")
    yield at_most_ratio("uncontended pair: time, low end", "calls", "pair_ns")
    yield at_most_more("another pthread mutex: more", "mutex_ns")
    yield at_most_more("a call in a foreign thread: more", "foreign_ns")
    for count, bound in ((2, 2.5), (8, 4)):
        yield Target(f"futex calls a forced switch, {count} CPU", f"futex-{count}", False, bound,
                     lambda results, row=f"futex-{count}": median(results[row], "libgil",
                                                                  "per_switch"))


def at_most_of(title, row, bound, key, **more):
    return Target(title, row, False, bound,
                  lambda results: statistics.median(ratios(results[row], key)),
                  show=lambda v: summary.short(v) + "×", **more)


def long_steps(run):
    """How many more steps took too long than interrupts explain, going by the holds: these last
    at least as long as a step. Twice as many are explained, and two, since these are counts."""
    return run["long_steps"] - 2 * run["long_holds"] - 2


def lock_targets():
    yield at_most_of("lock, pair: of CAS + CAS", "lock-pair-cas", 1.15, "pair_ns", close="pair_ns")
    yield at_most_of("lock, pair: of pthread's", "lock-pair-pthread", 1.05, "pair_ns",
                     close="pair_ns")
    yield at_most_of("lock, pair: of CPython's", "lock-pair-cpython", 1 / 3, "pair_ns")
    yield Target("lock, checkpoint", "lock-checkpoint", False, 1,
                 lambda results: median(results["lock-checkpoint"], "libgil", "checkpoint_ns"),
                 show=lambda v: f"{v:.2f} ns")
    yield at_most_us("lock, hand-over, head spins: p50", "lock-spin-cpython", 0.3, "p50_us")
    for placed in ("apart", "together"):
        yield at_most_of(f"lock, hand-over {placed}: of a futex's", f"lock-{placed}-futex", 1.2,
                         "p50_us", close="p50_us")
    yield at_least("lock, I/O: operations/s of CPython's", "lock-io-cpython", 1.7, "ops")
    yield at_least("lock, I/O: operations/s of pthread's", "lock-io-pthread", 1.1, "ops",
                   close="ops")
    yield Target("lock, I/O: context switches/operation", "lock-io-pthread", False, 1.3,
                 lambda results: median(results["lock-io-pthread"], "libgil", "switches"))
    for step, what in (("burst_us", "burst"), ("giveup_us", "give up")):
        yield at_most_us(f"lock, 10 000 wait, {what}: a step", "lock-crowd", 100, step)
    yield Target("lock, 10 000 wait: steps > 100 µs", "lock-crowd", False, 0,
                 lambda results: max(0, sum(long_steps(run)
                                            for run in results["lock-crowd"]["libgil"])))
    yield Target("lock, 10 000 wait: bytes a thread", "lock-crowd", False, 512,
                 lambda results: median(results["lock-crowd"], "libgil", "thread_bytes"))


def io_targets():
    for what, bound in (("alone", 0.85), ("contended", 0.95)):
        yield at_least(f"I/O, recv {what}: of recv(2)", f"io-recv-{what}-plain", bound, "ops",
                       close="ops")
    for threads in (16, 64):
        row, what = f"io-echo-{threads}-cpython", f"I/O, echo, {threads} threads"
        yield at_least(f"{what}: of CPython's", row, 1.7, "ops")
        for key, bound in (("switches", 1.3), ("syscalls", 2.5)):
            yield Target(f"{what}: {key}", row, False, bound,
                         lambda results, row=row, key=key: median(results[row], "libgil", key))
        yield Target(f"{what}: fairness", row, True, 0.6,
                     lambda results, row=row: median(results[row], "libgil", "fairness"))
    yield at_least("I/O, cached reads: of CPython's", "io-reads-cpython", 1.6, "ops")
    yield at_least("I/O, O_DIRECT batch: of one by one", "io-direct-one", 3.5, "ops")
    yield at_least("I/O, O_DIRECT batch: of 16 threads", "io-direct-waves", 1.15, "ops")
    yield Target("I/O, one of 10 000: of one of 10", "io-crowd", False, 2,
                 lambda results: median(results["io-crowd"], "libgil", "of_ten"),
                 show=lambda v: summary.short(v) + "×")


def lua_targets():
    for row, what in (("lua-one", "one thread"), ("lua-asleep", "two, one sleeps")):
        yield at_least(f"Lua, {what}: speed of plain Lua", row, 0.97, "cpu_speed",
                       close="cpu_speed")


ALL = [udp_targets, other_waiting_targets, cpu_targets, total_targets, cost_targets, lock_targets,
       io_targets, lua_targets]


def near_one(results, target):
    """Why a ratio near 1 does not count, and how it reads with its intervals."""
    mine = ratios(results[target.row], target.close)
    peer = ratios(results[target.row], target.close, of="stock again")
    found, (low, high) = statistics.median(mine), summary.bootstrap(mine)
    if abs(found - 1) > NEAR_ONE:
        return "", f"{found:.3f}× [{low:.3f}–{high:.3f}]"
    peer_low, peer_high = summary.bootstrap(peer)
    text = f"{found:.3f}× [{low:.3f}–{high:.3f}] peer [{peer_low:.3f}–{peer_high:.3f}]"
    if (high - low) / 2 > WIDEST:
        return "the interval is wider than ±3 %", text
    if peer_low < 1 - WIDEST or peer_high > 1 + WIDEST:
        return "stock against stock is off by more than 3 %", text
    return "", text


def small_difference(results, target):
    """The same for a difference that may be a few nanoseconds."""
    low, high = summary.bootstrap(differences(results[target.row], target.more))
    peer_low, peer_high = summary.bootstrap(
        differences(results[target.row], target.more, of="stock again"))
    text = (f"{target.figure(results):.2f} [{low:.2f}–{high:.2f}] "
            f"peer [{peer_low:.2f}–{peer_high:.2f}] ns")
    if (high - low) / 2 > target.bound or max(-peer_low, peer_high) > target.bound:
        return f"the interval or stock against stock is wider than ±{target.bound} ns", text
    return "", text


def undecided(row, figures):
    """Are the figures of a row that is judged within 10 % of 1 still too uncertain?"""
    mine = [target for group in ALL for target in group() if target.row == row.name]
    results = {row.name: figures}
    return any(target.close and near_one(results, target)[0]
               or target.more and small_difference(results, target)[0] for target in mine)


def judge_one(target, results, reasons):
    wanted = ("≥ " if target.above else "≤ ") + target.show(target.bound)
    for row in (target.row, *target.also):
        if row not in results and row not in reasons:
            return None if row == target.row else Verdict(
                target.title, wanted, "", "void", f"{row} was not run")
        if row in reasons:
            kind, reason = reasons[row]
            return Verdict(target.title, wanted, "", kind, f"{row}: {reason}")
    value = target.figure(results)
    if value is None:
        return Verdict(target.title, wanted, "", "void", "libgil's side has no such figure")
    if target.close:
        void, text = near_one(results, target)
    elif target.more:
        void, text = small_difference(results, target)
    else:
        void, text = "", target.show(value)
    if void:
        return Verdict(target.title, wanted, text, "void", void, value)
    good = value >= target.bound if target.above else value <= target.bound
    return Verdict(target.title, wanted, text, "pass" if good else "miss", "", value)


def judge(results, reasons):
    """The verdict on each target whose row was asked for."""
    verdicts = [judge_one(target, results, reasons) for group in ALL for target in group()]
    return [verdict for verdict in verdicts if verdict]


def print_verdicts(verdicts, say):
    if not verdicts:
        return
    say(f"\n{'target':<38} {'wanted':<9} {'found':<41} verdict")
    for v in verdicts:
        say(f"{v.target:<38} {v.wanted:<9} {v.found:<41} {v.verdict}")
        if v.reason:
            say(f"    {v.reason}"[:99])
    counts = {}
    for v in verdicts:
        counts[v.verdict] = counts.get(v.verdict, 0) + 1
    say("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
