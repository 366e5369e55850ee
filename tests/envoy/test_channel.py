"""How a real Envoy with an edge pod's bootstrap reaches the control plane, and goes on doing so when files change."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edgerun.credentials.authority import Authority
from edgerun.credentials.serving import server_credentials
from edgerun.identity import Account, Reason, Unproven
from edgerun.translate.bootstrap import ADMIN_CLUSTER, pod_bootstrap
from edgerun.translate.channel import CA_CERTIFICATES, Channel, sds_files
from edgerun.translate.plan import Resource
from edgerun.xds.authentication import Authenticator
from edgerun.xds.server import Server
from support.authorities import NAMES, authority, certificate
from support.poll import eventually
from support.ports import free_port
from support.proxies import Envoy, listening
from support.volumes import Volume
from support.xds import Witness, listener, resources, route_table

pytestmark = pytest.mark.envoy
FLEET = "shop"
ENVOY = shutil.which("envoy", path=str(Path(sys.executable).parent))


class Desk:
    """The API server's part: it knows one token."""

    def __init__(self) -> None:
        self.good, self.asked = "first", list[str]()

    async def __call__(self, token: str) -> Account | Unproven:
        self.asked.append(token)
        if token != self.good:
            return Unproven(Reason.REJECTED, "it is not the one")
        return Account(f"system:serviceaccount:edgerun:edge-{FLEET}", pod=f"edge-{FLEET}-1")


@dataclass
class ControlPlane:
    """One that can be replaced by another at the same address, as when another replica leads."""

    desk: Desk
    authority: Authority
    port: int = field(default_factory=free_port)
    witness: Witness = field(default_factory=Witness)
    server: Server | None = None

    async def start(self, *some: Resource) -> Server:
        shown = certificate(self.authority)
        server = Server(observer=self.witness, authenticate=Authenticator(self.desk, namespace="edgerun"))
        await server.start(f"127.0.0.1:{self.port}", server_credentials(lambda: shown))
        server.publish({FLEET: resources(*some), "other": resources(listener("other", 1))})
        self.server = server
        return server

    async def restart(self, *some: Resource) -> Server:
        await self.stop()
        return await self.start(*some)

    async def stop(self) -> None:
        if self.server:
            await self.server.stop(grace_s=0.2)
            self.server = None


@dataclass(frozen=True)
class Pod:
    """An Envoy with a ConfigMap and a projected token. `resources` is an edge that answers with the pod's metrics."""

    envoy: Envoy
    config: Volume
    token: Volume
    port: int

    @property
    def resources(self) -> tuple[Resource, ...]:
        return edge(self.port)

    def trust(self, *authorities: Authority) -> None:
        self.config.write(config_map(self.config.folder, self.token.folder, *authorities))

    def answer(self) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/stats/prometheus")
            response = connection.getresponse()
            assert response.status == 200
            return response.read()
        finally:
            connection.close()


def edge(port: int) -> tuple[Resource, ...]:
    return listener("edge", port), route_table("edge", ADMIN_CLUSTER)


def config_map(config: Path, token: Path, *authorities: Authority) -> dict[str, str]:
    bundle = "".join(one.certificate for one in authorities)
    return {**sds_files(config_folder=config, token_file=token / "token"), CA_CERTIFICATES: bundle}


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield Path(directory)


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    plane = ControlPlane(Desk(), authority())
    yield plane
    await plane.stop()


@pytest.fixture
async def pod(folder: Path, plane: ControlPlane) -> AsyncIterator[Pod]:
    async with running(folder, plane.port, plane.authority) as pod:
        yield pod


@asynccontextmanager
async def running(folder: Path, xds_port: int, trusted: Authority) -> AsyncIterator[Pod]:
    config, token, admin = Volume(folder / "config"), Volume(folder / "secret"), folder / "admin.sock"
    config.write(config_map(config.folder, token.folder, trusted))
    token.write({"token": "first"})
    channel = Channel("localhost", xds_port, server_name=NAMES[0])
    bootstrap = pod_bootstrap(fleet=FLEET, channel=channel, admin_socket=admin, config_folder=config.folder)
    assert ENVOY, "the wheel's Envoy is not installed"
    flags = ("--service-node", "whoever", "--disable-hot-restart", "--concurrency", "1", "--log-level", "error")
    process = await asyncio.create_subprocess_exec(ENVOY, "--config-yaml", json.dumps(bootstrap), *flags)
    try:
        yield Pod(Envoy(process, admin), config, token, free_port())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def served(server: Server) -> None:
    """Returns when the pod is connected and has taken everything."""

    async def check() -> bool:
        return bool(server.proxies()) and await server.acknowledged(1, timeout_s=0.1)

    await eventually(check)


async def test_a_pod_is_known_by_its_token_and_shows_its_own_metrics(plane: ControlPlane, pod: Pod) -> None:
    server = await plane.start(*pod.resources)
    await served(server)
    assert [(one.id, one.fleet) for one in server.proxies()] == [(f"edge-{FLEET}-1", FLEET)]
    await listening(pod.port)
    assert b"envoy_server_live" in await asyncio.to_thread(pod.answer)
    assert plane.desk.asked == ["first"]
    assert await pod.envoy.stat("listener_manager.total_listeners_active") == 1, "the other fleet's is not here"


async def test_a_new_token_is_shown_with_the_next_stream(plane: ControlPlane, pod: Pod) -> None:
    await served(await plane.start(*pod.resources))
    pod.token.write({"token": "second"})
    plane.desk.good = "second"
    await served(await plane.restart(*pod.resources))
    assert plane.desk.asked[-1] == "second"


async def test_a_pod_whose_token_is_refused_serves_on_and_comes_again(plane: ControlPlane, pod: Pod) -> None:
    await served(await plane.start(*pod.resources))
    plane.desk.good = "another"
    server = await plane.restart(*pod.resources)
    await eventually(lambda: plane.desk.asked.count("first") > 3)
    assert server.proxies() == ()
    assert await asyncio.to_thread(pod.answer)
    plane.desk.good = "first"
    await served(server)


async def test_an_authority_follows_another_and_nothing_is_lost(plane: ControlPlane, pod: Pod) -> None:
    await served(await plane.start(*pod.resources))
    await listening(pod.port)
    old, new = plane.authority, authority()
    async with asking(pod):
        pod.trust(old, new)
        await served(await plane.restart(*pod.resources))
        plane.authority = new
        await served(await plane.restart(*pod.resources))
        pod.trust(new)
        await served(await plane.restart(*pod.resources))
    assert await pod.envoy.stat("listener_manager.listener_modified") == 0


async def test_a_connection_lives_on_when_its_authority_is_trusted_no_more(plane: ControlPlane, pod: Pod) -> None:
    server = await plane.start(*pod.resources)
    await served(server)
    pod.trust(authority())
    serial = server.publish({FLEET: resources(*pod.resources[:1], route_table("edge", ADMIN_CLUSTER, ADMIN_CLUSTER))})
    assert await server.acknowledged(serial, timeout_s=60)
    assert plane.witness.events == [("connected", f"edge-{FLEET}-1")]


async def test_a_server_of_an_authority_that_is_not_trusted_is_not_talked_to(plane: ControlPlane, pod: Pod) -> None:
    ours, plane.authority = plane.authority, authority()
    server = await plane.start(*pod.resources)

    async def refused() -> bool:
        return await pod.envoy.stat("cluster.xds.upstream_cx_connect_fail") > 1

    await eventually(refused)
    assert plane.desk.asked == [], "the token was shown to a stranger"
    assert server.proxies() == ()
    pod.trust(ours, plane.authority)
    await served(server)


async def test_a_leader_that_fell_silent_is_left_for_the_next_one(folder: Path, plane: ControlPlane) -> None:
    heir = ControlPlane(plane.desk, plane.authority)
    async with service(plane.port) as address, running(folder, address.port, plane.authority) as pod:
        await served(await plane.start(*pod.resources))
        server = await heir.start(*pod.resources)
        try:
            address.freeze(heir.port)
            await served(server)  # 10 s until the pod asks whether anybody is there, and 5 s for an answer
        finally:
            await heir.stop()


@asynccontextmanager
async def asking(pod: Pod) -> AsyncIterator[None]:
    """Somebody asks the pod all the time, and every request is answered."""
    stopped = asyncio.Event()

    async def ask() -> int:
        count = 0
        while not stopped.is_set():
            assert await asyncio.to_thread(pod.answer)
            count += 1
        return count

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ask(), name="asking")
        yield
        stopped.set()
    assert task.result() > 10


@dataclass
class Service:
    """An address in front of whoever leads."""

    port: int
    backend: int
    connections: list[asyncio.Task[None]] = field(default_factory=list)
    frozen: asyncio.Event = field(default_factory=asyncio.Event)

    def freeze(self, backend: int) -> None:
        """What is connected stays so and hears nothing more; whoever connects from now on gets to `backend`."""
        self.frozen.set()
        self.backend, self.frozen = backend, asyncio.Event()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(asyncio.create_task(self._forward(reader, writer), name="connection"))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.backend)
        pumps = _pump(reader, back, self.frozen), _pump(there, writer, self.frozen)
        try:
            await asyncio.gather(*pumps)
        finally:
            back.close()
            writer.close()


@asynccontextmanager
async def service(backend: int) -> AsyncIterator[Service]:
    service = Service(free_port(), backend)
    async with await asyncio.start_server(service.accept, "127.0.0.1", service.port):
        yield service
        for connection in service.connections:
            connection.cancel()
        await asyncio.gather(*service.connections, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, frozen: asyncio.Event) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            if not frozen.is_set():
                target.write(data)
                await target.drain()
    if not frozen.is_set():
        target.close()
