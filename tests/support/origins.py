"""An echo origin for tests: answers JSON that tells what it saw. Standard library only.

`async with origin("cart") as cart:` serves in this process on `cart.port`; `PORT=9000 NAME=cart python origins.py`
serves as a process of its own, STATUS is what it answers unless told otherwise, and where PATIENT is set it finishes
what it has begun when it is to end. Query parameters steer the answer:
`delay=1s` (or `250ms`), `status=503`, `size=N` (a body of N bytes), `stream=SECONDS` (a chunk each 100 ms). An upgrade
to WebSocket echoes frames. Trap: this is a test double, not a web server: a malformed request just ends its connection.
"""

import asyncio
import base64
import hashlib
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_HEAD_LIMIT = 65536
_STREAM_STEP_S = 0.1
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_CLOSE = 8
_PING, _PONG = 9, 10


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """The first value, in lower case, or ""."""
        return next((value.lower() for key, value in self.headers if key.lower() == name), "")

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


@dataclass(slots=True)
class Origin:
    """A running origin. `requests` grows as they come, `together` are being answered."""

    name: str
    port: int
    requests: list[Request] = field(default_factory=list)
    together: int = 0


@asynccontextmanager
async def origin(
    name: str = "origin", *, port: int = 0, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Origin]:
    """Serves while the block runs, on a free port unless told otherwise; leaving it cuts what is still open."""
    state = Origin(name, port)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio's, when it is cancelled, is complained of in the log (Python 3.11).
        task = asyncio.create_task(_serve(state, reader, writer), name=f"origin {name}")
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, address, port, ssl=tls, limit=_HEAD_LIMIT)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _serve(state: Origin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await _exchange(state, reader, writer):
            pass
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return  # the client is gone or talks nonsense
    finally:
        with suppress(OSError):
            writer.close()


async def _exchange(state: Origin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """One request and its answer; true when the connection may carry another."""
    request = await _head(reader)
    if request is None:
        return False
    state.requests.append(request)
    if request.header("upgrade") == "websocket":
        await _websocket(state.name, request, reader, writer)
        return False
    if request.header("expect") == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    state.together += 1
    try:
        body = await _body(request, reader)
        await _answer(state, request, body, writer)
    finally:
        state.together -= 1
    return request.header("connection") != "close"


async def _head(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return Request(method, target, tuple((name, value.strip()) for name, _, value in pairs))


@dataclass(slots=True)
class _Body:
    """What is remembered of one."""

    length: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    async def take(self, reader: asyncio.StreamReader, length: int) -> None:
        left = length
        while left:
            data = await reader.read(min(left, _HEAD_LIMIT))
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            self.digest.update(data)
            left -= len(data)
        self.length += length


async def _body(request: Request, reader: asyncio.StreamReader) -> _Body:
    """Reads the whole body."""
    body = _Body()
    if request.header("transfer-encoding") != "chunked":
        await body.take(reader, int(request.header("content-length") or 0))
        return body
    while size := int((await reader.readline()).split(b";")[0], 16):
        await body.take(reader, size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return body


async def _answer(state: Origin, request: Request, given: _Body, writer: asyncio.StreamWriter) -> None:
    name, wanted, together = state.name, request.parameters, state.together
    await asyncio.sleep(seconds(wanted.get("delay", "0")))
    status = int(wanted.get("status", os.environ.get("STATUS", HTTPStatus.OK)))
    if "stream" in wanted:
        await _stream(name, seconds(wanted["stream"]), status, writer)
        return
    body = b"x" * int(wanted["size"]) if "size" in wanted else _described(name, request, given, together)
    writer.write(_response_head(name, status, f"content-length: {len(body)}"))
    if request.method != "HEAD":
        writer.write(body)
    await writer.drain()


def _described(name: str, request: Request, given: _Body, together: int) -> bytes:
    seen: dict[str, Any] = {
        "name": name,
        "method": request.method,
        "path": request.target,
        "headers": request.headers,
        "bodyLength": given.length,
        "bodySha256": given.digest.hexdigest(),
        "together": together,
    }
    return json.dumps(seen).encode()


def _response_head(name: str, status: int, framing: str) -> bytes:
    reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    fields = ("content-type: application/json", f"x-origin: {name}", framing)
    return "\r\n".join((f"HTTP/1.1 {status} {reason}", *fields, "", "")).encode()


async def _stream(name: str, for_s: float, status: int, writer: asyncio.StreamWriter) -> None:
    writer.write(_response_head(name, status, "transfer-encoding: chunked"))
    for number in range(max(1, round(for_s / _STREAM_STEP_S))):
        line = f"{name} {number}\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(line), line))
        await writer.drain()
        await asyncio.sleep(_STREAM_STEP_S)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _websocket(name: str, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    key = next(value for header, value in request.headers if header.lower() == "sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _WEBSOCKET_GUID, usedforsecurity=False).digest()).decode()
    switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade"
    writer.write(f"{switch}\r\nsec-websocket-accept: {accept}\r\nx-origin: {name}\r\n\r\n".encode())
    opcode = 0
    while opcode != _CLOSE:
        opcode, payload = await _frame(reader)
        reply = _PONG if opcode == _PING else opcode
        writer.write(bytes([0x80 | reply, len(payload)]) + payload)
        await writer.drain()


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One masked frame of at most 125 bytes, not fragmented."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length > 125 or not second & 0x80:
        raise ValueError("only small masked frames are understood")
    mask = await reader.readexactly(4)
    masked = await reader.readexactly(length)
    return first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))


def seconds(text: str) -> float:
    """`1s`, `250ms` or a plain number of seconds."""
    if text.endswith("ms"):
        return float(text[:-2]) / 1000
    return float(text.removesuffix("s"))


async def _main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    name, port = os.environ.get("NAME", "origin"), int(os.environ.get("PORT", "8080"))
    async with origin(name, port=port, address=os.environ.get("ADDRESS", "127.0.0.1")) as it:
        await stop.wait()
        while os.environ.get("PATIENT") and it.together:
            await asyncio.sleep(_STREAM_STEP_S)


if __name__ == "__main__":
    asyncio.run(_main())
