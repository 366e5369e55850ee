"""The server over TLS, with certificates that change while proxies are connected."""

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest

from edgerun.credentials.authority import Authority, Leaf
from edgerun.credentials.serving import server_credentials
from edgerun.identity import Account, Reason, Unproven
from edgerun.translate.plan import CLUSTER
from edgerun.xds import server as module
from edgerun.xds.authentication import Authenticator
from edgerun.xds.server import Server
from support.authorities import NAMES, authority, certificate
from support.ports import free_port
from support.xds import METHOD, Client, Witness, cluster, connected, fleet, names


@dataclass
class House:
    """The server shows `certificate`, whichever that is when somebody connects."""

    address: str
    authority: Authority
    certificate: Leaf
    server: Server

    def current(self) -> Leaf:
        return self.certificate

    def client(
        self, trusts: Authority, name: str = NAMES[0], *, token: str = ""
    ) -> AbstractAsyncContextManager[Client]:
        options = [("grpc.ssl_target_name_override", name)]
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return connected(self.address, ca=trusts.certificate.encode(), options=options, metadata=metadata)

    async def code(self, trusts: Authority, name: str = NAMES[0]) -> grpc.StatusCode:
        """What a call comes to that cannot be made."""
        async with self.client(trusts, name) as client:
            return await client.call.code()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with _house() as house:
        yield house


@asynccontextmanager
async def _house(authenticate: Authenticator | None = None) -> AsyncIterator[House]:
    ours, server = authority(), Server(observer=Witness(), authenticate=authenticate)
    house = House(f"127.0.0.1:{free_port()}", ours, certificate(ours), server)
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


async def test_who_has_the_right_certificates_and_no_token_gets_nothing() -> None:
    async def review(token: str) -> Account | Unproven:
        known = token == "good"
        return Account("system:serviceaccount:edgerun:edge-edge") if known else Unproven(Reason.REJECTED, "unknown")

    async with _house(authenticate=Authenticator(review, namespace="edgerun")) as house:
        assert await house.code(house.authority) == grpc.StatusCode.UNAUTHENTICATED
        async with house.client(house.authority, token="good") as client:
            assert names(await client.ask(CLUSTER)) == ["a"]


async def test_who_connects_and_says_nothing_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"grpc.server_handshake_timeout_ms": 200, "grpc.max_connection_idle_ms": 200}
    monkeypatch.setattr(module, "_OPTIONS", tuple((dict(module._OPTIONS) | short).items()))
    async with _house() as house, house.client(house.authority) as client:
        host, _, port = house.address.partition(":")
        await client.ask(CLUSTER)
        silent, half = await asyncio.open_connection(host, int(port))
        trust = ssl.create_default_context(cadata=house.authority.certificate)
        trust.set_alpn_protocols(["h2"])
        idle, other = await asyncio.open_connection(host, int(port), ssl=trust, server_hostname=NAMES[0])
        async with asyncio.timeout(60):
            await silent.read()
            await idle.read()
        half.close()
        other.close()
        house.server.publish(fleet(cluster("b")))
        assert names(await client.take()) == ["b"], "a proxy that only listens is none of them"


async def test_handshakes_that_fail_write_nothing_into_the_log() -> None:
    script = (
        "import asyncio\n"
        "from edgerun.credentials.serving import server_credentials\n"
        "from edgerun.xds.server import Server\n"
        "from support import authorities, ports, xds\n"
        "async def main():\n"
        "    shown, port = authorities.certificate(authorities.authority()), ports.free_port()\n"
        "    server = Server(observer=xds.Witness())\n"
        "    await server.start(f'127.0.0.1:{port}', server_credentials(lambda: shown))\n"
        "    reader, writer = await asyncio.open_connection('127.0.0.1', port)\n"
        "    writer.write(b'GET / HTTP/1.1\\r\\n\\r\\n')\n"
        "    await reader.read()\n"
        "    await server.stop(0)\n"
        "    print('done')\n"
        "asyncio.run(main())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert output == b"done\n"
