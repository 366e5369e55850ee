"""The server over TLS, with certificates that change while proxies are connected."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest

from edgerun.credentials.authority import Authority
from edgerun.credentials.authority import Server as Certificate
from edgerun.credentials.serving import server_credentials
from edgerun.translate.plan import CLUSTER
from edgerun.xds.server import Server
from support.authorities import NAMES, authority, certificate
from support.proxies import free_port
from support.xds import METHOD, Client, Witness, cluster, connected, fleet, names


@dataclass
class House:
    """The server shows `certificate`, whichever that is when somebody connects."""

    address: str
    authority: Authority
    certificate: Certificate
    server: Server = field(default_factory=lambda: Server(observer=Witness()))

    def current(self) -> Certificate:
        return self.certificate

    def client(self, trusts: Authority, name: str = NAMES[0]) -> AbstractAsyncContextManager[Client]:
        options = [("grpc.ssl_target_name_override", name)]
        return connected(self.address, ca=trusts.certificate.encode(), options=options)

    async def code(self, trusts: Authority, name: str = NAMES[0]) -> grpc.StatusCode:
        """What a call comes to that cannot be made."""
        async with self.client(trusts, name) as client:
            return await client.call.code()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with _house() as house:
        yield house


@asynccontextmanager
async def _house() -> AsyncIterator[House]:
    ours = authority()
    house = House(f"127.0.0.1:{free_port()}", ours, certificate(ours))
    await house.server.start(house.address, server_credentials(house.current))
    house.server.publish(fleet(cluster("a")))
    try:
        yield house
    finally:
        await house.server.stop(grace_s=0.2)


@pytest.mark.parametrize("name", NAMES)
async def test_a_client_that_trusts_our_authority_is_served(house: House, name: str) -> None:
    async with house.client(house.authority, name) as client:
        assert names(await client.ask(CLUSTER)) == ["a"]


async def test_a_client_that_trusts_another_one_does_not_talk_to_us(house: House) -> None:
    assert await house.code(authority()) == grpc.StatusCode.UNAVAILABLE


async def test_we_are_nobody_else(house: House) -> None:
    assert await house.code(house.authority, "kubernetes.default.svc") == grpc.StatusCode.UNAVAILABLE


async def test_who_does_not_speak_tls_is_not_served(house: House) -> None:
    async with grpc.aio.insecure_channel(house.address) as channel:
        assert await channel.stream_stream(METHOD)().code() == grpc.StatusCode.UNAVAILABLE


async def test_a_new_certificate_is_shown_to_whom_connects_and_streams_live_on(house: House) -> None:
    async with house.client(house.authority) as early:
        await early.ask(CLUSTER)
        other = authority()
        house.certificate = certificate(other)
        async with house.client(other) as late:
            assert names(await late.ask(CLUSTER)) == ["a"]
            assert await house.code(house.authority) == grpc.StatusCode.UNAVAILABLE, "the old one is not shown any more"
            house.server.publish(fleet(cluster("a"), cluster("b")))
            assert names(await early.take()) == ["b"]
            assert names(await late.take()) == ["b"]


async def test_who_trusts_both_authorities_notices_nothing(house: House) -> None:
    other = authority()
    both = Authority(house.authority.certificate + other.certificate, "")
    for by in (house.authority, other):
        house.certificate = certificate(by)
        async with house.client(both) as client:
            assert names(await client.ask(CLUSTER)) == ["a"]


async def test_many_certificates_follow_each_other(house: House) -> None:
    for _ in range(20):
        house.certificate = certificate(house.authority)
        async with house.client(house.authority) as client:
            assert names(await client.ask(CLUSTER)) == ["a"]
