"""Shared by the tests of the CPython drop-in: runs a child on stock or on libgil, and prints TAP.

Invariants: a child never outlives its test (it leads a process group of its own, and what is left
of the group is killed when the child has ended or its time is up); a test writes only below a
temporary directory of its own; a child that misses its deadline is a failure that shows what it
had printed.

The environment: BUILD names the build folder, PYTHON the interpreter, GIL_RUN the command that
puts a program on libgil (empty: everything runs on stock, to develop a test against)."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
GIL = shlex.split(os.environ.get("GIL_RUN", os.path.join(BUILD, "gil") + " run --"))
WORK = tempfile.mkdtemp(prefix="gil-test.")

# A shell's background job ignores SIGINT, and so would our children.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Skip(Exception):
    """Raised by a test that cannot run here; the text says what is missing."""


class Child:
    """What became of a child: its status (as a shell counts it), output and standard error."""

    def __init__(self, argv, status, out, err, late):
        self.argv, self.status, self.out, self.err, self.late = argv, status, out, err, late

    def __str__(self):
        fate = "did not end in time" if self.late else "status %d" % self.status
        return "%s\n%s\nstdout: %s\nstderr: %s" % (
            shlex.join(self.argv)[:400], fate, self.out[-1500:], self.err[-1500:])


def end_group(pgid):
    try:
        os.killpg(pgid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def run(argv, timeout=30, env=None, **popen):
    """Runs argv to its end, or for `timeout` seconds, and returns a Child."""
    full = dict(os.environ, TMPDIR=WORK)
    full.update(env or {})
    with tempfile.TemporaryFile(dir=WORK) as out, tempfile.TemporaryFile(dir=WORK) as err:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                 env=full, start_new_session=True, **popen)
        late = False
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            end_group(child.pid)
            child.wait()
        text = []
        for file in (out, err):
            file.seek(0)
            text.append(file.read().decode(errors="replace"))
    status = child.returncode if child.returncode >= 0 else 128 - child.returncode
    return Child(argv, status, text[0], text[1], late)


def gil_run(*options):
    """The command of GIL_RUN with more options for `gil run`."""
    if not GIL:
        return []
    at = GIL.index("--") if "--" in GIL else len(GIL)
    return GIL[:at] + list(options) + GIL[at:]


def stock(argv, **kw):
    return run(list(argv), **kw)


def libgil(argv, options=(), **kw):
    return run(gil_run(*options) + list(argv), **kw)


def python(code, *args):
    """The command line of a child that runs this source text."""
    return [PYTHON, "-c", code, *args]


def clean(child, what=""):
    """The child ended by itself, with status 0 and an empty standard error."""
    assert not child.late and child.status == 0 and child.err == "", "%s%s" % (what, child)
    return child


def same(argv, **kw):
    """The child behaves alike on stock and on libgil: status, output, nothing on stderr."""
    plain, ours = stock(argv, **kw), libgil(argv, **kw)
    clean(plain, "on stock: ")
    clean(ours, "on libgil: ")
    assert plain.out == ours.out, "stock printed %r, libgil %r" % (plain.out, ours.out)
    return ours


def built(name):
    """A program or extension module that make built for these tests."""
    path = os.path.join(BUILD, "tests", "python", name)
    if not os.path.exists(path):
        raise Skip("%s is not built" % os.path.relpath(path))
    return path


def needs(command):
    path = shutil.which(command)
    if not path:
        raise Skip("no %s" % command)
    return path


def main(namespace):
    """Runs every function test_… of a script, in the order of the text, and exits."""
    tests = [f for n, f in namespace.items() if n.startswith("test_") and callable(f)]
    only = sys.argv[1:]
    if only:
        tests = [f for f in tests if any(word in f.__name__ for word in only)]
    print("1..%d" % len(tests), flush=True)
    failed = 0
    try:
        for number, test in enumerate(tests, 1):
            name = (test.__doc__ or test.__name__).splitlines()[0].rstrip(".")
            try:
                test()
                line = "ok %d - %s" % (number, name)
            except Skip as reason:
                line = "ok %d - %s # SKIP %s" % (number, name, reason)
            except Exception as fault:
                failed += 1
                text = str(fault) if isinstance(fault, AssertionError) else traceback.format_exc()
                print("".join("# %s\n" % l for l in text.splitlines()), end="")
                line = "not ok %d - %s" % (number, name)
            print(line, flush=True)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    sys.exit(1 if failed else 0)
