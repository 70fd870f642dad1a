"""Every wrapped call in many situations: what the program that calls.test starts in each of its ways.

Prints a line of JSON for each situation: its name, what the call gave (result, errno, and all that it
wrote), and how the wrapper met its deferral. What is printed depends on the call alone, never on
timing. An argument "busy" puts a computing Python thread beside the calls."""

import array
import errno
import faulthandler
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

import calls

faulthandler.dump_traceback_later(100, exit=True)

BAD = 1  # no address that a process has
NOWAIT = 8
SITUATIONS = []  # (name, function, expected path or None)


def situation(name, path=None):
    def add(function):
        assert name not in [s[0] for s in SITUATIONS], name
        SITUATIONS.append((name, function, path))
        return function
    return add


def call(name, *arguments):
    """The result of a libc call: "17", "-1 EAGAIN", or "0 errno changed to …" for a success that did."""
    result, error = calls.call(name, *arguments)
    call.path = calls.path()
    if error == 77:
        return str(result)
    text = errno.errorcode.get(error, str(error))
    return "%d %s" % (result, text) if result < 0 else "%d errno changed to %s" % (result, text)


def iovec(*buffers):
    """The buffers' addresses and lengths; whoever calls keeps the buffers alive."""
    return b"".join(struct.pack("QQ", calls.address(b), len(b)) for b in buffers)


FUTEX = "202"


def wait_until_blocked(thread, semaphore):
    """Returns when that thread sleeps in a system call, and not for the GIL (or after 2 s)."""
    for i in range(2000):
        time.sleep(0.001)
        with open("/proc/self/task/%d/syscall" % thread) as f:
            number, *arguments = f.read().split()
        if number == FUTEX and semaphore and int(arguments[0], 16) == calls.address(semaphore):
            return
        if number not in ("running", "-1", FUTEX):
            return


def later(function, semaphore=None):
    """Runs function in another thread, once the call under test has begun to wait."""
    me = threading.get_native_id()

    def run():
        wait_until_blocked(me, semaphore)
        function()
    thread = threading.Thread(target=run)
    thread.start()
    return thread


class interrupt_later:
    """Signals for this thread, with a handler that only counts, until join()."""

    def __init__(self, restart, semaphore=None):
        calls.count_signal(signal.SIGUSR1, restart)
        self.over = threading.Event()
        self.target = threading.get_ident()
        self.thread = later(self.run, semaphore)

    def run(self):
        signal.pthread_kill(self.target, signal.SIGUSR1)
        while not self.over.wait(0.05):
            signal.pthread_kill(self.target, signal.SIGUSR1)

    def join(self):
        self.over.set()
        self.thread.join()


def interrupted():
    return calls.signals() > 0


# ---- Two ends of something, and the calls that move bytes ----

class Ends:
    """A reading and a writing end, closed when it is over."""

    def __init__(self, kind):
        self.kind = kind
        self.objects = []
        if kind == "pipe":
            self.r, self.w = os.pipe()
        elif kind == "tcp":
            listener = socket.create_server(("127.0.0.1", 0))
            a = socket.socket()
            a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20000)
            a.connect(listener.getsockname())
            b = listener.accept()[0]
            listener.close()
            self.keep(b, a)
        else:
            self.keep(*socket.socketpair(type=socket.SOCK_DGRAM if kind == "datagram"
                                         else socket.SOCK_STREAM))

    def keep(self, r, w):
        self.objects = [r, w]
        self.r, self.w = r.fileno(), w.fileno()

    def __enter__(self):
        return self

    def close_r(self):
        if self.objects:
            self.objects[0].close()
        else:
            os.close(self.r)
        self.r = -1

    def close_w(self):
        if self.objects:
            self.objects[1].close()
        else:
            os.close(self.w)
        self.w = -1

    def __exit__(self, *unused):
        if self.r >= 0:
            self.close_r()
        if self.w >= 0:
            self.close_w()


class Message:
    """A struct msghdr; control: room for that many bytes of it, name: of a sender's address."""

    def __init__(self, buffers, control=0, name=0):
        self.buffers, self.control, self.name = buffers, bytearray(control), bytearray(name)
        self.iov = bytearray(iovec(*buffers)) or None
        self.bytes = bytearray(struct.pack(
            "QIxxxxQQQQi4x", calls.address(self.name) if name else 0, name, calls.address(self.iov),
            len(buffers), calls.address(self.control) if control else 0, control, 0x5555))

    def seen(self):
        _, name, _, count, _, control, flags = struct.unpack("QIxxxxQQQQi4x", self.bytes)
        return [name, count, control, flags]


def read_msg(fd, buffer, size):
    head = Message([buffer] if size == len(buffer) else [])
    return call("recvmsg", fd, head.bytes, 0)


def send_msg(fd, buffer, size):
    view = memoryview(buffer)
    head = Message([view[:size // 3], view[size // 3:size]])
    return call("sendmsg", fd, head.bytes, 0)


READS = {
    "read": lambda fd, b, n: call("read", fd, b, n),
    "__read_chk": lambda fd, b, n: call("__read_chk", fd, b, n, 1 << 30),
    "readv": lambda fd, b, n: call("readv", fd, struct.pack("QQQQ", calls.address(b), n // 2,
                                   calls.address(b) + n // 2, n - n // 2), 2),
    "preadv64v2": lambda fd, b, n: call("preadv64v2", fd, struct.pack("QQ", calls.address(b), n), 1,
                                        -1, 0),
}
RECEIVES = {
    "recv": lambda fd, b, n: call("recv", fd, b, n, 0),
    "__recv_chk": lambda fd, b, n: call("__recv_chk", fd, b, n, 1 << 30, 0),
    "recvfrom": lambda fd, b, n: call("recvfrom", fd, b, n, 0, 0, 0),
    "recvmsg": read_msg,
}
WRITES = {
    "write": lambda fd, b, n: call("write", fd, b, n),
    "writev": lambda fd, b, n: call("writev", fd, struct.pack("QQQQ", calls.address(b), n // 3,
                                    calls.address(b) + n // 3, n - n // 3), 2),
}
SENDS = {
    "send": lambda fd, b, n: call("send", fd, b, n, 0),
    "sendto": lambda fd, b, n: call("sendto", fd, b, n, 0, 0, 0),
    "sendmsg": send_msg,
}


def reading(name, kind, do):
    def given(what, path=None):
        return situation("%s from a %s: %s" % (name, kind, what), path)

    @given("as much as asked for", "done")
    def full():
        with Ends(kind) as e:
            os.write(e.w, b"0123456789")
            b = bytearray(10)
            return do(e.r, b, 10), b.decode()

    @given("less than asked for", "done")
    def short():
        with Ends(kind) as e:
            os.write(e.w, b"0123")
            b = bytearray(b"." * 10)
            return do(e.r, b, 10), b.decode()

    @given("nothing yet", "tried")
    def wait():
        with Ends(kind) as e:
            thread = later(lambda: os.write(e.w, b"0123"))
            b = bytearray(b"." * 10)
            result = do(e.r, b, 10)
            thread.join()
            return result, b.decode()

    @given("nothing, O_NONBLOCK", "done")
    def nonblocking():
        with Ends(kind) as e:
            os.set_blocking(e.r, False)
            return do(e.r, bytearray(10), 10)

    @given("a signal while waiting", "tried")
    def signalled():
        with Ends(kind) as e:
            thread = interrupt_later(False)
            result = do(e.r, bytearray(10), 10)
            thread.join()
            return result, interrupted()

    if kind != "datagram":
        @given("the end", "done")
        def end():
            with Ends(kind) as e:
                e.close_w()
                return do(e.r, bytearray(10), 10)

    @given("a closed descriptor", "done")
    def closed():
        return do(999, bytearray(10), 10)

    @given("no bytes")
    def none():
        with Ends(kind) as e:
            os.write(e.w, b"0123")
            os.write(e.w, b"4567")
            return do(e.r, bytearray(1), 0), do(e.r, bytearray(9), 9)


def writing(name, kind, do):
    data = bytearray(os.urandom(1000) * 60)

    def given(what, path=None):
        return situation("%s to a %s: %s" % (name, kind, what), path)

    def nearly_full(e):
        """Room for something, but not for all of the data; returns what is in there."""
        os.set_blocking(e.w, False)
        inside = 0
        try:
            while True:
                inside += os.write(e.w, b"x" * 1024)
        except BlockingIOError:
            pass
        os.set_blocking(e.w, True)
        out = 0
        while out < 16384:
            out += len(os.read(e.r, 1024))
        return inside - out

    @given("room for it", "done")
    def room():
        with Ends(kind) as e:
            return do(e.w, data, 900), os.read(e.r, 2000) == data[:900]

    @given("no room, O_NONBLOCK", "done")
    def full():
        with Ends(kind) as e:
            nearly_full(e)
            os.set_blocking(e.w, False)
            try:
                while True:
                    os.write(e.w, data)
            except BlockingIOError:
                pass
            return do(e.w, data, 900)

    @given("a closed descriptor")
    def closed():
        return do(999, data, 10)

    @given("no bytes")
    def none():
        with Ends(kind) as e:
            return do(e.w, data, 0)

    if kind == "datagram":
        return

    def slow_reader(size, delay=0.002):
        with Ends(kind) as e:
            inside = nearly_full(e)
            got = bytearray()

            def drain():
                while len(got) < inside + size:
                    got.extend(os.read(e.r, 20000))
                    time.sleep(delay)
            thread = later(drain)
            more = (data * (size // len(data) + 1))[:size]
            result = do(e.w, more, size)
            if int(result.split()[0]) < size:
                e.close_w()
                return result, "short"
            thread.join()
            return result, got[inside:] == more

    @given("room for a part, and a slow reader", "tried")
    def partial():
        return slow_reader(50000)

    @given("megabytes, and a slow reader")
    def long():
        return slow_reader((1 if kind == "tcp" else 4) << 20, 0)

    for restart in (False, True):
        @given("room for a part, then a signal%s" % (" (SA_RESTART)" if restart else ""))
        def signalled(restart=restart):
            with Ends(kind) as e:
                nearly_full(e)
                thread = interrupt_later(restart)
                result = do(e.w, data, 60000)
                thread.join()
                return 0 < int(result) < 60000, interrupted()

    @given("nobody reads any more", "done")
    def broken():
        with Ends(kind) as e:
            calls.count_signal(signal.SIGPIPE, True)
            e.close_r()
            if kind == "tcp":
                time.sleep(0.02)
                return do(e.w, data, 10), calls.signals(), do(e.w, data, 10), calls.signals()
            return do(e.w, data, 10), calls.signals()

    @given("room for a part, then nobody reads any more", "tried")
    def broken_later():
        with Ends(kind) as e:
            calls.count_signal(signal.SIGPIPE, True)
            nearly_full(e)
            thread = later(e.close_r)
            result = do(e.w, data, 60000)
            path = call.path
            thread.join()
            partial = 0 < int(result.split()[0]) < 60000
            after = calls.signals(), do(e.w, data, 10), do(e.w, data, 10), calls.signals()
            call.path = path
            return partial, after


for name, do in READS.items():
    for kind in "pipe", "stream":
        reading(name, kind, do)
for name, do in RECEIVES.items():
    for kind in "stream", "datagram":
        reading(name, kind, do)
for name, do in WRITES.items():
    for kind in "pipe", "stream":
        writing(name, kind, do)
for name, do in SENDS.items():
    for kind in "stream", "tcp", "datagram":
        writing(name, kind, do)


def nowait_works():
    """Can pipes be read with RWF_NOWAIT here? (Linux 6.4)"""
    with Ends("pipe") as e:
        os.write(e.w, b"x")
        b = bytearray(1)
        return calls.call("preadv64v2", e.r, iovec(b), 1, -1, NOWAIT)[0] == 1


def compute(stop):
    while not stop:
        for i in range(1000):
            pass


def warm_up(ends):
    """Calls that do not block, beside the computing thread: the next release is deferred too."""
    for i in range(5):
        os.write(ends.w, b"x")
        os.read(ends.r, 1)


def main():
    import calls_sockets, calls_waits, calls_files  # noqa: these add their own situations
    only = [a for a in sys.argv[1:] if a != "busy"]
    stop = []
    if "busy" in sys.argv:
        threading.Thread(target=compute, args=(stop,), daemon=True).start()
    nowait = nowait_works()
    ends = Ends("pipe")
    for name, function, path in SITUATIONS:
        if only and not any(word in name for word in only):
            continue
        call.path = None
        calls.signals()
        if "busy" in sys.argv:
            warm_up(ends)
        result = function()
        if not nowait:
            path = None
        print(json.dumps([name, result, call.path, path]), flush=True)
    stop.append(True)


if __name__ == "__main__":
    sys.modules["calls_scenarios"] = sys.modules["__main__"]
    main()
