"""Two threads that call something which gives the GIL up around work of its own, beside threads
that compute: totals.py sha4k|sha64k|zlib|stat|listdir COUNT."""
import hashlib
import os
import sys
import zlib

import window

SMALL, LARGE = bytes(range(256)) * 16, bytes(range(256)) * 256
TEXT = b"".join(b"%d: the quick brown fox\n" % (i * i) for i in range(200))[:5 * 1024]
FOLDER = os.path.dirname(os.path.abspath(__file__))

CALLS = {
    "sha4k": lambda: hashlib.sha256(SMALL).digest(),
    "sha64k": lambda: hashlib.sha256(LARGE).digest(),
    "zlib": lambda: zlib.compress(TEXT),
    "stat": lambda: os.stat(FOLDER),
    "listdir": lambda: os.listdir(FOLDER),
}


def repeat(call, counter):
    while True:
        call()
        counter[0] += 1


def main(what, count):
    counters = [[0], [0]]
    for counter in counters:
        window.start(repeat, CALLS[what], counter)
    window.start_computing(count)
    window.measure(counters=counters)


main(sys.argv[1], int(sys.argv[2]))
