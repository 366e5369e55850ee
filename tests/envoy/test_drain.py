"""How the Envoy of a pod leaves: it says that it will, takes what still comes, and waits for what it has begun."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edgerun.infra.draining import drain
from edgerun.translate.bootstrap import ADMIN_CLUSTER, bootstrap, pod_bootstrap
from edgerun.translate.channel import Channel
from edgerun.translate.translator import translate
from edgerun.translate.world import Edge
from edgerun.xds.server import Server
from support.objects import edge_route, world
from support.poll import eventually
from support.ports import free_port
from support.proxies import listening
from support.xds import Witness

pytestmark = pytest.mark.envoy
ENVOY = Path(sys.executable).with_name("envoy")
HOST = "a.test"


@dataclass(frozen=True)
class Pod:
    port: int
    probes_port: int
    admin: Path

    async def probe(self, path: str, method: str = "GET") -> tuple[int, str]:
        return await ask(self.probes_port, path, method)


async def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """One request on a connection of its own, which the client closes: a draining Envoy leaves that to it for 6 s."""
    return await asyncio.to_thread(_ask, port, path, method)


def _ask(port: int, path: str, method: str) -> tuple[int, str]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers={"host": HOST})
        response = connection.getresponse()
        return response.status, response.read().decode()


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield Path(directory)


@pytest.fixture
async def pod(folder: Path) -> AsyncIterator[Pod]:
    async with running(folder) as pod:
        yield pod


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Pod]:
    """An Envoy with the listeners and the flags of a pod, whose control plane is on this machine."""
    pod = Pod(free_port(), free_port(), folder / "admin.sock")
    server, socket = Server(observer=Witness()), folder / "xds.sock"
    await server.start(f"unix:{socket}")
    route = edge_route("web", hostnames=[HOST], rules=[{"respond": {"body": "hello"}}])
    server.publish(translate(world(route, edge=Edge(port=pod.port, probes_port=pod.probes_port))).fleets)
    config = bootstrap(node_id="one", cluster="default", xds_socket=socket, admin_socket=pod.admin)
    of_pod = pod_bootstrap(fleet="default", channel=Channel("x", 1), admin_socket=pod.admin)  # type: ignore[arg-type]
    clusters = of_pod["static_resources"]["clusters"]
    config["static_resources"]["clusters"] += [one for one in clusters if one["name"] == ADMIN_CLUSTER]
    flags = ("--drain-time-s", "30", "--drain-strategy", "immediate", "--disable-hot-restart", "--log-level", "error")
    command = (ENVOY, "--config-yaml", json.dumps(config), "--concurrency", "2", *flags)
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    try:
        await listening(pod.port)
        yield pod
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await server.stop(grace_s=0.2)


async def test_the_kubelet_hears_whether_it_is_ready_and_prometheus_how_it_fares(pod: Pod) -> None:
    assert await pod.probe("/ready") == (200, "")
    status, metrics = await pod.probe("/metrics")
    assert status == 200
    assert "# TYPE envoy_server_live gauge" in metrics
    for path in ("/", "/stats", "/ready/", "/metrics/x", "/quitquitquit", "/metrics/../config_dump"):
        assert (await pod.probe(path))[0] == 404, path
    assert (await pod.probe("/metrics", "POST"))[0] == 404
    assert (await ask(pod.port, "/ready")) == (200, "hello"), "clients see their site, not the probe"


async def test_it_says_that_it_leaves_and_still_takes_what_comes(pod: Pod) -> None:
    said: list[str] = []
    task = asyncio.create_task(drain(pod.admin, timeout_s=20, say=said.append, least_s=1.5))
    began = time.monotonic()
    await eventually(lambda: unready(pod))
    assert await ask(pod.port, "/") == (200, "hello")
    assert (await pod.probe("/metrics"))[0] == 200
    await task
    assert time.monotonic() - began >= 1.5, said
    assert said[0].startswith("no client is connected any more, after")


async def unready(pod: Pod) -> bool:
    return (await pod.probe("/ready"))[0] == 503


async def test_it_waits_for_a_client_that_stays_but_not_for_ever(pod: Pod) -> None:
    said: list[str] = []
    _, writer = await asyncio.open_connection("127.0.0.1", pod.port)
    began = time.monotonic()
    try:
        await drain(pod.admin, timeout_s=2, say=said.append, least_s=0.2)
    finally:
        writer.close()
    assert time.monotonic() - began >= 2
    assert said == ["1 clients are still connected after 2 s"]


async def test_it_ends_as_soon_as_the_last_client_has_gone(pod: Pod) -> None:
    said: list[str] = []
    _, writer = await asyncio.open_connection("127.0.0.1", pod.port)
    task = asyncio.create_task(drain(pod.admin, timeout_s=600, say=said.append, least_s=0.2))
    await asyncio.sleep(1)
    assert not task.done()
    writer.close()
    await task
    assert said[0].startswith("no client is connected any more, after")


async def test_no_request_is_lost_while_those_who_balance_hear_of_it_late(pod: Pod) -> None:
    """Clients come on new connections for a second after it has begun, and leave when they are told to."""
    heard, answered = asyncio.Event(), 0

    async def client() -> None:
        nonlocal answered
        while not heard.is_set():
            reader, writer = await asyncio.open_connection("127.0.0.1", pod.port)
            closing = False
            while not closing:
                writer.write(f"GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert head.startswith(b"http/1.1 200 ")
                assert await reader.readexactly(5) == b"hello"
                answered += 1
                closing = b"connection: close" in head
                await asyncio.sleep(0.005)
            writer.close()

    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(client(), name=f"client {number}")
        await eventually(lambda: answered > 50)
        before = answered
        draining = tasks.create_task(drain(pod.admin, timeout_s=600, say=print, least_s=1.0))
        await asyncio.sleep(1)
        await eventually(lambda: answered > before + 50, what="it takes new connections meanwhile")
        heard.set()
        await draining
