"""A thread that reads 64 bytes at a time with os.read, from a cached file or from /dev/zero, beside
threads that compute: reads.py file|zero COUNT."""
import os
import sys
import tempfile

import window

SIZE = 64
FILE_BYTES = 4 << 20

reads = [0]


def read_file(fd):
    while True:
        while os.read(fd, SIZE):
            reads[0] += 1
        os.lseek(fd, 0, os.SEEK_SET)


def read_zero(fd):
    while True:
        os.read(fd, SIZE)
        reads[0] += 1


def main(source, count):
    if source == "file":
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * FILE_BYTES)
            file.flush()
            fd = os.open(file.name, os.O_RDONLY)
        window.start(read_file, fd)
    else:
        window.start(read_zero, os.open("/dev/zero", os.O_RDONLY))
    window.start_computing(count)
    window.measure(counters=[reads])


main(sys.argv[1], int(sys.argv[2]))
