"""The server and the real Envoy: what the protocol's documents leave open, the binary decides."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.route.v3 import route_pb2

from edgerun.translate.plan import CLUSTER, ROUTES, Resource, resource
from edgerun.xds.server import Server
from support.load import load
from support.origins import origin
from support.poll import PATIENCE_S, eventually
from support.ports import free_port
from support.proxies import Envoy, envoy, listening
from support.xds import Witness, assignment, cluster, fleet, listener, route_table

pytestmark = pytest.mark.envoy

BOOT_S = 60.0


@dataclass(frozen=True, slots=True)
class Edge:
    """A control plane and the port on which its proxies serve."""

    directory: Path
    port: int
    origin: int
    witness: Witness

    @property
    def xds(self) -> Path:
        return self.directory / "xds.sock"

    def resources(self, *clusters: str, version: int = 1) -> tuple[Resource, ...]:
        """Everything to the first cluster, all of them at the same origin."""
        origins = [one for name in clusters for one in (cluster(name, version), assignment(name, self.origin))]
        return (*origins, listener("edge", self.port), route_table("edge", *clusters))

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Server]:
        server = Server(observer=self.witness)
        await server.start(f"unix:{self.xds}")
        try:
            yield server
        finally:
            await server.stop(grace_s=0.2)

    async def publish(self, server: Server, *some: Resource) -> None:
        """Publish, and wait until every proxy has it."""
        assert await server.acknowledged(server.publish(fleet(*some)), timeout_s=PATIENCE_S), "no ACK"


@pytest.fixture
def directory() -> Iterator[Path]:
    with TemporaryDirectory() as path:
        yield Path(path)


@pytest.fixture
async def edge(directory: Path) -> AsyncIterator[Edge]:
    async with origin() as one:
        yield Edge(directory, free_port(), one.port, Witness())


@asynccontextmanager
async def running(edge: Edge, *clusters: str) -> AsyncIterator[tuple[Server, Envoy]]:
    """A server and one proxy that serves these clusters."""
    async with edge.server() as server, envoy(edge.directory, edge.xds) as proxy:
        await boot(server, edge, *clusters)
        yield server, proxy


async def boot(server: Server, edge: Edge, *clusters: str, proxies: int = 1) -> None:
    serial = server.publish(fleet(*edge.resources(*clusters)))
    await eventually(lambda: len(server.proxies()) == proxies, within_s=BOOT_S)
    assert await server.acknowledged(serial, timeout_s=BOOT_S)
    await listening(edge.port)


async def test_it_boots_to_a_listening_port(edge: Edge) -> None:
    async with running(edge, "a") as (server, proxy):
        async with load(edge.port, connections=1, max_requests=10) as result:
            await eventually(lambda: result.sent == 10)
        assert (result.failed, result.statuses[200]) == (0, 10)
        assert [(one.id, one.fleet) for one in server.proxies()] == [("one", "edge")]
        assert await proxy.stat("control_plane.connected_state") == 1
        assert edge.witness.refusals == []


@pytest.mark.usefixtures("no_gate_lapses")
async def test_an_update_of_a_cluster_is_acknowledged_without_waiting_for_any_time_to_pass(edge: Edge) -> None:
    async with running(edge, "a", "b") as (server, proxy):
        for number in range(2, 12):
            await edge.publish(server, *edge.resources("a", "b", version=number))
        waited = await proxy.stats(r"^cluster\.[ab]\.init_fetch_timeout$")
        assert (len(waited), sum(waited.values())) == (2, 0)
        assert await proxy.stat("cluster_manager.warming_clusters") == 0
        assert await proxy.stat("cluster_manager.cluster_modified") == 20


@pytest.mark.usefixtures("no_gate_lapses")
async def test_a_cluster_without_endpoints_holds_nothing_up(edge: Edge) -> None:
    async with running(edge, "a") as (server, _):
        await edge.publish(server, *edge.resources("a"), cluster("empty"))
        await edge.publish(server, *edge.resources("a"), cluster("empty"), cluster("b"), assignment("b", 0))
        await edge.publish(server, *edge.resources("a"), cluster("empty", 2))


@pytest.mark.load
@pytest.mark.usefixtures("no_gate_lapses")
async def test_fifty_moves_to_another_cluster_fail_no_request(edge: Edge) -> None:
    async with running(edge, "c0") as (server, proxy):
        async with load(edge.port) as result:
            for number in range(1, 51):
                await edge.publish(server, *edge.resources(f"c{number}"))
        assert result.failed == 0, result
        assert result.answered > 100
        await eventually(lambda: _clusters(proxy, {"c50", "xds"}))
        assert await proxy.stat("listener_manager.listener_modified") == 0


@pytest.mark.load
@pytest.mark.usefixtures("no_gate_lapses")
async def test_moves_that_do_not_wait_for_each_other_fail_no_request(edge: Edge) -> None:
    async with running(edge, "c0") as (server, proxy):
        async with load(edge.port) as result:
            for number in range(1, 101):
                serial = server.publish(fleet(*edge.resources(f"c{number}")))
                await eventually(lambda at=result.answered: result.answered >= at + 3, step_s=0.001)
            assert await server.acknowledged(serial, timeout_s=PATIENCE_S)
        assert result.failed == 0, result
        await eventually(lambda: _clusters(proxy, {"c100", "xds"}))


@pytest.mark.load
async def test_a_stopped_proxy_delays_no_other_and_catches_up(edge: Edge) -> None:
    other = Edge(edge.directory, free_port(), edge.origin, edge.witness)
    assert other.xds == edge.xds
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(edge.server())
        stopped = await stack.enter_async_context(envoy(edge.directory, edge.xds, node="stopped"))
        await boot(server, edge, "c0")
        stopped.stop()
        server.publish(fleet(*other.resources("c0")))  # the listener of the second is at another port
        proxy = await stack.enter_async_context(envoy(edge.directory, edge.xds, node="well"))
        await listening(other.port)
        async with load(other.port) as result:
            for number in range(1, 21):
                serial = server.publish(fleet(*other.resources(f"c{number}")))
                await eventually(lambda at=serial: _acked(server, "well") >= at)
        assert result.failed == 0, result
        stopped.go_on()
        await eventually(lambda: _clusters(stopped, {"c20", "xds"}))
        await eventually(lambda: _clusters(proxy, {"c20", "xds"}))
        assert await server.acknowledged(serial, timeout_s=PATIENCE_S)


@pytest.mark.load
async def test_a_restart_of_the_server_sends_nothing_again_and_fails_no_request(edge: Edge) -> None:
    async with envoy(edge.directory, edge.xds) as proxy:
        async with edge.server() as server:
            await boot(server, edge, "a", "b")
            before = await _changes(proxy)
        async with load(edge.port) as result:
            await eventually(lambda: result.answered > 20)
            async with edge.server() as server:
                serial = server.publish(fleet(*edge.resources("a", "b")))
                await eventually(lambda: _acked(server, "one") == serial)
                await eventually(lambda at=result.answered: result.answered > at + 20)
        assert result.failed == 0, result
        assert await _changes(proxy) == before


@pytest.mark.load
async def test_what_changed_while_the_server_was_away_is_made_before_it_is_broken(edge: Edge) -> None:
    async with envoy(edge.directory, edge.xds) as proxy:
        async with edge.server() as server:
            await boot(server, edge, "c0")
        async with load(edge.port) as result:
            for number in range(1, 6):
                async with edge.server() as server:
                    serial = server.publish(fleet(*edge.resources(f"c{number}", "kept", version=number)))
                    await eventually(lambda at=serial: _acked(server, "one") == at)
                    await eventually(lambda at=number: _clusters(proxy, {f"c{at}", "kept", "xds"}))
        assert result.failed == 0, result


async def test_a_bad_cluster_is_named_and_its_neighbours_serve(edge: Edge) -> None:
    async with running(edge, "a") as (server, proxy):
        bad = _broken_cluster("bad")
        server.publish(fleet(*edge.resources("a", "b"), bad, cluster("c"), assignment("c", 0)))
        (refused,) = await eventually(lambda: edge.witness.refusals)
        assert (refused.type_url, refused.names) == (CLUSTER, ("bad",))
        assert refused.message.startswith("Proto constraint validation failed (ClusterValidationError.ConnectTimeout")
        await eventually(lambda: _clusters(proxy, {"a", "b", "c", "xds"}))
        await edge.publish(server, *edge.resources("b", "c"))
        assert len(edge.witness.refusals) == 1, "and it is not sent again"


async def test_refused_routes_leave_the_last_good_ones_and_what_they_need(edge: Edge) -> None:
    async with running(edge, "a") as (server, proxy):
        server.publish(fleet(*edge.resources("b")[:-1], _broken_routes("edge")))
        (refused,) = await eventually(lambda: edge.witness.refusals)
        assert (refused.type_url, refused.names) == (ROUTES, ("edge",))
        async with load(edge.port, connections=1, max_requests=20) as result:
            await eventually(lambda: result.sent == 20)
        assert result.failed == 0, result
        assert await _clusters(proxy, {"a", "b", "xds"})
        await edge.publish(server, *edge.resources("b"))
        await eventually(lambda: _clusters(proxy, {"b", "xds"}))


async def test_a_proxy_that_is_killed_and_comes_back_serves_again(edge: Edge) -> None:
    async with edge.server() as server:
        for _ in range(2):
            async with envoy(edge.directory, edge.xds):
                await boot(server, edge, "a")
            await eventually(lambda: not server.proxies())


async def _clusters(proxy: Envoy, expected: set[str]) -> bool:
    """Asserts that these are the clusters that the proxy has."""
    found = json.loads(await proxy.get("/clusters?format=json"))
    assert {one["name"] for one in found["cluster_statuses"]} == expected
    return True


async def _changes(proxy: Envoy) -> dict[str, int]:
    """Counters that move when a resource is taken in, also when it is the same."""
    pattern = (
        "cluster_manager.cluster_(added|modified|removed|updated)|listener_manager.listener_(added|modified|removed)"
    )
    found = await proxy.stats(pattern)
    found |= await proxy.stats(r"cluster\.[ab]\.update_success|rds.edge.(config_reload|update_success)$")
    assert found
    return found


def _acked(server: Server, node: str) -> int:
    return max((one.acked_serial for one in server.proxies() if one.id == node), default=0)


def _broken_cluster(name: str) -> Resource:
    return resource(name, cluster_pb2.Cluster(name=name, type="EDS", connect_timeout={"seconds": 0}))


def _broken_routes(name: str) -> Resource:
    match: dict[str, Any] = {"safe_regex": {"regex": "("}}
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": match, "route": {"cluster": "b"}}]}]
    return resource(name, route_pb2.RouteConfiguration(name=name, virtual_hosts=hosts))
