"""Situations for calls_scenarios.py: waiting for files, children, semaphores and time; regular files."""

from calls_scenarios import *
import mmap
import pty
import tempfile

FOLDER = tempfile.mkdtemp(dir=os.environ.get("CALLS_FOLDER"))


def file(size=0):
    """A new regular file on a real disk, with known bytes."""
    f = tempfile.TemporaryFile(dir=FOLDER, buffering=0)
    f.write(bytes(i * 7 % 251 for i in range(256)) * (size // 256))
    f.seek(0)
    return f


# ---- poll, select, epoll ----

def fd_set(*fds):
    bits = 0
    for fd in fds:
        bits |= 1 << fd
    return bytearray(bits.to_bytes(128, "little"))


def fds_of(bits):
    bits = int.from_bytes(bits, "little")
    return [i for i in range(1024) if bits >> i & 1]


def do_poll(fd, events, ms):
    b = bytearray(struct.pack("ihh", fd, events, 0x7777))
    return call("poll", b, 1, ms), struct.unpack("ihh", b)[2]


def do_poll_chk(fd, events, ms):
    b = bytearray(struct.pack("ihh", fd, events, 0x7777))
    return call("__poll_chk", b, 1, ms, 8), struct.unpack("ihh", b)[2]


def timespec(ms):
    return None if ms < 0 else struct.pack("ll", ms // 1000, ms % 1000 * 1000000)


def do_ppoll(fd, events, ms):
    b = bytearray(struct.pack("ihh", fd, events, 0x7777))
    return call("ppoll", b, 1, timespec(ms), None), struct.unpack("ihh", b)[2]


def do_select(fd, events, ms):
    r, w = fd_set(fd), fd_set(fd) if events & select.POLLOUT else None
    left = bytearray(struct.pack("ll", ms // 1000, ms % 1000 * 1000)) if ms >= 0 else None
    result = call("select", fd + 1, r, w, None, left)
    if not left:
        return result, fds_of(r), w and fds_of(w)
    seconds, micros = struct.unpack("ll", left)
    ms_left = seconds * 1000 + micros // 1000
    # At once: all is left. After the event of later() or nothing: some or none.
    return result, fds_of(r), w and fds_of(w), "all" if ms_left > 2000 else "some" if ms_left else 0


def do_pselect(fd, events, ms):
    r, w = fd_set(fd), fd_set(fd) if events & select.POLLOUT else None
    result = call("pselect", fd + 1, r, w, None, timespec(ms), None)
    return result, fds_of(r), w and fds_of(w)


def epoll(name, *more, convert=lambda ms: ms):
    def do(fd, events, ms):
        with select.epoll() as e:
            if fd < 900:
                e.register(fd, events)
            b = bytearray(b"\xee" * 24)
            result = call(name, e.fileno(), b, 2, convert(ms), *more)
            return result, b[:4].hex() if result == "1" else b.hex()
    return do


def polling(name, do):
    def given(what, path=None):
        return situation("%s: %s" % (name, what), path)

    @given("readable", "done")
    def ready():
        with Ends("stream") as e:
            os.write(e.w, b"x")
            return do(e.r, select.POLLIN, 3000)

    @given("readable, without a timeout", "done")
    def ready_forever():
        with Ends("stream") as e:
            os.write(e.w, b"x")
            return do(e.r, select.POLLIN, -1)

    @given("writable, not readable", "done")
    def writable():
        with Ends("stream") as e:
            return do(e.w, select.POLLIN | select.POLLOUT, 3000)

    @given("hung up", "done")
    def hung_up():
        with Ends("pipe") as e:
            e.close_w()
            return do(e.r, select.POLLIN, 3000)

    @given("readable later", "tried")
    def becomes():
        with Ends("stream") as e:
            thread = later(lambda: os.write(e.w, b"x"))
            result = do(e.r, select.POLLIN, 2000)
            thread.join()
            return result

    @given("nothing in time", "tried")
    def times_out():
        with Ends("stream") as e:
            start = time.monotonic()
            result = do(e.r, select.POLLIN, 30)
            return result, time.monotonic() - start >= 0.029

    @given("nothing, no time", "done")
    def no_time():
        with Ends("stream") as e:
            return do(e.r, select.POLLIN, 0)

    @given("a closed descriptor")
    def closed():
        return do(900, select.POLLIN, 20)

    @given("a signal while waiting", "tried")
    def signalled():
        with Ends("stream") as e:
            thread = interrupt_later(True)
            result = do(e.r, select.POLLIN, -1)
            thread.join()
            return result, interrupted()


POLLS = {
    "poll": do_poll, "__poll_chk": do_poll_chk, "ppoll": do_ppoll, "select": do_select,
    "pselect": do_pselect, "epoll_wait": epoll("epoll_wait"),
    "epoll_pwait": epoll("epoll_pwait", None),
    "epoll_pwait2": epoll("epoll_pwait2", None, convert=timespec),
}
for name, do in POLLS.items():
    polling(name, do)


@situation("poll: no files, no time", "done")
def poll_nothing():
    return call("poll", None, 0, 0)


@situation("poll: no files", "completed")
def poll_sleep():
    return call("poll", None, 0, 5)


@situation("select: no files", "completed")
def select_sleep():
    return call("select", 0, None, None, None, bytearray(struct.pack("ll", 0, 2000)))


@situation("select: sets of several words, all kinds", "done")
def select_sets():
    with Ends("stream") as e, Ends("stream") as f:
        high = fcntl.fcntl(f.r, fcntl.F_DUPFD, 200)
        os.write(e.w, b"x")
        r, w, x = fd_set(e.r, high, f.r), fd_set(e.r, e.w, high), fd_set(e.r, f.r)
        result = call("select", high + 1, r, w, x, None)
        seen = [len(fds_of(s)) for s in (r, w, x)]
        os.close(high)
        return result, seen, fds_of(r) == [e.r]


@situation("select: bits beyond the count are left alone", "done")
def select_beyond():
    with Ends("stream") as e:
        os.write(e.w, b"x")
        bits = fd_set(e.r, 700)
        return call("select", e.r + 1, bits, None, None, None), 700 in fds_of(bits)


def bad_times(name, *before, times, after=()):
    @situation("%s: times that are none" % name)
    def run():
        with Ends("stream") as e:
            os.write(e.w, b"x")
            answers = []
            for seconds, parts in times:
                limit = bytearray(struct.pack("ll", seconds, parts))
                arguments = [fd_set(e.r) if a == "set" else a for a in before]
                answers.append([call(name, *arguments, limit, *after),
                                struct.unpack("ll", limit)[1] < 10 ** 6])
            return answers


bad_times("select", 100, "set", None, None, times=[(-1, 0), (0, -1), (0, 3000000)])
bad_times("pselect", 100, "set", None, None, times=[(-1, 0), (0, 10 ** 9)], after=[None])
bad_times("ppoll", None, 0, times=[(-1, 0), (0, 10 ** 9)], after=[None])
AVAILABLE = bytearray(32)
calls.call("sem_init", AVAILABLE, 0, 5)
bad_times("sem_timedwait", AVAILABLE, times=[(0, 10 ** 9), (0, -1)])
bad_times("sem_clockwait", AVAILABLE, time.CLOCK_MONOTONIC, times=[(0, 10 ** 9), (0, -1)])


def masks(name, arguments):
    for pending in True, False:
        @situation("%s: a signal that the mask %s" % (name, "lets through" if pending else "blocks"))
        def run(pending=pending):
            with Ends("stream") as e:
                calls.count_signal(signal.SIGUSR1, False)
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
                signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
                bits = 0 if pending else 1 << signal.SIGUSR1 - 1
                mask = struct.pack("Q", bits) + bytes(120)
                result = call(name, *arguments(e.r, timespec(20)), mask)
                during = calls.signals()
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
                return result, during, calls.signals()


masks("ppoll", lambda fd, t: (bytearray(struct.pack("ihh", fd, 1, 0)), 1, t))
masks("pselect", lambda fd, t: (fd + 1, fd_set(fd), None, None, t))
EPOLL = select.epoll()
masks("epoll_pwait", lambda fd, t: (EPOLL.fileno(), bytearray(12), 1, 20))
masks("epoll_pwait2", lambda fd, t: (EPOLL.fileno(), bytearray(12), 1, t))


# ---- Children ----

def child(seconds=0.0, status=3, stop=False):
    """A child that ends (or stops) after this time; its address space is its own at once."""
    code = "sleep %f; %s" % (seconds, "kill -STOP $$" if stop else "exit %d" % status)
    return os.posix_spawn("/bin/sh", ["sh", "-c", code], os.environ)


def ended(seconds, **kw):
    pid = child(seconds, **kw)
    if not seconds:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def waiting(name, do):
    def given(what, path=None):
        return situation("%s: %s" % (name, what), path)

    @given("one that has ended", "done")
    def now():
        return do(ended(0), 0)

    @given("one that ends", "tried")
    def later_on():
        return do(ended(0.05), 0)

    @given("no child", "done")
    def none():
        return do(os.getpid(), 0)

    if name not in ("wait",):
        @given("one that runs, WNOHANG", "done")
        def running():
            pid = child(0.1)
            result = do(pid, os.WNOHANG)
            path = call.path
            os.waitpid(pid, 0)
            call.path = path
            return result

        @given("one that stops", "tried")
        def stops():
            pid = child(0.02, stop=True)
            result = do(pid, os.WUNTRACED)
            path = call.path
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            call.path = path
            return result

    @given("a signal while waiting", "tried")
    def signalled():
        pid = child(0.15)
        thread = interrupt_later(False)
        result = do(pid, 0)
        path = call.path
        thread.join()
        os.waitpid(pid, 0)
        call.path = path
        return result, interrupted()


def named(result, pid):
    """Process ids differ from run to run."""
    return "pid" if result == str(pid) else result


def do_waitpid(pid, options):
    status = bytearray(b"\xee" * 4)
    return named(call("waitpid", pid, status, options), pid), status.hex()


def do_wait(pid, options):
    status = bytearray(b"\xee" * 4)
    return named(call("wait", status), pid), status.hex()


def usage_seen(usage):
    return "untouched" if usage == b"\xee" * 144 else struct.unpack("l", usage[32:40])[0] > 0


def do_wait3(pid, options):
    status, usage = bytearray(b"\xee" * 4), bytearray(b"\xee" * 144)
    return named(call("wait3", status, options, usage), pid), status.hex(), usage_seen(usage)


def do_wait4(pid, options):
    status, usage = bytearray(b"\xee" * 4), bytearray(b"\xee" * 144)
    return named(call("wait4", pid, status, options, usage), pid), status.hex(), usage_seen(usage)


def do_waitid(pid, options):
    info = bytearray(b"\xee" * 128)
    result = call("waitid", os.P_PID, pid, info, options & ~os.WUNTRACED | os.WEXITED |
                  (os.WSTOPPED if options & os.WUNTRACED else 0))
    number, error, code, _, who, uid, status = struct.unpack("iiiiiIi", info[:28])
    return result, number, code, "pid" if who == pid else who, status, info[28:].hex()[:16]


WAITS = {"waitpid": do_waitpid, "wait": do_wait, "wait3": do_wait3, "wait4": do_wait4,
         "waitid": do_waitid}
for name, do in WAITS.items():
    waiting(name, do)


@situation("waitid: without a siginfo_t", "tried")
def waitid_null():
    return call("waitid", os.P_PID, ended(0.05), None, os.WEXITED)


@situation("waitid: leaving it there", "done")
def waitid_nowait():
    pid = ended(0)
    result = call("waitid", os.P_PID, pid, bytearray(128), os.WEXITED | os.WNOWAIT)
    return result, os.waitpid(pid, 0)[1]


# ---- Semaphores and sleep ----

def clock(milliseconds, base=time.CLOCK_REALTIME):
    ns = time.clock_gettime_ns(base) + milliseconds * 1000000
    return struct.pack("ll", ns // 10 ** 9, ns % 10 ** 9)


SEMAPHORES = {
    "sem_wait": lambda s, ms: call("sem_wait", s),
    "sem_timedwait": lambda s, ms: call("sem_timedwait", s, clock(ms)),
    "sem_clockwait": lambda s, ms: call("sem_clockwait", s, time.CLOCK_MONOTONIC,
                                        clock(ms, time.CLOCK_MONOTONIC)),
}


def semaphores(name, do):
    def sem(value):
        s = bytearray(32)
        calls.call("sem_init", s, 0, value)
        return s

    @situation(name + ": available", "done")
    def now():
        s = sem(1)
        return do(s, 20000), s.hex()

    @situation(name + ": posted later", "tried")
    def posted():
        s = sem(0)
        thread = later(lambda: calls.call("sem_post", s), s)
        result = do(s, 20000)
        thread.join()
        return result, s.hex()

    @situation(name + ": a signal while waiting", "tried")
    def signalled():
        s = sem(0)
        thread = interrupt_later(False, s)
        result = do(s, 20000)
        thread.join()
        return result, interrupted()

    if name != "sem_wait":
        @situation(name + ": nothing in time", "tried")
        def late():
            return do(sem(0), 20)


for name, do in SEMAPHORES.items():
    semaphores(name, do)


@situation("sem_clockwait: another clock")
def other_clock():
    s = bytearray(32)
    calls.call("sem_init", s, 0, 1)
    return call("sem_clockwait", s, time.CLOCK_PROCESS_CPUTIME_ID, clock(10)), s.hex()


@situation("clock_nanosleep and nanosleep", "completed")
def sleeps():
    left = bytearray(16)
    thread = interrupt_later(False)
    first = call("nanosleep", struct.pack("ll", 5, 0), left)
    thread.join()
    return (first, struct.unpack("ll", left)[0], interrupted(),
            call("clock_nanosleep", time.CLOCK_MONOTONIC, 0, struct.pack("ll", 0, 1000), None),
            call("clock_nanosleep", 99, 0, struct.pack("ll", 0, 1000), None))


@situation("sched_yield", "completed")
def yields():
    return call("sched_yield")


@situation("sigtimedwait", "completed")
def sigtimedwait():
    mask = struct.pack("Q", 1 << signal.SIGUSR2 - 1) + bytes(120)
    return call("sigtimedwait", mask, None, struct.pack("ll", 0, 5000000))


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
