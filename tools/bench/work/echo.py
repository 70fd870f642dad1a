"""An echo server thread, UDP or TCP, beside threads that compute: echo.py udp|tcp COUNT."""
import socket
import sys

import window


def serve_udp(sock):
    while True:
        data, peer = sock.recvfrom(2048)
        sock.sendto(data, peer)


def serve_tcp(listener):
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while data := connection.recv(2048):
                connection.sendall(data)


def main(protocol, count):
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(("127.0.0.1", 0))
    if protocol == "tcp":
        sock.listen()
    window.start(serve_udp if protocol == "udp" else serve_tcp, sock)
    window.start_computing(count)
    window.measure(port=sock.getsockname()[1])


main(sys.argv[1], int(sys.argv[2]))
