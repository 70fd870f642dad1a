"""Two threads that wake each other in turn, through locks or queues, beside threads that compute:
pingpong.py lock|queue COUNT."""
import queue
import sys
import threading

import window

rounds = [0]


def lock_player(mine, other):
    while True:
        mine.acquire()
        rounds[0] += 1
        other.release()


def queue_player(mine, other):
    while True:
        ball = mine.get()
        rounds[0] += 1
        other.put(ball)


def main(what, count):
    if what == "lock":
        first, second = threading.Lock(), threading.Lock()
        first.acquire()
        player = lock_player
    else:
        first, second = queue.Queue(), queue.Queue()
        second.put("ball")
        player = queue_player
    window.start(player, first, second)
    window.start(player, second, first)
    window.start_computing(count)
    window.measure(counters=[rounds])


main(sys.argv[1], int(sys.argv[2]))
