"""Origins that sleep and wake behind real edges, and a keeper who decides about it: what is no part of the product yet.

A keeper wakes an origin when a proxy asks for it, and puts it to rest in the order that loses no request. Trap: an
origin is a server in this process, another one in each epoch, and it really ends when its epoch is over.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Set
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.on_demand.v3 import on_demand_pb2
from google.protobuf import any_pb2

from edgerun.translate.bootstrap import XDS_CLUSTER
from edgerun.translate.plan import Resource, resource
from edgerun.xds.loads import Loads, Report
from edgerun.xds.server import Server

from .fleet import Proxy, fleet
from .origins import origin
from .poll import eventually
from .xds import Witness, assignment, cluster, resources

FLEET = "default"
HELD_S = 30
_BOOT_S = 60.0


def routes(*targets: str) -> Resource:
    """Everything to the first of these clusters, `/N/` to the others by their place; requests are held where one is not
    there."""
    places = enumerate(targets)
    found = [
        {
            "match": {"prefix": f"/{place}/" if place else "/"},
            "route": {"cluster": target, "timeout": {"seconds": 60}},
            "typed_per_filter_config": {"envoy.filters.http.on_demand": _HOLDING},
        }
        for place, target in places
    ]
    hosts = [{"name": "all", "domains": ["*"], "routes": found[::-1]}]
    return resource("edge", route_pb2.RouteConfiguration(name="edge", virtual_hosts=hosts))


def there(name: str, port: int) -> tuple[Resource, Resource]:
    """A cluster and where it is."""
    return cluster(name), assignment(name, port)


def _packed(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


# Not over ADS: `xds/demand.py` says why.
_SOURCE = {
    "resource_api_version": "V3",
    "initial_fetch_timeout": {"nanos": 10_000_000},
    "api_config_source": {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [
            {
                "envoy_grpc": {
                    "cluster_name": XDS_CLUSTER,
                    "retry_policy": {
                        "retry_back_off": {"base_interval": {"nanos": 100_000_000}, "max_interval": {"seconds": 2}}
                    },
                }
            }
        ],
    },
}
_HOLDING = _packed(
    route_components_pb2.FilterConfig(
        config=_packed(on_demand_pb2.PerRouteConfig(odcds={"source": _SOURCE, "timeout": {"seconds": HELD_S}}))
    )
)


class Heard(Loads[str]):
    """By origin; and every report as it came."""

    def __init__(self) -> None:
        super().__init__(lambda cluster: cluster.partition("~")[0])
        self.reports: list[Report] = []

    def heard(self, reporter: object, report: Report, now: float) -> None:
        self.reports.append(report)
        super().heard(reporter, report, now)


@dataclass(slots=True)
class House:
    """A control plane and its edges. `server` is the one that is there now."""

    directory: Path
    proxies: tuple[Proxy, ...]
    witness: Witness
    loads: Heard
    server: Server

    @property
    def port(self) -> int:
        return self.proxies[0].port

    def publish(self, *some: Resource, cold: Set[str] = frozenset()) -> int:
        return self.server.publish({FLEET: resources(*some)}, {FLEET: cold})

    async def everywhere(self, serial: int) -> None:
        assert await self.server.acknowledged(serial, timeout_s=_BOOT_S)

    async def booted(self) -> None:
        """Every proxy has what was published first, and listens."""
        await eventually(lambda: len(self.server.proxies()) == len(self.proxies), within_s=_BOOT_S)
        await eventually(lambda: all(one.acked_serial for one in self.server.proxies()), within_s=_BOOT_S)
        for proxy in self.proxies:
            await proxy.listening()

    async def restart(self) -> None:
        """Another control plane, that knows nothing so far."""
        await self.server.stop(grace_s=0.2)
        self.server = await _server(self.directory, self.witness, self.loads)


async def _server(directory: Path, witness: Witness, loads: Loads[str]) -> Server:
    server = Server(observer=witness, demands=witness, loads=loads)
    await server.start(f"unix:{directory / 'xds.sock'}")
    return server


@asynccontextmanager
async def house(directory: Path, *names: str, **settings: Any) -> AsyncIterator[House]:
    """`settings` are those of the fleet."""
    witness, loads = Witness(), Heard()
    server = await _server(directory, witness, loads)
    async with fleet(directory, directory / "xds.sock", names or ("one",), **settings) as proxies:
        made = House(directory, proxies, witness, loads, server)
        try:
            yield made
        finally:
            await made.server.stop(grace_s=0.2)


@dataclass(slots=True)
class Sleeper:
    """One origin. `ports` has the epochs that are there."""

    name: str
    epoch: int = 1
    ports: dict[int, int] = field(default_factory=dict)
    running: dict[int, AsyncExitStack] = field(default_factory=dict)

    def called(self, epoch: int) -> str:
        return f"{self.name}~{epoch}"

    @property
    def cluster(self) -> str:
        return self.called(self.epoch)

    @property
    def awake(self) -> bool:
        return self.epoch in self.ports


class Keeper:
    """Wakes every origin that somebody asks for, in `takes_s`, until the block ends."""

    def __init__(self, house: House, *names: str, takes_s: float = 0.05) -> None:
        self.house, self.takes_s = house, takes_s
        self.sleepers = tuple(Sleeper(name) for name in names)
        self.wakes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking: set[str] = set()

    async def __aenter__(self) -> "Keeper":
        self.publish()
        self._spawn(self._tend())
        await self.house.booted()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sleeper in self.sleepers:
            for stack in sleeper.running.values():
                await stack.aclose()

    def publish(self) -> int:
        running = [(one.called(epoch), port) for one in self.sleepers for epoch, port in one.ports.items()]
        some = [one for cluster, port in running for one in there(cluster, port)]
        cold = {sleeper.cluster for sleeper in self.sleepers if not sleeper.awake}
        return self.house.publish(*some, routes(*(sleeper.cluster for sleeper in self.sleepers)), cold=cold)

    async def rest(self, sleeper: Sleeper) -> None:
        """Routes to the next epoch, everywhere; nothing in flight to the last one; its cluster away; then it ends."""
        last, sleeper.epoch = sleeper.epoch, sleeper.epoch + 1
        await self.house.everywhere(self.publish())
        await self._idle(sleeper.called(last))
        del sleeper.ports[last]
        await self.house.everywhere(self.publish())
        await sleeper.running.pop(last).aclose()

    async def _idle(self, cluster: str) -> None:
        async def idle() -> bool:
            active = [await one.counter(f"cluster.{cluster}.upstream_rq_active") for one in self.house.proxies]
            return not any(active)

        await eventually(idle, what=f"nothing in flight to {cluster}")

    async def _tend(self) -> None:
        seen = self.house.server.demand()
        while True:
            for sleeper in self.sleepers:
                if sleeper.cluster in seen and sleeper.cluster not in self._waking:
                    self._waking.add(sleeper.cluster)
                    self._spawn(self._wake(sleeper, sleeper.epoch))
            seen = await self.house.server.demand_other_than(seen)

    async def _wake(self, sleeper: Sleeper, epoch: int) -> None:
        await asyncio.sleep(self.takes_s)
        sleeper.running[epoch] = AsyncExitStack()
        sleeper.ports[epoch] = (await sleeper.running[epoch].enter_async_context(origin(sleeper.called(epoch)))).port
        self.wakes += 1
        self.publish()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="keeper")
        self._tasks.add(task)


async def ask(port: int, path: str = "/", *, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of the answer; the body of the request is sent as fast as it is taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    try:
        writer.write(asked.encode() + body)
        with suppress(OSError):  # it may answer before it has read all of it
            await writer.drain()
        head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split()[1]), answer
    finally:
        writer.close()
