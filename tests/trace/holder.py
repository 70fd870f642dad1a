"""Known answers for the tracer: holder.py WHAT COUNT.

  calls    holds the lock for 20 ms in a C call, COUNT times, while another thread wants it
  sleeps   gives the lock up COUNT times, alone
  forks    a forked child, and a program that is executed, do `sleeps` each
"""
import ctypes
import os
import subprocess
import sys
import threading
import time


def hold_in_c(count):
    usleep = ctypes.PyDLL(None).usleep
    for _ in range(count):
        usleep(20000)  # HOLD
        time.sleep(0.002)


def want_it(done):
    while not done.is_set():
        time.sleep(0.0005)


def calls(count):
    done = threading.Event()
    waiter = threading.Thread(target=want_it, args=(done,))
    waiter.start()
    hold_in_c(count)
    done.set()
    waiter.join()


def sleeps(count):
    for _ in range(count):
        time.sleep(0)  # SLEEP


def forks(count):
    child = os.fork()
    if child == 0:
        time.sleep(0.5)
        sleeps(count)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    time.sleep(0.1)
    subprocess.run([sys.executable, __file__, "late", str(count)], check=True)


def late(count):
    time.sleep(0.5)
    sleeps(count)


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]))
