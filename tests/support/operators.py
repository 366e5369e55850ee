"""Operators as processes that can be killed and stopped, each behind a proxy of its own that tells what it wrote.

What kube-proxy does for a cluster is done here by `leader_found`: whoever connects gets to the replica that the
EndpointSlice names, which is how the Envoy of an edge pod follows the leader.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from edgerun.errors import ApiError
from edgerun.infra.kubernetes.client import Client

from . import hurried
from .apiserver import kubeconfig
from .faults import FaultyApi
from .installation import IMAGE, Installation
from .ports import free_port

LOOK_S = 1.0  # kube-proxy needs no API server for what it knows already


@dataclass(slots=True)
class Operator:
    """`ports` are those of the edge and of its probes, `pod_ip` is what is published and never called."""

    place: Installation
    api: FaultyApi
    folder: Path
    ports: tuple[int, int]
    name: str = "edgerun-0"
    pod_ip: str = "10.1.2.3"
    xds_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    starts: int = 0
    _process: Process | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        self.starts += 1
        command = [sys.executable, "-P", hurried.__file__, *map(str, self.ports), "controller", *self._flags()]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("EDGERUN_", "POD_"))}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, env=kept, stderr=log)

    def signal(self, number: signal.Signals) -> None:
        assert self._process
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def kill(self) -> None:
        if self._process:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    async def ended(self) -> None:
        assert self._process
        await self._process.wait()

    @property
    def _log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def _flags(self) -> list[str]:
        flags = {
            "namespace": self.place.namespace,
            "pod-name": self.name,
            "pod-ip": self.pod_ip,
            "image": IMAGE,
            "xds-port": self.xds_port,
            "http-port": self.http_port,
            "watch-namespace": self.place.shop,
            "default-edge-proxy": '{"serviceType": "ClusterIP", "replicas": 1}',
            "kubeconfig": kubeconfig(self.folder / f"{self.name}.kubeconfig", self.api.address),
        }
        return [part for name, value in flags.items() for part in (f"--{name}", str(value))]


@asynccontextmanager
async def operator(
    place: Installation, folder: Path, ports: tuple[int, int], *, name: str = "edgerun-0", pod_ip: str = "10.1.2.3"
) -> AsyncIterator[Operator]:
    """Not started yet; gone when the block is left."""
    async with FaultyApi.before(place.server.kubeconfig) as api:
        one = Operator(place, api, folder, ports, name, pod_ip)
        try:
            yield one
        finally:
            await one.kill()
            print(f"--- log of {name}\n{one.log}")  # pytest shows it when a test fails


@asynccontextmanager
async def leader_found(client: Client, place: Installation) -> AsyncIterator[int]:
    """The port on which every new connection is led to whoever leads."""
    service = _Service(client, place)
    server = await asyncio.start_server(service.lead, "127.0.0.1")
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tuple(service.connections):
            task.cancel()
        await asyncio.gather(*service.connections, return_exceptions=True)


@dataclass(slots=True)
class _Service:
    client: Client
    place: Installation
    connections: set[asyncio.Task[None]] = field(default_factory=set)
    _port: int = 0

    def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._lead(reader, writer), name="connection to the leader")
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", await self._leader())
                try:
                    await _first((lambda: _copy(reader, back), lambda: _copy(there, writer)))
                finally:
                    back.transport.abort()
        finally:
            writer.transport.abort()

    async def _leader(self) -> int:
        with suppress(ApiError):
            found = await self.client.get(self.place.key("EndpointSlice", "edgerun-xds-leader"), timeout_s=LOOK_S)
            self._port = found["ports"][0]["port"]
        return self._port


async def _first(works: tuple[Callable[[], Awaitable[None]], ...]) -> None:
    """When one ends, all do."""
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
