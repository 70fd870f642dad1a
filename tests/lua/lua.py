"""What the tests of the Lua module share: running lua5.4 with the module that was built.

A test script is a few lines that run a Lua program, which speaks TAP itself (tap.lua), or a program
in terms of tests/cli/cli.py."""
import os
import re
import shutil
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
from cli import BUILD, Skip, must, run, run_all  # pylint: disable=unused-import

MODULE = os.path.join(BUILD, "lua", "gil.so")
ENVIRONMENT = {
    "LUA_PATH": f"{BUILD}/lua/?.lua;{HERE}/?.lua;;",
    "LUA_CPATH": f"{BUILD}/lua/?.so;;",
}
MISSING = ("no Lua module was built" if not os.path.exists(MODULE) else
           "there is no lua5.4" if not shutil.which("lua5.4") else None)


def need_lua():
    """Skips the test where there is no Lua, or no module for it."""
    if MISSING:
        raise Skip(MISSING)


def lua(text, *words, timeout=30, options=()):
    """Runs a program that is given as text; the result is that of run()."""
    need_lua()
    return run("lua5.4", *options, "-e", text, *words, env=ENVIRONMENT, timeout=timeout)


def passes(program, *words, under=(), timeout=120):
    """Runs a program of this folder that says TAP, by the command `under` if there is one: each of
    its tests has to pass. Returns what it printed."""
    need_lua()
    result = run(*under, "lua5.4", os.path.join(HERE, program), *words, env=ENVIRONMENT,
                 timeout=timeout)
    planned = re.search(r"^1\.\.([1-9]\d*)$", result.stdout, re.MULTILINE)
    passed = len(re.findall(r"^ok ", result.stdout, re.MULTILINE))
    assert result.returncode == 0 and planned and passed == int(planned[1]), (
        f"{program} ended with {result.returncode}:\n{result.stdout[-4000:]}{result.stderr[-4000:]}")
    return result.stdout


def become(program, *words):
    """Goes on as a Lua program of this folder, which says TAP."""
    if MISSING:
        print("1..0 # SKIP", MISSING)
        sys.exit(0)
    os.environ.update(ENVIRONMENT)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it
    os.execvp("lua5.4", ["lua5.4", os.path.join(HERE, program), *words])
