"""Situations for calls_scenarios.py: regular files, terminals, and what is done to files."""

from calls_scenarios import *
import pty
import tempfile

FOLDER = tempfile.mkdtemp(dir=os.environ.get("CALLS_FOLDER"))


def file(size=0):
    """A new regular file on a real disk, with known bytes."""
    f = tempfile.TemporaryFile(dir=FOLDER, buffering=0)
    f.write(bytes(i * 7 % 251 for i in range(256)) * (size // 256))
    f.seek(0)
    return f


# ---- Regular files, of which all, a part or nothing is in memory ----

READS_AT = {
    "read": lambda fd, b, at: call("read", fd, b, len(b)),
    "readv": lambda fd, b, at: call("readv", fd, struct.pack(
        "QQQQ", calls.address(b), 3000, calls.address(b) + 3000, len(b) - 3000), 2),
    "pread64": lambda fd, b, at: call("pread64", fd, b, len(b), at),
    "pread": lambda fd, b, at: call("pread", fd, b, len(b), at),
    "preadv64": lambda fd, b, at: call("preadv64", fd, struct.pack(
        "QQQQ", calls.address(b), 30000, calls.address(b) + 30000, len(b) - 30000), 2, at),
    "preadv64v2": lambda fd, b, at: call("preadv64v2", fd, iovec(b), 1, at, 0),
}


def cached(f, pages):
    """Leaves only the first pages in memory, and asks for no reading ahead, if the kernel agrees."""
    os.fsync(f.fileno())
    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    for page in range(pages):
        os.pread(f.fileno(), 1, page * 4096)


def file_reading(name, do):
    def given(what, path=None):
        return situation("%s of a file: %s" % (name, what), path)

    def reads(at, size, pages=None):
        with file(1 << 18) as f:
            if pages is not None:
                cached(f, pages)
            f.seek(at)
            b = bytearray(size)
            result = do(f.fileno(), b, at)
            return result, sum(b), b[-5:].hex(), f.tell()

    @given("in memory", "done")
    def whole():
        return reads(4096, 50000)

    @given("a part in memory")
    def part():
        return reads(4096, 50000, 5)

    @given("nothing in memory")
    def nothing():
        return reads(4096, 50000, 0)

    @given("over its end", "done")
    def over_end():
        return reads((1 << 18) - 33000, 50000)

    @given("over its end, a part in memory")
    def over_end_part():
        with file(1 << 18) as f:
            cached(f, 0)
            os.pread(f.fileno(), 1, (1 << 18) - 32768)
            f.seek((1 << 18) - 32768)
            b = bytearray(50000)
            result = do(f.fileno(), b, (1 << 18) - 32768)
            return result, sum(b), f.tell()

    @given("at its end", "done")
    def at_end():
        return reads(1 << 18, 50000)

    @given("behind its end", "done")
    def behind_end():
        return reads(1 << 20, 50000)

    @given("a folder")
    def folder():
        fd = os.open("/", os.O_RDONLY)
        result = do(fd, bytearray(50000), 0)
        os.close(fd)
        return result

    @given("of /proc")
    def proc():
        fd = os.open("/proc/version", os.O_RDONLY)
        b = bytearray(50000)
        result = do(fd, b, 0)
        os.close(fd)
        return result, b.rstrip(b"\0").decode()


for name, do in READS_AT.items():
    file_reading(name, do)


@situation("pread64: offsets that are none")
def bad_offset():
    with file(4096) as f, Ends("pipe") as e:
        b = bytearray(9)
        return (call("pread64", f.fileno(), b, 9, -1), f.tell(), call("pread64", e.r, b, 9, 0),
                call("preadv64", f.fileno(), iovec(b), 1, -1), f.tell(),
                call("preadv64v2", f.fileno(), iovec(b), 1, -1, 0), f.tell())


@situation("preadv64v2: RWF_NOWAIT, and a flag that is none")
def caller_nowait():
    with file(4096) as f, Ends("pipe") as e:
        b = bytearray(9)
        return (call("preadv64v2", f.fileno(), iovec(b), 1, 0, NOWAIT),
                call("preadv64v2", f.fileno(), iovec(b), 1, 0, 1 << 30))


@situation("write of a file: at the end, in append mode, and beyond a limit")
def writes():
    with file(4096) as f:
        f.seek(4000)
        first = call("write", f.fileno(), b"y" * 5000, 5000), f.tell(), os.fstat(f.fileno()).st_size
        fcntl.fcntl(f.fileno(), fcntl.F_SETFL, os.O_APPEND)
        f.seek(0)
        second = call("write", f.fileno(), b"z" * 5000, 5000), f.tell()
        third = call("pwrite64", f.fileno(), b"z" * 5000, 5000, 0), os.fstat(f.fileno()).st_size
        b = bytearray(9)
        return first, second, third, call("pwritev64v2", f.fileno(), iovec(b), 1, 0, 0)


@situation("read of a terminal", "tried")
def terminal():
    master, slave = pty.openpty()
    thread = later(lambda: os.write(master, b"hello\n"))
    b = bytearray(20)
    first = call("read", slave, b, 20)
    thread.join()
    os.write(master, b"\x04")
    second = call("read", slave, bytearray(20), 20)
    third = call("write", slave, b"abc\n", 4)
    os.set_blocking(slave, False)
    fourth = call("read", slave, bytearray(20), 20)
    call.path = "tried"
    os.close(master)
    os.close(slave)
    return first, b.decode(), second, third, fourth


@situation("eventfd_read and eventfd_write")
def eventfds():
    fd = os.eventfd(3)
    value = bytearray(8)
    first = call("eventfd_read", fd, value), value.hex(), call.path if calls.path() else ""
    thread = later(lambda: os.eventfd_write(fd, 5))
    second = call("eventfd_read", fd, value), value.hex()
    thread.join()
    third = call("eventfd_write", fd, 7), call("read", fd, value, 4), call("read", fd, value, 8)
    fourth = call("eventfd_write", fd, (1 << 64) - 1)
    os.set_blocking(fd, False)
    fifth = call("eventfd_read", fd, value)
    os.close(fd)
    return first[:2], second, third, value.hex(), fourth, fifth


# ---- Other files ----

@situation("open64: a FIFO that somebody opens", "completed")
def open_fifo():
    path = os.path.join(FOLDER, "fifo")
    os.mkfifo(path)
    others = []
    thread = later(lambda: others.append(os.open(path, os.O_WRONLY)))
    fd = int(call("open64", path.encode() + b"\0", os.O_RDONLY | os.O_CLOEXEC))
    thread.join()
    seen = fcntl.fcntl(fd, fcntl.F_GETFL), fcntl.fcntl(fd, fcntl.F_GETFD)
    os.close(fd)
    os.close(others[0])
    os.unlink(path)
    return seen


@situation("openat64: a mode", "completed")
def open_mode():
    path = os.path.join(FOLDER, "mode")
    folder = os.open(FOLDER, os.O_RDONLY)
    old = os.umask(0o22)
    fd = int(call("openat64", folder, b"mode\0", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o764))
    os.umask(old)
    mode = os.fstat(fd).st_mode
    os.close(fd)
    again = call("openat64", folder, b"mode\0", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o764)
    os.close(folder)
    os.unlink(path)
    return oct(mode), again, call("__open64_2", b"/nowhere/at/all\0", os.O_RDONLY)


@situation("flock: free, held, released")
def flocks():
    with file() as f, open("/proc/self/fd/%d" % f.fileno(), "rb") as g:
        first = call("flock", f.fileno(), fcntl.LOCK_EX), calls.path()
        second = call("flock", g.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        thread = later(lambda: fcntl.flock(f, fcntl.LOCK_UN))
        third = call("flock", g.fileno(), fcntl.LOCK_EX)
        thread.join()
        thread = interrupt_later(False)
        fourth = call("flock", f.fileno(), fcntl.LOCK_SH)
        thread.join()
        return first[0], second, third, fourth, call("flock", g.fileno(), 99), interrupted()


@situation("fcntl64: a lock that somebody else has", "completed")
def fcntl_lock():
    with file() as f, open("/proc/self/fd/%d" % f.fileno(), "r+b") as g:
        lock = struct.pack("hhqqixxxx", fcntl.F_WRLCK, 0, 0, 0, 0)
        free = struct.pack("hhqqixxxx", fcntl.F_UNLCK, 0, 0, 0, 0)
        set_wait, set_now = 38, 37  # F_OFD_SETLKW, F_OFD_SETLK
        first = call("fcntl64", f.fileno(), set_wait, lock)
        second = call("fcntl64", g.fileno(), set_now, lock)
        thread = later(lambda: calls.call("fcntl64", f.fileno(), set_now, free))
        third = call("fcntl64", g.fileno(), set_wait, lock)
        thread.join()
        return first, second, third


@situation("fcntl64 and ioctl that cannot block")
def controls():
    with Ends("pipe") as e:
        os.write(e.w, b"abc")
        count = bytearray(4)
        return (call("ioctl", e.r, 0x541b, count), count.hex(),
                call("fcntl64", e.r, fcntl.F_GETFL, 0), call("ioctl", e.r, 0x5401, bytearray(60)),
                call("fcntl64", 900, fcntl.F_GETFL, 0))


@situation("getrandom")
def randoms():
    return (call("getrandom", bytearray(16), 16, 0), call("getrandom", bytearray(5000), 5000, 0),
            call("getrandom", BAD, 16, 0), call("getrandom", bytearray(16), 16, 99))


@situation("sendfile64, splice, copy_file_range, fsync, posix_fallocate64, lockf64", "completed")
def copies():
    with file(8192) as f, file() as g, Ends("pipe") as e:
        offset = bytearray(8)
        return (call("sendfile64", e.w, f.fileno(), offset, 5000), offset.hex(),
                call("splice", e.r, None, g.fileno(), None, 4000, 0),
                call("copy_file_range", f.fileno(), None, g.fileno(), None, 3000, 0),
                f.tell(), g.tell(), call("fsync", g.fileno()), call("fsync", e.r),
                call("posix_fallocate64", g.fileno(), 0, 20000),
                call("posix_fallocate64", e.r, 0, 20000), call("lockf64", g.fileno(), 1, 0),
                os.fstat(g.fileno()).st_size)
