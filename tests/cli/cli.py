"""What the tests of the command share: running things with a time limit, and saying TAP.

A test is a function whose docstring is its name in the report; it fails by an AssertionError, and is
skipped by raising Skip(reason). run_all() at the end of the script runs those it defines, in order.
"""
import os
import re
import subprocess
import sys
import traceback

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
GIL = os.path.join(BUILD, "gil")
DROPIN = os.path.join(BUILD, "libgil-python3.11.so")

# The tests are run by a make and call make: the inner one must not believe to be part of the outer.
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "LD_PRELOAD"):
    os.environ.pop(name, None)
for name in [name for name in os.environ if name.startswith("GIL_")]:
    del os.environ[name]


class Skip(Exception):
    """Raised by a test that cannot run here; says why."""


def run(*words, env=None, timeout=60, **more):
    """Runs a program to its end; the result has returncode, stdout and stderr, as text."""
    return subprocess.run(words, env={**os.environ, **(env or {})}, timeout=timeout, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False, **more)


def must(*words, **more):
    """Runs a program that has to succeed; returns its standard output."""
    result = run(*words, **more)
    assert result.returncode == 0, (f"{words} ended with {result.returncode}: "
                                    f"{result.stdout}{result.stderr}")
    return result.stdout


def need_dropin():
    """Skips the test where the drop-in could not be built."""
    if not os.path.exists(DROPIN):
        raise Skip("no drop-in library was built")


def in_manual(word):
    """Does the manual page of the command have this word in bold?"""
    with open("tools/cli/gil.1") as page:
        bold = [line for line in page if line.startswith((".B", ".RB"))]
    return any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", line) for line in bold)


def run_all(namespace):
    """Runs the functions called test_… in the order in which they are defined; exits."""
    tests = [value for name, value in namespace.items() if name.startswith("test_")]
    failures = 0
    print(f"1..{len(tests)}", flush=True)
    for number, test in enumerate(tests, 1):
        name = " ".join(test.__doc__.split()).rstrip(".")
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:  # whatever a test raises is its failure, and the next one still runs
            failures += 1
            print(f"not ok {number} - {name}", flush=True)
            print("\n".join("# " + line for line in traceback.format_exc().splitlines()),
                  flush=True)
    sys.exit(1 if failures else 0)
