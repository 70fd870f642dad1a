"""What the tests of `gil trace` and `gil record` share."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli import BUILD, DROPIN, GIL, Skip, run, run_all  # noqa: E402,F401

HERE = os.path.dirname(os.path.abspath(__file__))
HOLDER = os.path.join(HERE, "holder.py")
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1}
LINE = re.compile(r" *(?P<time>[\d.]+) +(?P<tid>\d+) (?P<kind>\w+) +(?P<number>[\d.]+) (?P<unit>\S+)"
                  r"(?P<rest>.*)")


def line_of(mark):
    """The number of holder.py's line that ends with the comment."""
    with open(HOLDER) as file:
        return 1 + [line.rstrip().endswith("# " + mark) for line in file].index(True)


class Event:
    def __init__(self, match):
        self.time, self.tid, self.kind = float(match["time"]), int(match["tid"]), match["kind"]
        self.duration = float(match["number"]) * UNITS[match["unit"]]
        self.rest = match["rest"]

    def __repr__(self):
        return f"{self.kind} {self.duration:.6f} {self.rest}"


def need_tracing():
    """Skips the test where the machine, or what was built, does not allow it."""
    result = run(GIL, "trace", "--", "true")
    if result.returncode == 4:
        raise Skip(result.stderr.strip())
    assert result.returncode == 0, result


def trace(*words, options=()):
    """Traces a program to its end: its events, and what was said on standard error."""
    need_tracing()
    result = run(GIL, "trace", *options, "--", *words, timeout=120)
    assert result.returncode == 0, result
    matches = [LINE.fullmatch(line) for line in result.stdout.splitlines()]
    return [Event(match) for match in matches if match], result.stderr


def lost(text, what):
    """How many of a class the command said were lost."""
    found = re.search(rf"lost: (\d+) {what}", text)
    return int(found[1]) if found else 0


def both_ways(what, count):
    """The same program on libgil, and on the interpreter's own lock: (name, words, options)."""
    yield "stock", (PYTHON, HOLDER, what, str(count)), ("--tier", "full")
    if os.path.exists(DROPIN):
        yield "libgil", (GIL, "run", "--", PYTHON, HOLDER, what, str(count)), ()
