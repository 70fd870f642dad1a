"""A fixed piece of work for the drop-in, for python.test to make calls fail in.

Threads that do I/O of every kind beside one that computes, so that releases are deferred and calls
tried. A call that fails with the injected error (the argument, an errno; 0: none) is made again, as
a careful program would: then nothing may be missing. Prints "done" and how many such errors it saw,
and exits 0. It counts from fault_arm() on, when all is imported and open."""

import ctypes
import fcntl
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time

INJECTED = int(sys.argv[1])
ROUNDS = 8
errors = []
failed = []
stop = False


def again(call, *args):
    """The call's result, of the second try if the first one met the injected error."""
    while True:
        try:
            return call(*args)
        except OSError as error:
            if error.errno != INJECTED or len(errors) > 1000:
                raise
            errors.append(error)


def compute():
    while not stop:
        sum(range(200))


def all_of(get, size):
    data = b""
    while len(data) < size:
        piece = again(get, size - len(data))
        assert piece, "the end came after %d of %d bytes" % (len(data), size)
        data += piece
    return data


def send_all(put, data):
    while data:
        data = data[again(put, data):]


def message(number):
    return b"%06d" % number * 20


def talk(put, get):
    """Messages through a pair of ends, each answered: every byte, in order."""
    def answer():
        for number in range(ROUNDS):
            assert all_of(get[0], 120) == message(number), "a message is damaged"
            send_all(put[1], message(-number))
    other = begin(answer)
    for number in range(ROUNDS):
        send_all(put[0], message(number))
        assert all_of(get[1], 120) == message(-number), "an answer is damaged"
    other.join()


def sockets():
    a, b = PAIR
    talk((a.send, b.send), (b.recv, a.recv))


def pipes():
    (r1, w1), (r2, w2) = PIPES
    talk((lambda data: os.write(w1, data), lambda data: os.write(w2, data)),
         (lambda size: os.read(r1, size), lambda size: os.read(r2, size)))


def files():
    for number in range(ROUNDS):
        again(fcntl.flock, FILE, fcntl.LOCK_EX)
        send_all(lambda data: os.write(FILE, data), message(number))
        if number % 4 == 0:
            again(os.fsync, FILE)
        again(fcntl.flock, FILE, fcntl.LOCK_UN)
        assert again(os.pread, FILE, 120, 120 * number) == message(number), "a file is damaged"
    os.lseek(FILE, 0, os.SEEK_SET)
    whole = b"".join(message(number) for number in range(ROUNDS))
    assert all_of(lambda size: os.read(FILE, min(size, 200)), len(whole)) == whole


def ready():
    a, b = READY
    epoll = select.epoll()
    epoll.register(b, select.EPOLLIN)
    poll = select.poll()
    poll.register(b, select.POLLIN)
    for number in range(ROUNDS):
        send_all(a.send, b"x")
        assert again(select.select, [b], [], [], 5)[0] == [b]
        assert len(again(poll.poll, 5000)) == 1
        assert len(again(epoll.poll, 5)) == 1
        assert all_of(b.recv, 1) == b"x"
        assert again(poll.poll, 1) == [], "ready for nothing"


def locks():
    ours, theirs = threading.Semaphore(0), threading.Semaphore(0)
    turns = []

    def other():
        for number in range(ROUNDS):
            ours.acquire()
            turns.append(number)
            theirs.release()
    thread = begin(other)
    for number in range(ROUNDS):
        ours.release()
        assert theirs.acquire(timeout=20), "a lock was not released"
        assert turns[-1] == number
        assert not ours.acquire(timeout=0.0001) or not ours.release()
    thread.join()


def connections():
    def serve():
        for number in range(ROUNDS // 2):
            conn, _ = again(SERVER.accept)
            with conn:
                send_all(conn.send, all_of(conn.recv, 120))
    thread = begin(serve)
    for number in range(ROUNDS // 2):
        while True:  # a connect that was interrupted goes on by itself: begin with another
            client = socket.socket()
            try:
                client.connect(SERVER.getsockname())
                break
            except OSError as error:
                client.close()
                if error.errno != INJECTED:
                    raise
                errors.append(error)
        with client:
            send_all(client.send, message(number))
            assert all_of(client.recv, 120) == message(number)
    thread.join()


def children():
    for number in range(3):
        child = os.fork()
        if child == 0:
            os._exit(number)
        status = os.waitstatus_to_exitcode(again(os.waitpid, child, 0)[1])
        if status == -signal.SIGABRT:
            os.abort()  # the child has said why
        assert status == number, "child %d ended with %d" % (number, status)
    for number in range(ROUNDS):
        assert len(again(os.getrandom, 16)) == 16
        again(time.sleep, 0)
        again(time.sleep, 0.0001)


def begin(fn):
    """Starts a thread; one that cannot be made is tried again."""
    def body():
        try:
            fn()
        except BaseException as error:
            failed.append((fn.__name__, repr(error)))
            sys.stderr.write("program: %s: %r\n" % failed[-1])
            os._exit(1)
    while True:
        thread = threading.Thread(target=body)
        try:
            thread.start()
            return thread
        except RuntimeError as error:
            if "can't start new thread" not in str(error) or len(errors) > 1000:
                raise
            errors.append(error)


PAIR, READY = socket.socketpair(), socket.socketpair()
PIPES = os.pipe(), os.pipe()
FILE = tempfile.TemporaryFile()
FILE = os.open(FILE.name, os.O_RDWR) if isinstance(FILE.name, str) else os.dup(FILE.fileno())
SERVER = socket.create_server(("127.0.0.1", 0))
sys.setswitchinterval(0.001)
getattr(ctypes.CDLL(None), "fault_arm", lambda: None)()

computing = begin(compute)
for thread in [begin(fn) for fn in (sockets, pipes, files, ready, locks, connections, children)]:
    thread.join()
stop = True
computing.join()
again(os.write, 1, b"done %d\n" % len(errors))
