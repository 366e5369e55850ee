"""Envoy's admin interface, on a Unix socket that only its user can open."""

import asyncio
import http.client
import socket
from pathlib import Path

TIMEOUT_S = 5.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("admin", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(str(self._path))


async def ask(path: Path, question: str, *, method: str = "GET", timeout_s: float = TIMEOUT_S) -> str:
    """What the admin interface behind `path` answers. Raises OSError when nobody does, or when it says no."""
    return await asyncio.to_thread(_answer, path, question, method, timeout_s)


def _answer(path: Path, question: str, method: str, timeout_s: float) -> str:
    connection = _Connection(path, timeout_s)
    try:
        connection.request(method, "/" + question.lstrip("/"))
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise ConnectionResetError(f"Envoy's admin interface: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise OSError(f"Envoy's admin interface: {method} {question}: {response.status} {body.strip()[:200]}")
    return body


async def numbers(path: Path, pattern: str) -> dict[str, int]:
    """The counters and gauges whose names match `pattern`, which has no character that a URL would mind."""
    lines = (line.rpartition(": ") for line in (await ask(path, f"stats?filter={pattern}")).splitlines())
    return {name: int(value) for name, _, value in lines if value.isdigit()}
