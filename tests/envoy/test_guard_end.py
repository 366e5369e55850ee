"""The end of a guard's pod, as a kubelet does it: the app is gone, and its last answer is still on its way."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from edgerun.infra.draining import drain
from guard.guarded import Guarded, bearer, guard, guarded, token
from support.tokens import Key

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio]
KEY = Key("k1")
BODY_BYTES = 24 << 20  # more than the kernel keeps for a process that has ended
PIECE_BYTES = 64 << 10


@dataclass
class LastAnswer:
    """An app that has answered once and is gone, as far as it can tell."""

    port: int
    said: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def leaving() -> AsyncIterator[LastAnswer]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BODY_BYTES + bytes(BODY_BYTES))
        writer.close()
        await writer.wait_closed()
        app.said.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    app = LastAnswer(server.sockets[0].getsockname()[1])
    async with server:
        yield app


@dataclass
class Caller:
    """Reads no more than it must until the app is gone."""

    reader: asyncio.StreamReader
    got: int = 0

    async def until_gone(self, app: LastAnswer) -> None:
        await self.reader.readuntil(b"\r\n\r\n")
        while not app.said.is_set():
            self.got += len(await self.reader.read(PIECE_BYTES))
            await asyncio.sleep(0.001)
        assert self.got < BODY_BYTES, "there is something to lose"

    async def all_there_is(self) -> int:
        with suppress(ConnectionResetError):
            while self.got < BODY_BYTES and (piece := await self.reader.read(PIECE_BYTES)):
                self.got += len(piece)
        return self.got


@asynccontextmanager
async def calling(running: Guarded, app: LastAnswer) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.guard.listen_port, limit=PIECE_BYTES)
    try:
        headers = "".join(f"{name}: {value}\r\n" for name, value in bearer(token(KEY)))
        writer.write(f"GET / HTTP/1.1\r\nhost: cart\r\n{headers}\r\n".encode())
        caller = Caller(reader)
        await caller.until_gone(app)
        yield caller
    finally:
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()


async def ended(running: Guarded, *, hook: bool) -> None:
    """As a kubelet does it when the other containers are gone."""
    if hook:
        await drain(running.envoy.admin, timeout_s=20, say=lambda said: None, least_s=0.1)
    running.envoy.process.send_signal(signal.SIGTERM)
    await running.envoy.process.wait()


async def test_what_the_app_has_said_arrives_when_the_guard_drains_before_it_is_ended() -> None:
    async with leaving() as app, guarded(guard(KEY, app_port=app.port)) as running:
        async with calling(running, app) as caller:
            ending = asyncio.create_task(ended(running, hook=True), name="the end")
            assert await caller.all_there_is() == BODY_BYTES
        await ending


async def test_a_guard_that_is_ended_at_once_drops_it() -> None:
    """Why a guard has a preStop hook, although it is ended after the app."""
    async with (
        leaving() as app,
        guarded(guard(KEY, app_port=app.port)) as running,
        calling(running, app) as caller,
    ):
        await ended(running, hook=False)
        assert await caller.all_there_is() < BODY_BYTES
