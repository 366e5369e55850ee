"""A control plane with a hundred guarded origins, an edge, and those who call: all that a change of keys is felt by.

The control plane is a process of its own (`plane`). Ten guards and one edge are Envoys; the other guards, and one edge
more, are `proxies`: a hundred Envoys are more than two cores can run beside what is measured.
"""

import asyncio
import json
import socket
import ssl
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import memory
import yaml
from callers import Caller
from instance import free_port
from plane import EDGE, NAMESPACE, TRUST_DOMAIN, guard_name, host, origin_key
from proxies import Proxy, connected

from edgerun.infra.envoy import binary
from edgerun.translate.bootstrap import GUARD_HEAP_BYTES, bootstrap
from edgerun.translate.guard import Guard, static_resources
from edgerun.translate.guard_policy import CREDENTIAL_HEADER, POLICIES
from edgerun.translate.identities import (
    AUTHORITIES_SECRET,
    WORKLOAD_SECRET,
    Claim,
    credential_secret,
    guard_fleet,
    origin_id,
    subject,
)
from edgerun.translate.names import ROUTES_NAME
from edgerun.translate.plan import CLUSTER, EXTENSION, LISTENER, ROUTES, SECRET

ORIGINS, REAL = 100, 10
NOBODYS_PORT = 1
EDGES = ("edge", "counting-edge")
HERE = Path(__file__).parent
LISTENS_WITHIN_S = 30.0
LOOK_S = 0.001
_FLAGS = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "error")
_ALL = ("*",)
_COMMON = (WORKLOAD_SECRET, AUTHORITIES_SECRET)


@dataclass(slots=True)
class Ring:
    """`guards` and `edge` are the proxies that count; `ports` those of the guards that are Envoys, of the first
    origins. `start_ms` is what each of these took from being started until it listened."""

    plane: Process
    folder: Path
    ports: Sequence[int]
    edge_port: int
    guards: Sequence[Proxy]
    edge: Proxy
    start_ms: list[float] = field(default_factory=list)
    memory_mib: list[dict[str, float]] = field(default_factory=list)

    async def tell(self, what: str) -> dict[str, float]:
        """What the control plane says when it is done."""
        assert self.plane.stdin
        assert self.plane.stdout
        self.plane.stdin.write(f"{what}\n".encode())
        line = await self.plane.stdout.readline()
        if not line:
            raise RuntimeError("the control plane has ended")
        found: dict[str, float] = json.loads(line)
        return found

    def received(self) -> dict[str, float]:
        """Bytes so far, of a guard and of an edge."""
        return {"guard_bytes": median(one.received for one in self.guards), "edge_bytes": self.edge.received}

    def caller(self) -> Caller:
        """Of an origin, through the edge."""
        return Caller(self.edge_port, {"host": host(0)})

    def strangers(self) -> list[Caller]:
        """Each calls a guard itself, as the edge would now, and goes on with the token of now."""
        tls = self._as_edge()
        tokens = [self.edge.secrets[_credential(number)] for number in range(len(self.ports))]
        headers = [{"host": "app", CREDENTIAL_HEADER: one.generic_secret.secret.inline_string} for one in tokens]
        return [Caller(port, shown, tls) for port, shown in zip(self.ports, headers, strict=True)]

    def _as_edge(self) -> ssl.SSLContext:
        pair = self.edge.secrets[WORKLOAD_SECRET].tls_certificate
        file = self.folder / "edge.pem"
        file.write_text(pair.certificate_chain.inline_string + pair.private_key.inline_string)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(file)
        return context


@asynccontextmanager
async def ring(*, overlap_s: float, period_s: float) -> AsyncIterator[Ring]:
    """Everything at work, and all that there is known to all. `overlap_s` is the policy's,
    `period_s` that between two looks at the keys."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgerun-bench-")))
        ports, app_port, edge_port = [free_port() for _ in range(REAL)], free_port(), free_port()
        plane = await stack.enter_async_context(_plane(folder, edge_port, ports, overlap_s, period_s))
        guards = [_counting_guard(number) for number in range(REAL, ORIGINS)]
        edge = _counting_edge()
        found = Ring(plane, folder, ports, edge_port, guards, edge)
        await stack.enter_async_context(connected(folder / "xds.sock", [*guards, edge]))
        await stack.enter_async_context(_envoy(_app(app_port), app_port))
        for number, port in enumerate(ports):
            began = time.perf_counter()
            process = await stack.enter_async_context(_envoy(_guard(folder, number, port, app_port), port))
            found.start_ms.append(1000 * (time.perf_counter() - began))
            found.memory_mib.append(memory.mib(process.pid))
        await stack.enter_async_context(_envoy(_edge(folder), edge_port))
        await found.tell("tidy")
        yield found


@asynccontextmanager
async def _plane(
    folder: Path, edge_port: int, ports: Sequence[int], overlap_s: float, period_s: float
) -> AsyncIterator[Process]:
    nobodys = [NOBODYS_PORT] * (ORIGINS - len(ports))
    settings = (folder, edge_port, ",".join(EDGES), overlap_s, period_s, *ports, *nobodys)
    command = [sys.executable, str(HERE / "plane.py"), *map(str, settings)]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        await _until((folder / "xds.sock").exists, process)
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def _envoy(config: dict[str, Any], port: int) -> AsyncIterator[Process]:
    """It listens on that port when the block begins."""
    process = await asyncio.create_subprocess_exec(
        *(binary(), "--config-yaml", json.dumps(config), *_FLAGS), stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await _until(lambda: _listens(port), process)
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _until(condition: Callable[[], bool], process: Process) -> None:
    async with asyncio.timeout(LISTENS_WITHIN_S):
        while not condition():
            if process.returncode is not None:
                raise RuntimeError(f"a process of the benchmark has ended with {process.returncode}")
            await asyncio.sleep(LOOK_S)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _app(port: int) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((HERE / "origin.yaml").read_text().replace("$(PORT)", str(port)))
    return config


def _edge(folder: Path) -> dict[str, Any]:
    name = EDGES[0]
    return bootstrap(node_id=name, cluster=EDGE, xds_socket=folder / "xds.sock", admin_socket=folder / f"{name}.sock")


def _guard(folder: Path, number: int, port: int, app_port: int) -> dict[str, Any]:
    origin, name = origin_key(number), guard_name(number)
    guard = Guard(origin=origin, trust_domain=TRUST_DOMAIN, app_port=app_port, listen_port=port, address="127.0.0.1")
    return bootstrap(
        node_id=name,
        cluster=guard_fleet(origin),
        xds_socket=folder / "xds.sock",
        admin_socket=folder / f"{name}.sock",
        max_heap_bytes=GUARD_HEAP_BYTES,
        static=static_resources(guard),
    )


def _counting_guard(number: int) -> Proxy:
    wanted = {CLUSTER: _ALL, SECRET: _COMMON, EXTENSION: POLICIES, LISTENER: _ALL}
    return Proxy(guard_name(number), guard_fleet(origin_key(number)), wanted)


def _counting_edge() -> Proxy:
    secrets = [*_COMMON, *(_credential(number) for number in range(ORIGINS))]
    return Proxy(EDGES[1], EDGE, {CLUSTER: _ALL, SECRET: secrets, LISTENER: _ALL, ROUTES: [ROUTES_NAME]})


def _credential(number: int) -> str:
    """The name of what routes show to that origin."""
    return credential_secret(Claim(subject(NAMESPACE, "default"), origin_id(TRUST_DOMAIN, origin_key(number))))
