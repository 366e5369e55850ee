"""What the shop's programs share: an HTTP/1.1 server on $PORT that finishes what it has begun when it is told to stop.

Trap: on SIGTERM only the reading side of open connections is closed. An idle connection ends at once, one whose request
is being answered ends with the answer.
"""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    status: int = 200
    type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(content: Any, *, status: int = 200) -> Answer:
    return Answer(json.dumps(content).encode() + b"\n", status)


def serve(answer: Callable[[Request], Answer]) -> None:
    """Serves until SIGTERM or Ctrl-C."""
    # In a pod the edge asks from outside; the examples' image says HOST=0.0.0.0.
    address = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))
    # Waited for rather than handled: a second signal then interrupts nothing.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with _Server(address, _handler(answer)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        signal.sigwait(signals)
        server.shutdown()
        server.hang_up()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = False  # leaving the `with` block waits for them

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def hang_up(self) -> None:
        for connection in tuple(self.connections):
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                continue  # it ended by itself


def _handler(answer: Callable[[Request], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server: _Server
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # head and body leave together
        disable_nagle_algorithm = True

        def handle(self) -> None:
            self.server.connections.add(self.connection)
            try:
                super().handle()
            finally:
                self.server.connections.discard(self.connection)

        def reply(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            given = answer(Request(self.command, url.path, dict(parse_qsl(url.query)), headers, body))
            self.send_response(given.status)
            fields = {"content-type": given.type, "content-length": str(len(given.body)), **given.headers}
            for name, value in fields.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = reply  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the edge logs every request."""

    return Handler
