"""The smallest origin: it listens on $PORT and says hello."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{os.environ.get('GREETING', 'Hello')} from {os.environ.get('K_SERVICE', 'nowhere')}\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the edge logs every request."""


# The first process of a container does not end of SIGTERM by itself.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
# Its image says HOST=0.0.0.0, for the edge asks a pod from outside.
HTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))), Hello).serve_forever()
