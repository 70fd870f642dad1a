"""The rows of the Lua module: a program of stock lua5.4 on the stock side, and on the libgil side
the same program with the module, or a peer and the module."""
import os
import resource
import time

import harness
from row import Figure, Row


def command(script, *args):
    """A workload in stock lua5.4; it finds the module that was built if it asks for it."""
    folder = os.path.abspath(os.path.join(harness.BUILD, "lua"))
    if not os.path.exists(os.path.join(folder, "gil.so")):
        raise harness.Missing("no Lua module: liblua5.4-dev was not there when make was run")
    return [harness.installed("env"), f"LUA_PATH={folder}/?.lua;;", f"LUA_CPATH={folder}/?.so;;",
            harness.installed("lua5.4"), harness.workload(script), *map(str, args)]


def computing(how, count=1):
    """Elapsed time, which says what threads cost each other, and processor time, which is steadier
    where one computes."""
    def measure(side, _seconds):
        words = [how, count] if side.on_libgil else ["alone"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        harness.run_to_end(command("single.lua", *words), "single.lua")
        after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"speed": 1 / (ended - began), "cpu_speed": 1 / used}
    return measure


SPEED = [Figure("speed", "runs/s"), Figure("cpu_speed", "runs/CPU s")]


def rows():
    yield Row("lua-one", computing("threads"), SPEED, close=True, on_python=False)
    for how in ("asleep", "naps"):
        yield Row(f"lua-{how}", computing(how), SPEED, close=True, on_python=False)
    for count in (2, 4):
        yield Row(f"lua-cpu-{count}", computing("threads", count), SPEED, close=True,
                  on_python=False)
