"""The rows of blocking calls: one way to block on the stock side, another on libgil's, in one
program (io/). libgil's side is its own calls on io_uring."""
import json

import harness
from row import Figure, Row

OPS = Figure("ops", "operations/s")
ECHO = [OPS, Figure("switches", "switches/op"), Figure("syscalls", "syscalls/op"),
        Figure("fairness", "least/mean")]
CROWD = [Figure("wake_us", "wake", "us"), Figure("files", "files/thread"),
         Figure("maps", "maps/thread"), Figure("kib", "KiB/thread")]


def run(way, workload, seconds):
    out = harness.run_to_end([harness.tool("io"), way, workload, str(seconds)],
                             f"io {way} {workload}", patience=120)
    figures = json.loads(out)
    if "missing" in figures:
        raise harness.Missing(figures["missing"])
    return figures


def blocking(peer, workload, as_batch=None):
    """The peer's way, and libgil's, which may do the same work as a batch."""
    def measure(side, seconds):
        if side.on_libgil:
            return run("ring", as_batch or workload, seconds)
        return run(peer, workload, seconds)
    return measure


def of_ten(side, seconds):
    """Waking one of 10 000, and how much longer it takes than waking one of 10."""
    way = "ring" if side.on_libgil else "plain"
    few, many = run(way, "crowd-10", seconds), run(way, "crowd-10000", seconds)
    return {**many, "of_ten": many["wake_us"] / few["wake_us"]}


def rows():
    def row(name, measure, shown, **more):
        return Row(name, measure, shown, on_python=False, **more)

    for workload in ("recv-alone", "recv-contended"):
        for peer in ("plain", "try", "cpython"):
            yield row(f"io-{workload}-{peer}", blocking(peer, workload), [OPS],
                      close=peer == "plain")
    for workload in ("echo-16", "echo-64"):
        for peer in ("cpython", "try", "plain"):
            yield row(f"io-{workload}-{peer}", blocking(peer, workload), ECHO)
        yield row(f"io-{workload}-backends", blocking("syscall", workload), ECHO)
    for peer in ("cpython", "try", "plain"):
        yield row(f"io-reads-{peer}", blocking(peer, "reads"), [OPS])
    for how, as_batch in (("one", "waves"), ("waves", "waves"), ("flow", "flow")):
        yield row(f"io-direct-{how}", blocking("plain", f"direct-{how}", f"direct-batch-{as_batch}"),
                  [OPS])
    yield row("io-crowd", of_ten, [*CROWD, Figure("of_ten", "of 10's wake")])
