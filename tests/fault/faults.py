"""Shared by the fault tests: makes a call fail at each of its occurrences in turn.

The program runs again and again with faultpreload.c between it and libc: the first time the first
occurrence of the call fails, then the second, until a run ends without having got that far; and
once all of them from the first on fail. FULL=1 visits every occurrence, otherwise the 1st, 4th, 16th
and so on are visited.

Each run must end in time, and either do all of its work or, where the fault leaves no way to go on,
say so in one line of the library's own. A fault that no run ever reaches is a failure: the
program would prove nothing."""

import errno
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
from both import BUILD, WORK, Skip, needs, run, main  # noqa: F401 (for the tests)

FAULT = os.path.join(BUILD, "tests", "fault", "fault.so")
FULL = os.environ.get("FULL", "") not in ("", "0")
TIME_LIMIT_S = 60
FIRST_TRIES = 5
WORDS = {"spurious", "early", "late", "ahead", "back"}


def occurrences():
    n = 1
    while True:
        yield n
        n = n + 1 if FULL else 4 * n


class Program:
    """What runs, and what counts as its own.

    argv      its command line        preload   libraries that come before faultpreload.c
    library   how the path of the object ends whose calls are the library's own
    env       more environment        done      whether a child has done all of its work
    """

    def __init__(self, argv, library, done, preload=(), env=None):
        self.argv, self.library, self.done = argv, library, done
        self.preload, self.env = preload, env or {}

    def run(self, fault, armed):
        """Runs with this fault; returns the child, and whether the fault happened."""
        env = dict(self.env, FAULT=fault, FAULT_IN=self.library)
        env["LD_PRELOAD"] = ":".join([*self.preload, FAULT])
        if armed:
            env["FAULT_ARMED"] = "1"
        with tempfile.TemporaryFile(dir=WORK) as report:
            env["FAULT_FD"] = str(report.fileno())
            child = run(self.argv, timeout=TIME_LIMIT_S, env=env, pass_fds=[report.fileno()])
            return child, report.seek(0, os.SEEK_END) > 0

    def fault(self, call, what, error=None, armed=True, lasting=True):
        """A test that makes `call` fail: with the errno of that name, or as one of WORDS says.

        `error` is what the one line matches with which the program may end; `lasting` says whether
        it should also stand the failure of all occurrences."""
        word = what if what in WORDS else str(getattr(errno, what))

        def visit():
            for runs, n in enumerate(occurrences()):
                for _ in range(FIRST_TRIES if n == 1 else 1):  # some calls are not made every time
                    child, reached = self.run("%s:%s:%d" % (call, word, n), armed)
                    self.judge(child, error, "occurrence %d of %s: " % (n, call))
                    if reached:
                        break
                if not reached:
                    assert n > 1, "%s is never called" % call
                    print("# %d runs, until there was no occurrence %d of %s" % (runs, n, call))
                    break
            if lasting and what != "back":  # a clock that only ever goes back ends no wait
                child, _ = self.run("%s:%s:1+" % (call, word), armed)
                self.judge(child, error, "all occurrences of %s: " % call)

        visit.__name__ = "%s_%s" % (call, what)
        visit.__doc__ = "%s: %s%s" % (call, what, ", or one line that says so" if error else "")
        return visit

    def judge(self, child, error, when):
        if not child.late and child.status == 0 and self.done(child):
            return
        lines = sorted(set(child.err.splitlines()))  # a forked child may say the same
        ended = child.status == 128 + 6 or child.status == 0 and child.out.startswith("done")
        assert error and not child.late and ended and len(lines) == 1 and \
            re.fullmatch(error, lines[0]), when + str(child)
