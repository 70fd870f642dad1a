"""Situations for calls_scenarios.py: flags, control data and faults of socket calls, and connections."""

from calls_scenarios import *


# ---- Receiving and sending with flags ----

def receive_flags(what, flags, path, *writes, kind="stream", options=(), size=10):
    @situation("recv: " + what, path)
    def run():
        with Ends(kind) as e:
            for option in options:
                e.objects[0].setsockopt(*option)
            thread = None
            if writes:
                os.write(e.w, writes[0])
            if writes[1:]:
                thread = later(lambda: os.write(e.w, writes[1]))
            b = bytearray(b"." * size)
            result = call("recv", e.r, b, size, flags)
            path = call.path
            again = call("recv", e.r, bytearray(size), size, socket.MSG_DONTWAIT)
            call.path = path
            if thread:
                thread.join()
            return result, b.decode(), again


SECOND = struct.pack("ll", 0, 20000)
receive_flags("MSG_WAITALL, in two parts", socket.MSG_WAITALL, "completed", b"0123", b"456789")
receive_flags("MSG_WAITALL, in one part", socket.MSG_WAITALL, "completed", b"0123456789")
receive_flags("MSG_PEEK", socket.MSG_PEEK, "done", b"0123")
receive_flags("MSG_PEEK, nothing yet", socket.MSG_PEEK, "tried", b"", b"0123")
receive_flags("MSG_DONTWAIT, nothing", socket.MSG_DONTWAIT, "done")
receive_flags("MSG_ERRQUEUE, nothing", socket.MSG_ERRQUEUE, None, kind="tcp")
receive_flags("MSG_OOB, nothing", socket.MSG_OOB, None, kind="tcp")
receive_flags("MSG_TRUNC of a datagram", socket.MSG_TRUNC, "done", b"0123456789", kind="datagram",
              size=4)
receive_flags("a receive timeout", 0, "tried",
              options=[(socket.SOL_SOCKET, socket.SO_RCVTIMEO, SECOND)])
receive_flags("a low-water mark", 0, "completed", b"0123", b"456789",
              options=[(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)])


@situation("read: a low-water mark", "completed")
def low_water_read():
    with Ends("stream") as e:
        e.objects[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
        os.write(e.w, b"0123")
        thread = later(lambda: os.write(e.w, b"456789"))
        result = call("read", e.r, bytearray(20), 20)
        thread.join()
        return result


@situation("recv: into memory that is not there loses the datagram", "done")
def recv_fault():
    with Ends("datagram") as e:
        os.write(e.w, b"first")
        os.write(e.w, b"second")
        b = bytearray(b"." * 8)
        first = call("recv", e.r, BAD, 8, 0)
        return first, call("recv", e.r, b, 8, 0), b.decode()


def faulty(name, *arguments):
    shown = ", ".join("…" if isinstance(a, (bytes, bytearray)) else str(a) for a in arguments)
    @situation("%s(%s): memory that is not there, or a size" % (name, shown))
    def run():
        with Ends("stream") as e:
            os.write(e.w, b"0123456789")
            return call(name, *[e.r if a == "r" else e.w if a == "w" else a for a in arguments])


faulty("read", "r", BAD, 10)
faulty("readv", "r", BAD, 1)
faulty("recvfrom", "r", BAD, 10, 0, 0, 0)
faulty("recvmsg", "r", BAD, 0)
faulty("write", "w", BAD, 10)
faulty("writev", "w", BAD, 2)
faulty("send", "w", BAD, 10, 0)
faulty("sendmsg", "w", BAD, 0)
faulty("poll", BAD, 1, 10)
faulty("waitid", 0, 0, BAD, os.WEXITED)
faulty("accept4", "r", BAD, BAD, 0)
faulty("read", "r", bytearray(100), 1 << 47)
faulty("read", "r", bytearray(100), -1)
faulty("readv", "r", iovec(), -1)
faulty("readv", "r", iovec(), 2000)
faulty("recv", "r", bytearray(100), 1 << 40, 0)
faulty("write", "w", bytearray(100), -1)
faulty("send", "w", BAD, 1 << 40, socket.MSG_DONTWAIT)


@situation("recvfrom: a sender's address", "tried")
def recvfrom_address():
    with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        address, size = bytearray(28), bytearray(struct.pack("i", 28))
        thread = later(lambda: b.sendto(b"x", a.getsockname()))
        result = call("recvfrom", a.fileno(), bytearray(9), 9, 0, address, size)
        thread.join()
        port, = struct.unpack(">H", address[2:4])
        return result, port == b.getsockname()[1], address[4:8].hex(), size.hex()


@situation("sendto: a datagram to an address", "done")
def sendto_address():
    with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
        a.bind(("127.0.0.1", 0))
        to = struct.pack("=HH", socket.AF_INET, socket.htons(a.getsockname()[1])) + \
            socket.inet_aton("127.0.0.1") + bytes(8)
        return (call("sendto", b.fileno(), b"abc", 3, 0, to, 16), a.recv(9).decode(),
                call("sendto", b.fileno(), b"a" * 70000, 65536, 0, to, 16),
                call("sendto", b.fileno(), b"abc", 3, 0, to, 3),
                call("sendto", b.fileno(), b"", 0, 0, to, 16), a.recv(9).decode())


@situation("send: a datagram that was refused", "done")
def refused():
    with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
        a.bind(("127.0.0.1", 0))
        b.connect(a.getsockname())
        a.close()
        b.send(b"x")
        time.sleep(0.02)
        return (call("recv", b.fileno(), bytearray(9), 9, 0),
                call("send", b.fileno(), b"x", 1, 0))


def control_data(when, path):
    @situation("recvmsg: descriptors and a name, %s" % when, path)
    def run():
        a, b = socket.socketpair(type=socket.SOCK_DGRAM)
        with a, b:
            head = Message([bytearray(3), bytearray(3)], control=64, name=30)
            bytes_before = head.seen()

            def send():
                b.sendmsg([b"abcdefgh"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                           array.array("i", [0, 1]))])
            thread = later(send) if when == "later" else send()
            result = call("recvmsg", a.fileno(), head.bytes, socket.MSG_CMSG_CLOEXEC)
            path = call.path
            if thread:
                thread.join()
            for fd in struct.unpack("ii", head.control[16:24]):
                os.close(fd)
            empty = Message([bytearray(3)], control=64, name=30)
            a.setblocking(False)
            nothing = call("recvmsg", a.fileno(), empty.bytes, 0)
            call.path = path
            return (result, head.seen(), [x.decode() for x in head.buffers],
                    head.control[:16].hex(), nothing, empty.seen() == bytes_before)


control_data("at once", "done")
control_data("later", "tried")


def leave_little_room(a, b):
    """Fills the way from b to a, and takes a few messages out again."""
    b.setblocking(False)
    try:
        while True:
            b.send(b"x" * 1024)
    except BlockingIOError:
        pass
    b.setblocking(True)
    for i in range(12):
        a.recv(1024)


@situation("sendmsg: descriptors with a message in two parts")
def send_control():
    a, b = socket.socketpair()
    with a, b:
        leave_little_room(a, b)
        head = Message([bytearray(b"y" * 60000)], control=20)
        head.control[:] = struct.pack("QiiI", 20, socket.SOL_SOCKET, socket.SCM_RIGHTS, 0)
        fds = []

        def drain():
            total = 0
            while True:
                data, control, flags, name = a.recvmsg(65536, 100)
                for level, kind, value in control:
                    fds.extend(struct.unpack("%di" % (len(value) // 4), value))
                total += data.count(b"y")
                if total == 60000:
                    break
        thread = later(drain)
        result = call("sendmsg", b.fileno(), head.bytes, 0)
        thread.join()
        for fd in fds:
            os.close(fd)
        return result, len(fds)


@situation("send: MSG_NOSIGNAL", "done")
def no_signal():
    with Ends("stream") as e:
        calls.count_signal(signal.SIGPIPE, True)
        e.close_r()
        return call("send", e.w, b"x", 1, socket.MSG_NOSIGNAL), calls.signals()


@situation("send: urgent data", "completed")
def urgent():
    with Ends("tcp") as e:
        result = call("send", e.w, b"xy", 2, socket.MSG_OOB)
        return result, e.objects[0].recv(9).decode(), e.objects[0].recv(9, socket.MSG_OOB).decode()


@situation("send: a send timeout after a part of it", "tried")
def send_timeout():
    with Ends("stream") as e:
        a, b = e.objects
        leave_little_room(a, b)
        b.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SECOND)
        first = call("send", e.w, b"y" * 60000, 60000, 0)
        path = call.path
        second = call("send", e.w, b"y" * 60000, 60000, 0)
        call.path = path
        return 0 < int(first) < 60000, second


# ---- Connections ----

def accepting(name, *more):
    def listener():
        s = socket.create_server(("127.0.0.1", 0))
        return s, s.getsockname()

    def accepted(s):
        address, size = bytearray(16), bytearray(struct.pack("i", 16))
        result = call(name, s.fileno(), address, size, *more)
        if result[0] == "-":
            return result
        fd = int(result)
        flags = fcntl.fcntl(fd, fcntl.F_GETFL), fcntl.fcntl(fd, fcntl.F_GETFD)
        os.close(fd)
        return flags, address[4:8].hex(), size.hex()

    @situation(name + ": a connection is there", "completed")
    def ready():
        s, address = listener()
        with s, socket.create_connection(address):
            return accepted(s)

    @situation(name + ": a connection is there, O_NONBLOCK", "done")
    def ready_nonblocking():
        s, address = listener()
        s.setblocking(False)
        with s, socket.create_connection(address):
            return accepted(s)

    @situation(name + ": a connection comes", "completed")
    def comes():
        s, address = listener()
        with s:
            made = []
            thread = later(lambda: made.append(socket.create_connection(address)))
            result = accepted(s)
            thread.join()
            made[0].close()
            return result

    @situation(name + ": none, O_NONBLOCK", "done")
    def none():
        s, address = listener()
        s.setblocking(False)
        with s:
            return accepted(s)


accepting("accept")
accepting("accept4", socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def connecting(what, path, blocking, there):
    @situation("connect: " + what, path)
    def run():
        with socket.socket() as s, socket.socket() as c:
            s.bind(("127.0.0.1", 0))
            if there:
                s.listen()
            c.setblocking(blocking)
            to = struct.pack("=HH", socket.AF_INET, socket.htons(s.getsockname()[1])) + \
                socket.inet_aton("127.0.0.1") + bytes(8)
            return call("connect", c.fileno(), to, 16), call("connect", c.fileno(), to, 3)


connecting("somebody listens", None, True, True)
connecting("nobody listens", None, True, False)
connecting("O_NONBLOCK", None, False, True)
