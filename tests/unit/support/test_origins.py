"""The echo origin, spoken to over a socket in plain bytes."""

import asyncio
import base64
import hashlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support import origins
from support.origins import Origin, origin, seconds
from support.poll import eventually


async def answer(port: int, request: bytes) -> bytes:
    """Everything the origin sends until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read(-1)
    finally:
        writer.close()
        await writer.wait_closed()


async def echo(cart: Origin, request: bytes) -> dict[str, Any]:
    head, _, body = (await answer(cart.port, request)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK"), head
    seen: dict[str, Any] = json.loads(body)
    return seen


async def test_it_tells_what_it_saw() -> None:
    async with origin("cart") as cart:
        seen = await echo(
            cart, b"GET /a%20b?x=1&x=2 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n"
        )
        assert seen == {
            "name": "cart",
            "method": "GET",
            "path": "/a%20b?x=1&x=2",
            "headers": [["Host", "h"], ["X-A", "1"], ["x-a", "2"], ["Connection", "close"]],
            "bodyLength": 0,
            "bodySha256": hashlib.sha256(b"").hexdigest(),
            "together": 1,
        }
        assert [request.target for request in cart.requests] == ["/a%20b?x=1&x=2"]


async def test_one_connection_carries_many_requests() -> None:
    async with origin() as up:
        one = b"GET /%d?size=3 HTTP/1.1\r\n\r\n"
        received = await answer(up.port, one % 1 + one % 2 + b"GET /3?size=3 HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert received.count(b"content-length: 3\r\n\r\nxxx") == 3


@pytest.mark.parametrize(
    "body",
    [
        b"content-length: 5\r\n\r\nhello",
        b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\ntrailer: 1\r\n\r\n",
        b"content-length: 5\r\nexpect: 100-continue\r\n\r\nhello",
    ],
    ids=["content-length", "chunked", "expect"],
)
async def test_bodies_are_counted_however_they_are_framed(body: bytes) -> None:
    async with origin() as up:
        received = await answer(up.port, b"POST / HTTP/1.1\r\nconnection: close\r\n" + body)
        assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\n") == (b"expect" in body)
        assert json.loads(received.rpartition(b"\r\n\r\n")[2])["bodyLength"] == 5


async def test_parameters_steer_the_answer() -> None:
    async with origin() as up:
        started = time.monotonic()
        received = await answer(up.port, b"GET /?delay=50ms&status=503&size=9 HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert time.monotonic() - started >= 0.05
        assert received.startswith(b"HTTP/1.1 503 Service Unavailable")
        assert received.endswith(b"\r\n\r\nxxxxxxxxx")


async def test_a_stream_comes_in_chunks_over_time() -> None:
    async with origin("cart") as cart:
        received = await answer(cart.port, b"GET /?stream=0.3 HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert received.endswith(b"\r\n\r\n7\r\ncart 0\n\r\n7\r\ncart 1\n\r\n7\r\ncart 2\n\r\n0\r\n\r\n")


async def test_an_upgrade_becomes_a_websocket_that_echoes() -> None:
    # The key and what must become of it: the example of RFC 6455, section 1.3.
    key, accepted = base64.b64encode(b"the sample nonce"), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    mask, masked = b"\x01\x02\x03\x04", bytes(a ^ b for a, b in zip(b"hi!!", b"\x01\x02\x03\x04", strict=True))
    frames = b"\x81\x84" + mask + masked + b"\x89\x84" + mask + masked + b"\x88\x80" + mask
    async with origin() as up:
        upgrade = b"GET /chat HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: " + key
        head, _, rest = (await answer(up.port, upgrade + b"\r\n\r\n" + frames)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-accept: " + accepted in head
        assert rest == b"\x81\x04hi!!" + b"\x8a\x04hi!!" + b"\x88\x00"


async def test_leaving_the_block_cuts_a_request_that_is_being_answered_without_complaint() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    async with origin() as up:
        pending = asyncio.create_task(answer(up.port, b"GET /?delay=60s HTTP/1.1\r\n\r\n"), name="pending")
        await eventually(lambda: up.requests)
    assert await pending == b""
    assert not complaints


async def test_it_runs_as_a_process_of_its_own_and_ends_on_sigterm() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "NAME": "alone"}
    process = await asyncio.create_subprocess_exec(sys.executable, str(Path(origins.__file__)), env=environment)
    received = await eventually(lambda: answer(port, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n"))
    assert b'"name": "alone"' in received
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 60) == 0


@pytest.mark.parametrize(("text", "expected"), [("1s", 1.0), ("250ms", 0.25), ("0.5", 0.5), ("0", 0.0)])
def test_durations_are_read(text: str, expected: float) -> None:
    assert seconds(text) == expected
