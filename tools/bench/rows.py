"""The rows of the suite: what is run, what is shown of it, and what stock must show for it to count.

A row's measure(side, seconds) runs one window and gives a dictionary of figures. A `close` row is one
whose ratio is judged within 10 % of 1: it is measured in many short triples (stock, libgil, stock
again), the others in a few longer rounds.
"""
import dataclasses
import json
import os
import resource
import subprocess
import typing

import harness
from harness import run_to_end, tool, window, workload


@dataclasses.dataclass
class Row:
    name: str
    measure: typing.Callable
    shown: list  # of Figure
    close: bool = False
    stock_range: tuple = ()  # what the first figure must be on stock for the row to count
    alone: str = ""  # an interpreter other than the two sides


@dataclasses.dataclass
class Figure:
    key: str
    label: str
    unit: str = ""  # "us": a duration in microseconds


RATE = Figure("rate", "requests/s")
P99 = Figure("p99_us", "p99", "us")
WORK = Figure("work", "CPU work/s")
LATENCY = [RATE, Figure("p50_us", "p50", "us"), P99, Figure("p999_us", "p99.9", "us")]

# Requests/s of stock, from half the least to twice the most that was seen when the targets were set.
STOCK_UDP = {0: (8500, 34000), 1: (56, 420), 4: (15, 88)}


def with_work(shown, count):
    return shown + [WORK] if count else list(shown)


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
            expected = STOCK_UDP[count] if protocol == "udp" else ()
            yield Row(f"{protocol}-{count}", echo(protocol, count), with_work(LATENCY, count),
                      stock_range=expected)
        for count in (0, 1, 4):
            yield Row(f"{protocol}-pause-{count}", echo(protocol, count, 1000),
                      with_work(LATENCY, count), close=(protocol, count) == ("udp", 4))


def web_rows():
    for count in (0, 1, 4):
        yield Row(f"http-{count}", web(count),
                  with_work([RATE, Figure("p50_us", "p50", "us"), P99], count),
                  stock_range=(1000, 1e9) if count == 0 else ())


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


ALL = [echo_rows, web_rows, waiting_rows]


def all_rows():
    return [row for group in ALL for row in group()]
