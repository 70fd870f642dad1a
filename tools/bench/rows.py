"""The rows of the suite: what is run, what is shown, and what stock must show for a row to count.

A row's measure(side, seconds) runs one window and gives a dictionary of figures. A `close` row is
one whose ratio is judged within 10 % of 1: it is measured in many short triples (stock, libgil,
stock again), the others in a few longer rounds.
"""
import functools
import glob
import json
import os
import resource
import tempfile

import harness
import rows_io
import rows_lua
from harness import run_to_end, tool, window
from row import LATENCY, P99, RATE, WORK, Figure, Row, with_work

# Requests/s of stock: half the least to twice the most that was seen when the targets were set.
STOCK_UDP = {0: (8500, 34000), 1: (56, 420), 4: (15, 88)}


def echo(protocol, count, pause_us=0):
    def measure(side, seconds):
        command = side.command("echo.py", protocol, str(count))
        return window(command, seconds, harness.echo_load(protocol, pause_us))
    return measure


def web(count):
    def measure(side, seconds):
        return window(side.command("web.py", str(count)), max(1.0, seconds), harness.web_load(8))
    return measure


def plain(script, *args):
    def measure(side, seconds):
        return window(side.command(script, *map(str, args)), seconds)
    return measure


def echo_rows():
    for protocol in ("udp", "tcp"):
        for count in (0, 1, 4):
            expected = ("rate", *STOCK_UDP[count]) if protocol == "udp" else ()
            yield Row(f"{protocol}-{count}", echo(protocol, count), with_work(LATENCY, count),
                      stock_range=expected)
        for count in (0, 1, 4):
            # Beside four computing threads stock needs up to a fifth of a second for a request.
            yield Row(f"{protocol}-pause-{count}", echo(protocol, count, 1000),
                      with_work(LATENCY, count), close=(protocol, count) == ("udp", 4),
                      close_seconds=1.0)


def web_rows():
    for count in (0, 1, 4):
        yield Row(f"http-{count}", web(count),
                  with_work([RATE, Figure("p50_us", "p50", "us"), P99], count),
                  stock_range=("rate", 1000, 1e9) if count == 0 else ())


OPS = Figure("ops", "calls/s")


def waiting_rows():
    for count in (1, 4):
        yield Row(f"ticker-{count}", plain("ticker.py", count),
                  [Figure("ops", "ticks/s"), Figure("p99_us", "late p99", "us"), WORK])
    for source in ("file", "zero"):
        yield Row(f"read-{source}-1", plain("reads.py", source, 1), [OPS, WORK])
    yield Row("sleep0-1", plain("yields.py", 1), [OPS, WORK])
    for what in ("lock", "queue"):
        for count in (0, 1):
            yield Row(f"{what}-pingpong-{count}", plain("pingpong.py", what, count),
                      with_work([Figure("ops", "rounds/s")], count))


INTERVAL_NS = 5_000_000
PATIENCE = 1.3  # a wait may be this many times N intervals


def explained(wait, holes, bound_ns):
    """Would the wait have kept the bound without the holes that lie in it? Holes of different
    processors may overlap."""
    start, end = wait
    lost, seen = 0, start
    for since, to in sorted(holes):
        lost += max(0, min(end, to) - max(seen, since))
        seen = max(seen, to)
    return end - start - lost <= bound_ns


def turns(count):
    def measure(side, seconds):
        holes = []
        with harness.witnessed(holes):
            figures = window(side.command("compute.py", str(count), "waits"), seconds)
        waits = figures.pop("waits")
        bound_ns = PATIENCE * count * INTERVAL_NS
        above = [wait for wait in waits if wait[1] - wait[0] > bound_ns]
        left = [wait for wait in above if not explained(wait, holes, bound_ns)]
        lengths = sorted((to - since) / 1e3 for since, to in waits)
        figures.update(above=len(above), unexplained=len(left), above_ns=above, holes_ns=holes,
                       waits_us=[round(length) for length in lengths])
        if lengths:
            figures["max_us"] = lengths[-1]
        return figures
    return measure


def cpu_rows():
    for count in (1, 2, 4, 16):
        yield Row(f"cpu-{count}", plain("compute.py", count), [WORK], close=True)
    for count in (2, 4, 16):
        yield Row(f"cpu-wait-{count}", turns(count),
                  [Figure("max_us", "longest wait", "us"), Figure("jain", "Jain index"),
                   Figure("above", "too long"), Figure("unexplained", "no hole")])


def total_rows():
    for what in ("sha4k", "sha64k", "zlib", "stat", "listdir"):
        for count in (0, 1):
            yield Row(f"{what}-{count}", plain("totals.py", what, count),
                      with_work([OPS], count), close=True)


def one_thread(side, _seconds):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_to_end(side.command("single.py"), "single.py")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_us": used * 1e6}


def call_costs(side, _seconds):
    module = os.path.dirname(os.path.abspath(tool("callcost.so")))
    return json.loads(run_to_end(side.command("calls.py", module), "calls.py"))


def cost_rows():
    yield Row("one-thread", one_thread, [Figure("cpu_us", "CPU time", "us")], close=True)
    yield Row("calls", call_costs,
              [Figure("pair_ns", "pair, ns"), Figure("mutex_ns", "mutex, ns"),
               Figure("foreign_ns", "foreign, ns")], close=True)


TRACEPOINT = "syscalls:sys_enter_futex"


@functools.cache
def perf_can_count():
    try:
        run_to_end([harness.installed("perf"), "stat", "-e", TRACEPOINT, "true"], "perf")
    except (harness.Missing, harness.Failure):
        return False
    return True


def library_counters(path):
    """The sums over the threads of what `gil run --stats` wrote: a line of names, then rows."""
    names, *lines = [line.split() for line in open(path)]
    return {name: sum(int(line[at]) for line in lines)
            for at, name in enumerate(names) if name != "name"}


def futex_calls(count):
    """Futex calls a forced switch: as the library counts them and, where perf may, as the kernel
    does. On stock every turn that a thread lost counts as a switch."""
    def measure(side, seconds):
        with tempfile.TemporaryDirectory() as folder:
            seen, stats = os.path.join(folder, "perf"), os.path.join(folder, "stats")
            command = side.command("compute.py", str(count), "waits", stats=stats)
            if perf_can_count():
                command = ["perf", "stat", "-x,", "-o", seen, "-e", TRACEPOINT, *command]
            figures = window(command, seconds, until_exit=True)
            figures.pop("waits")
            switches = figures["waits_since_start"]
            files = glob.glob(stats + ".*")
            if files:
                counters = library_counters(files[0])
                switches = counters["forced"]
                calls = counters["futex_waits"] + counters["futex_wakes"]
                figures.update(counters=counters, per_switch=calls / max(1, switches))
            if perf_can_count():
                calls = next(int(line.split(",")[0]) for line in open(seen) if TRACEPOINT in line)
                figures["seen_per_switch"] = calls / max(1, switches)
        return figures
    return measure


def futex_rows():
    for count, stock in ((2, 5), (8, 18)):
        yield Row(f"futex-{count}", futex_calls(count),
                  [Figure("per_switch", "by library"), Figure("seen_per_switch", "by kernel")],
                  stock_range=("seen_per_switch", stock / 2, stock * 2))


OTHERS = {"pypy3": ["pypy3", "echo.py"], "ruby": ["ruby", "echo.rb"],
          "ocaml": ["ocaml", "-I", "+threads", "unix.cma", "threads.cma", "echo.ml"]}


def elsewhere(name, protocol, count):
    def measure(_side, seconds):
        harness.installed(name)
        *start, script = OTHERS[name]
        command = [*start, harness.workload(script), protocol, str(count)]
        return window(command, seconds, harness.echo_load(protocol, 0))
    return measure


def other_rows():
    for name in OTHERS:
        for protocol in ("udp", "tcp"):
            for count in (0, 1, 4):
                yield Row(f"{name}-{protocol}-{count}", elsewhere(name, protocol, count),
                          with_work([RATE, P99], count), alone=name)


# Debian's packages of the locks that are measured beside libgil's.
LOCK_PACKAGES = {"nsync": "libnsync-dev", "abseil": "libabsl-dev", "ticket": "libck-dev",
                 "mcs": "libck-dev"}


def lock_program(name):
    path = os.path.join(harness.BUILD, "bench", "locks", name)
    if not os.path.exists(path):
        raise harness.Missing(f"no {name} lock: {LOCK_PACKAGES.get(name, path)} was not there"
                              " when make bench was built")
    return path


def lock(peer, what):
    """A lock by itself, without an interpreter; the peer stands where stock stands elsewhere."""
    def measure(side, seconds):
        name = "libgil" if side.on_libgil else peer
        if what in ("spin", "apart") and len(os.sched_getaffinity(0)) < 2:
            raise harness.Missing("two processors are needed")
        command = [lock_program(name), what, str(seconds)]
        return json.loads(run_to_end(command, f"locks/{name} {what}"))
    return measure


CROWD = 10000


def crowd(_side, seconds):
    command = [lock_program("crowd"), str(CROWD), str(seconds)]
    return json.loads(run_to_end(command, "locks/crowd", patience=120))


HANDOVER = [Figure("p50_us", "p50", "us"), Figure("p99_us", "p99", "us")]
LOCK_WORK = {
    "pair": [Figure("pair_ns", "ns"), Figure("single_ns", "1 thread, ns")],
    "spin": HANDOVER, "apart": HANDOVER, "together": HANDOVER,
    "io": [Figure("ops", "operations/s"), Figure("switches", "switches/op")],
}
LOCK_PEERS = {
    "pair": ["cas", "pthread", "cpython", "pi", "nsync", "abseil", "ticket", "mcs"],
    "spin": ["cpython", "ticket", "mcs"],
    "apart": ["futex", "cpython"],
    "together": ["futex", "cpython"],
    "io": ["pthread", "cpython", "pi", "nsync", "abseil", "ticket", "mcs"],
}
LOCK_CLOSE = {("pair", "cas"), ("pair", "pthread"), ("apart", "futex"), ("together", "futex"),
              ("io", "pthread")}


def lock_rows():
    for what, peers in LOCK_PEERS.items():
        for peer in peers:
            yield Row(f"lock-{what}-{peer}", lock(peer, what), LOCK_WORK[what],
                      close=(what, peer) in LOCK_CLOSE, on_python=False)
    yield Row("lock-checkpoint", lock("libgil", "checkpoint"), [Figure("checkpoint_ns", "ns")],
              alone="libgil", on_python=False)
    yield Row("lock-crowd", crowd,
              [Figure("burst_us", "burst", "us"), Figure("giveup_us", "give up", "us"),
               Figure("steady_us", "steady", "us"), Figure("long_steps", "steps >100µs"),
               Figure("long_holds", "holds >100µs"), Figure("thread_bytes", "bytes/thread")],
              alone="libgil", on_python=False)


ALL = [echo_rows, web_rows, waiting_rows, cpu_rows, total_rows, cost_rows, futex_rows, other_rows,
       lock_rows, rows_io.rows, rows_lua.rows]


def all_rows():
    return [row for group in ALL for row in group()]
