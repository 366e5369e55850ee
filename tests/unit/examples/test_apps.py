"""The programs of the examples behave as origins should: they answer, keep connections, and finish what they began."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from support.poll import eventually_sync

EXAMPLES = Path(__file__).parents[3] / "examples"
APPS = {
    "hello": ("hello", "hello.py", "/", b"Hello from"),
    "web": ("shop", "apps/web.py", "/ready", b"release stable"),
    "cart": ("shop", "apps/cart.py", "/cart", b'{"items": []}'),
    "catalogue": ("shop", "apps/catalogue.py", "/search?q=tea", b"Teapot"),
}


@contextmanager
def running(folder: str, program: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PORT": str(port)}
    with (
        TemporaryFile() as errors,
        subprocess.Popen([sys.executable, program], cwd=EXAMPLES / folder, env=environment, stderr=errors) as process,
    ):
        try:
            with eventually_sync(lambda: socket.create_connection(("127.0.0.1", port))):
                pass
            yield process, port
        finally:
            process.kill()
            process.wait()
        errors.seek(0)
        assert errors.read() == b""


@pytest.mark.parametrize(("folder", "program", "path", "expected"), APPS.values(), ids=APPS.keys())
def test_every_program_answers(folder: str, program: str, path: str, expected: bytes) -> None:
    with running(folder, program) as (_, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(3):
            connection.request("GET", path)
            response = connection.getresponse()
            assert (response.status, expected in response.read()) == (200, True)
        connection.close()


def test_any_number_of_sigterms_lets_a_request_finish_and_ends_idle_connections_at_once() -> None:
    answers: list[tuple[int, bytes]] = []
    with running("shop", "apps/web.py") as (process, port):
        idle, busy = connected(port), connected(port)
        busy.request("GET", "/report")
        reading = threading.Thread(target=lambda: answers.append(whole(busy.getresponse())))
        reading.start()
        for _ in range(50):
            process.send_signal(signal.SIGTERM)
        assert idle.sock.recv(1) == b""
        process.send_signal(signal.SIGTERM)
        reading.join(10)
        assert [(status, b"/report" in body) for status, body in answers] == [(200, True)]
        assert process.wait(10) == 0
        idle.close()
        busy.close()


def test_the_smallest_program_ends_when_it_is_told_to() -> None:
    with running("hello", "hello.py") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def whole(response: http.client.HTTPResponse) -> tuple[int, bytes]:
    return response.status, response.read()


def connected(port: int) -> http.client.HTTPConnection:
    """A connection that has carried a request, and so has surely been accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/")
    assert whole(connection.getresponse())[0] == 200
    return connection
