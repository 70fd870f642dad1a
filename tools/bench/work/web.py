"""The standard library's threaded HTTP server beside threads that compute: web.py COUNT."""
import http.server
import socket
import sys

import window

BODY = b"The quick brown fox jumps over the lazy dog.\n" * 4


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        # Without it Nagle's algorithm and delayed acknowledgements add 40 ms to each reply.
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args):
        pass


def main(count):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    window.start(server.serve_forever)
    window.start_computing(count)
    window.measure(port=server.server_address[1])


main(int(sys.argv[1]))
