"""A thread that calls time.sleep(0) in a loop beside threads that compute: yields.py COUNT."""
import sys
import time

import window

yields = [0]


def give_way():
    while True:
        time.sleep(0)
        yields[0] += 1


window.start(give_way)
window.start_computing(int(sys.argv[1]))
window.measure(counters=[yields])
