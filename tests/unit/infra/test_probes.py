"""One question to whoever listens on a port: real servers, good ones and others."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from edgerun.infra.probes import answers
from support.authorities import authority, certificate
from support.ports import free_port

ADDRESS = "127.0.0.1"


@asynccontextmanager
async def answering(said: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says so to everybody who asks for something."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(4096):
            writer.write(said)
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, ADDRESS, port, ssl=tls):
        yield port


@pytest.mark.parametrize(
    ("said", "good"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 399 \r\n\r\n", True),
        (b"HTTP/1.1 400 Bad\r\n\r\n", False),
        (b"HTTP/1.1 \r\n\r\n", False),
        (b"no words of HTTP", False),
        (b"x" * 200_000, False),
        (b"", False),
    ],
)
async def test_a_get_wants_a_good_status(said: bytes, good: bool) -> None:
    async with answering(said) as port:
        assert await answers(ADDRESS, port, path="/") is good


async def test_a_certificate_is_believed_whoever_signed_it(tmp_path: Path) -> None:
    pair = certificate(authority()).pair
    (tmp_path / "both.pem").write_text(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "both.pem")
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", context) as port:
        assert await answers(ADDRESS, port, path="/", tls=True)


async def test_nobody_answers_where_nobody_listens() -> None:
    with pytest.raises(OSError, match="Connect call failed"):
        await answers(ADDRESS, free_port())


async def test_who_does_not_accept_is_not_waited_for() -> None:
    async with AsyncExitStack() as stack:
        deaf = stack.enter_context(socket.create_server((ADDRESS, free_port()), backlog=0))
        port = deaf.getsockname()[1]
        with suppress(TimeoutError):
            while True:  # until its queue is full
                stack.enter_context(socket.create_connection((ADDRESS, port), timeout=0.2))
        with pytest.raises(TimeoutError):
            await answers(ADDRESS, port, connect_s=0.1)
