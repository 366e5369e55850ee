"""A leader serves proxies, and promises nothing before they have come back to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from edgerun.credentials.serving import server_credentials
from edgerun.runtime.leading import REUNION_S, Leading
from edgerun.xds.server import Server
from support.authorities import authority, certificate
from support.poll import eventually
from support.ports import free_port
from support.proxies import listening
from support.xds import Witness


class House:
    """A leading replica with a real server that listens on a port of this machine."""

    def __init__(self) -> None:
        shown = certificate(authority())
        self.complete = False
        self.leading = Leading(
            Server(observer=Witness()), free_port(), lambda: server_credentials(lambda: shown), lambda: self.complete
        )


@asynccontextmanager
async def running() -> AsyncIterator[House]:
    house = House()
    task = asyncio.create_task(house.leading.run(), name="leading")
    try:
        yield house
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_proxies_are_served_while_leading_and_only_then() -> None:
    async with running() as house:
        assert await refuses(house.leading.port)
        for _ in range(2):
            house.leading.gained()
            await listening(house.leading.port)
            await house.leading.leads()
            house.leading.lost()
            await eventually(lambda: not house.leading.listening)
            await eventually(lambda: refuses(house.leading.port))


async def test_nothing_is_promised_before_every_proxy_was_heard_of() -> None:
    async with running() as house:
        house.complete = True
        assert not house.leading.reunited(), "it does not lead"
        house.complete = False
        house.leading.gained()
        await eventually(lambda: house.leading.listening)
        assert not house.leading.reunited()
        house.complete = True
        assert house.leading.reunited()
        house.complete = False
        assert house.leading.reunited(), "a proxy that falls silent later is a fact to tell"
        house.leading.lost()
        assert not house.leading.reunited()
        house.leading.gained()
        assert not house.leading.reunited(), "they have to come back again"


class Nowhere(Server):
    """A server that never gets to listen."""

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> None:
        await asyncio.Event().wait()


@pytest.mark.looptime
async def test_a_proxy_that_never_comes_keeps_nobody_waiting_for_ever() -> None:
    leading = Leading(Nowhere(observer=Witness()), 1, lambda: None, lambda: True)
    leading.gained()
    await asyncio.sleep(REUNION_S - 1)
    assert not leading.reunited(), "nobody can have come to a server that does not listen"
    await asyncio.sleep(1.1)
    assert leading.reunited()
