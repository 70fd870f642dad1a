"""Runs one workload once: the server process under an interpreter, its load, and the end of both.

Invariant: every process started here is in a process group of its own and is gone when the function
that started it returns, however it returns.
"""
import contextlib
import json
import math
import os
import re
import select
import shutil
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", "build")
WARM_UP_S = 0.25  # as in load.c
SETTLE_S = 0.1
PATIENCE_S = 30


class Failure(Exception):
    """A run gave no figures; the text says why."""


class Missing(Exception):
    """A program that a row needs is not installed."""


def tool(name):
    path = os.path.join(BUILD, "bench", name)
    if not os.path.exists(path):
        raise Missing(f"{path} is not built: run make bench")
    return path


def workload(name):
    return os.path.join(HERE, "work", name)


def installed(name):
    path = shutil.which(name)
    if not path:
        raise Missing(f"{name} is not installed")
    return path


def kill(process):
    """The group outlives its leader while one member is left, so it is killed in any case."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def running(command, stdin=subprocess.PIPE, env=None):
    process = subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}, start_new_session=True)
    try:
        yield process
    finally:
        kill(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()


@contextlib.contextmanager
def witnessed(holes):
    """While it lasts, a process reads the clock; then `holes` has the times it could not."""
    with running([tool("witness")], stdin=subprocess.DEVNULL) as process:
        read_json(process, "witness")
        yield
        process.terminate()
        holes.extend(read_json(process, "witness")["holes"])


def last_words(process):
    kill(process)
    lines = process.stderr.read().strip().splitlines()
    return lines[-1] if lines else f"status {process.returncode}"


def read_json(process, what, patience=PATIENCE_S):
    if not select.select([process.stdout], [], [], patience)[0]:
        raise Failure(f"{what} did not answer within {patience} s")
    line = process.stdout.readline()
    if not line:
        raise Failure(f"{what} ended early: {last_words(process)}")
    return json.loads(line)


def run_to_end(command, what, patience=PATIENCE_S, env=None):
    with running(command, stdin=subprocess.DEVNULL, env=env) as process:
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise Failure(f"{what} did not end within {patience} s") from None
        if process.returncode != 0:
            lines = err.strip().splitlines()
            raise Failure(f"{what}: {lines[-1] if lines else f'status {process.returncode}'}")
        return out


def tell(process, what):
    try:
        process.stdin.write("\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise Failure(f"{what} ended early: {last_words(process)}") from None


def window(command, seconds, load=None, until_exit=False, env=None):
    """One measured window of a workload. `load`, if any, gets (port, seconds) and returns the load
    generator's command and the function that reads its output. What the command prints after its
    figures, if it is waited for, is figures["rest"]."""
    what = " ".join(os.path.basename(part) for part in command[-4:])
    with running(command, env=env) as server:
        port = read_json(server, what)["port"]
        with contextlib.ExitStack() as stack:
            if load:
                client_command, parse = load(port, seconds)
                client = stack.enter_context(running(client_command, stdin=subprocess.DEVNULL))
            time.sleep(WARM_UP_S if load else SETTLE_S)
            tell(server, what)
            # The window closes a little before the load does, never after it.
            time.sleep(seconds * (0.95 if load else 1.0))
            tell(server, what)
            figures = read_json(server, what)
            if load:
                try:
                    out, err = client.communicate(timeout=seconds + PATIENCE_S)
                except subprocess.TimeoutExpired:
                    raise Failure(f"the load on {what} did not end") from None
                if client.returncode != 0:
                    raise Failure(err.strip() or f"the load ended with {client.returncode}")
                figures.update(parse(out))
        if until_exit:
            server.stdin.close()
            try:
                server.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                raise Failure(f"{what} did not end") from None
            figures["rest"] = server.stdout.read()
        return figures


def echo_load(protocol, pause_us):
    def load(port, seconds):
        command = [tool("load"), protocol, str(port), str(seconds), str(pause_us)]
        return command, json.loads
    return load


WRK_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


def parse_wrk(text):
    """wrk's own report. A run with any error counts as failed."""
    bad = re.search(r"Non-2xx.*|Socket errors:.*", text)
    if bad:
        raise Failure("wrk: " + bad.group().strip())
    figures = {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))}
    for percent, value, unit in re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)$", text, re.M):
        figures[f"p{percent}_us"] = float(value) * WRK_UNITS[unit]
    return figures


def web_load(connections):
    def load(port, seconds):
        # wrk counts from its start, warm-up included, and takes whole seconds only.
        return [installed("wrk"), f"-c{connections}", "-t1",
                f"-d{math.ceil(seconds + WARM_UP_S)}", "--latency", "--timeout", "10s",
                f"http://127.0.0.1:{port}/"], parse_wrk
    return load
