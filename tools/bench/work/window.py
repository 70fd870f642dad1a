"""What every workload shares: threads that compute, and the measured window.

A workload starts its threads and calls measure(). That prints one line when it is ready, waits for
a line on standard input (the window begins), for another (it ends), prints one JSON line with the
figures of the time between, and goes on until the end of file, so that no workload outlives its
driver.

Invariant: the window's length and the counts are read by this process itself, at the same moment.
"""
import json
import sys
import threading
import time

done = []  # per computing thread: batches of 100 steps
gate = threading.Event()  # opens when all of them exist


def compute(slot):
    gate.wait()
    x = slot + 1
    while True:
        for _ in range(100):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        done[slot] += 1


def start(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def start_computing(count, function=compute):
    for _ in range(count):
        done.append(0)
        start(function, len(done) - 1)
    gate.set()


def jain(shares):
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def wait_for_line():
    if not sys.stdin.readline():
        sys.exit(0)


def measure(port=0, counters=(), figures=None):
    """counters: lists that threads count up in, summed into `ops`. figures(begin, end): more
    figures of the window, its two ends in seconds of time.monotonic()."""
    def snapshot():
        return time.monotonic(), list(done), [sum(c) for c in counters]

    print(json.dumps({"port": port}), flush=True)
    wait_for_line()
    began, done_before, ops_before = snapshot()
    wait_for_line()
    ended, done_after, ops_after = snapshot()
    seconds = ended - began
    shares = [after - before for before, after in zip(done_before, done_after)]
    result = {"seconds": seconds, "work": sum(shares) / seconds, "jain": jain(shares)}
    if counters:
        result["ops"] = (sum(ops_after) - sum(ops_before)) / seconds
    if figures:
        result.update(figures(began, ended))
    print(json.dumps(result), flush=True)
    while True:  # the load may still need an answer
        wait_for_line()
