"""What a row of the suite is, and the figures that many of them show."""
import dataclasses
import typing


@dataclasses.dataclass
class Row:
    name: str
    measure: typing.Callable
    shown: list  # of Figure
    close: bool = False
    close_seconds: float = 0.3  # a window of a close row
    stock_range: tuple = ()  # key, least, most: what stock must show for the row to count
    alone: str = ""  # an interpreter other than the two sides
    on_python: bool = True  # its libgil side is an interpreter on libgil


@dataclasses.dataclass
class Figure:
    key: str
    label: str
    unit: str = ""  # "us": a duration in microseconds


RATE = Figure("rate", "requests/s")
P99 = Figure("p99_us", "p99", "us")
WORK = Figure("work", "CPU work/s")
LATENCY = [RATE, Figure("p50_us", "p50", "us"), P99, Figure("p999_us", "p99.9", "us")]


def with_work(shown, count):
    return shown + [WORK] if count else list(shown)
