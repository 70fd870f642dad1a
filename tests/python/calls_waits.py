"""Situations for calls_scenarios.py: waiting for files, children, semaphores and time."""

from calls_scenarios import *


# ---- poll, select, epoll ----

# select() looks at no file beyond the end of the process's table, which has 64 places at least.
CLOSED = 63


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
            if fd != CLOSED:
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
        return do(CLOSED, select.POLLIN, 20)

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
