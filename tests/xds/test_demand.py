"""Clusters that are cold: questions about them are demand, and go on being it until the cluster is there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest

from edgerun.translate.plan import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource
from edgerun.xds import demand
from edgerun.xds.server import Server
from edgerun.xds.watch import CHUNK_RESOURCES
from support.poll import eventually
from support.xds import (
    FLEET,
    Client,
    Script,
    Witness,
    assignment,
    cluster,
    connected,
    fleet,
    listener,
    names,
    route_table,
    subscription,
    versions,
)

COLD = "cart~1"
QUESTIONS = f"/{demand.SERVICE}/{demand.METHOD}"


def edge(*to: str) -> tuple[Resource, ...]:
    """A listener, and routes that lead to these; the cluster `warm` is there."""
    return cluster("warm"), assignment("warm"), listener("edge"), route_table("edge", *to)


def origin(name: str, port: int = 1) -> tuple[Resource, ...]:
    return cluster(name), assignment(name, port)


def booted(*some: Resource, cold: tuple[str, ...] = (COLD,)) -> Script:
    """A client that has everything, as Envoy boots."""
    script = Script()
    script.publish(*some, cold=cold)
    for type_url, wanted in ((CLUSTER, ()), (ENDPOINTS, ("warm",)), (LISTENER, ()), (ROUTES, ("edge",))):
        script.settle(*script.subscribe(type_url, *wanted))
    return script


def told(responses: list[Any]) -> list[tuple[str, list[str], list[str]]]:
    return [(one.type_url.rpartition(".")[2], names(one), list(one.removed_resources)) for one in responses]


class TestACluster:
    def test_that_is_called_cold_is_not_sent_although_it_is_there(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), *origin(COLD), cold=[COLD])
        assert script.hear() == []

    @pytest.mark.parametrize("without", [(cluster(COLD),), origin(COLD, port=0)], ids=["none", "empty"])
    def test_that_was_cold_stays_so_until_it_has_an_endpoint(self, without: tuple[Resource, ...]) -> None:
        script = booted(*edge(COLD))
        for _ in range(2):
            script.publish(*edge(COLD), *without)
            assert "Cluster" not in [kind for kind, *_ in told(script.settle())]
        script.publish(*edge(COLD), *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]
        assert told(script.subscribe(ENDPOINTS, COLD)) == [("ClusterLoadAssignment", [COLD], [])]

    def test_that_has_been_served_may_lose_its_last_endpoint(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), *origin(COLD))
        script.settle()
        script.settle(*script.subscribe(ENDPOINTS, COLD))
        script.publish(*edge(COLD), *origin(COLD, port=0))
        assert told(script.hear()) == [("ClusterLoadAssignment", [COLD], [])]

    def test_does_not_wait_for_one_that_never_becomes_warm(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), cluster("slow"), cold=[COLD])
        assert told(script.hear()) == [("Cluster", ["slow"], [])]
        script.publish(*edge(COLD), cluster("slow"), *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]
        assert told(script.subscribe(ENDPOINTS, COLD)) == [("ClusterLoadAssignment", [COLD], [])]

    def test_does_not_wait_for_a_later_one_either(self) -> None:
        script = booted(*edge(COLD, "pay~1"), cold=(COLD, "pay~1"))
        script.publish(*edge(COLD, "pay~1"), cluster("slow"), cold=[COLD, "pay~1"])
        script.hear()
        script.publish(*edge(COLD, "pay~1"), cluster("slow"), *origin(COLD), cold=["pay~1"])
        assert told(script.hear()) == [("Cluster", [COLD], [])]
        script.publish(*edge(COLD, "pay~1"), cluster("slow"), *origin(COLD), *origin("pay~1"))
        assert told(script.hear()) == [("Cluster", ["pay~1"], [])]

    def test_does_not_wait_for_endpoints_that_are_in_flight(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), assignment("warm", 7), cold=[COLD])
        (endpoints,) = script.hear()
        script.publish(*edge(COLD), assignment("warm", 7), *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]
        assert script.subscribe(ENDPOINTS, COLD) == []
        assert told(script.ack(endpoints)) == [("ClusterLoadAssignment", [COLD], [])]

    def test_has_endpoints_although_others_are_still_on_their_way_from_an_older_snapshot(self) -> None:
        many = [f"c{number}" for number in range(CHUNK_RESOURCES + 1)]
        script = booted(*edge(COLD), *(assignment(name) for name in many))
        script.settle(*script.subscribe(ENDPOINTS, *many))
        moved = [assignment(name, 7) for name in many]
        script.publish(*edge(COLD), *moved, cold=[COLD])
        (first,) = script.hear()
        script.publish(*edge(COLD), *moved, *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]
        script.subscribe(ENDPOINTS, COLD)
        (second,) = script.ack(first)
        assert COLD in names(second)

    def test_never_has_the_endpoints_that_it_had_not_while_it_was_cold(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), *origin(COLD, port=0), assignment("warm", 7))
        (endpoints,) = script.hear()
        script.publish(*edge(COLD), *origin(COLD), assignment("warm", 7))
        assert told(script.hear()) == [("Cluster", [COLD], [])]
        script.subscribe(ENDPOINTS, COLD)
        (sent,) = script.ack(endpoints)
        assert versions(sent) == {COLD: assignment(COLD).version}

    def test_is_not_sent_twice_when_it_went_past_another(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), cluster("slow"), cold=[COLD])
        (slow,) = script.hear()
        serial = script.publish(*edge(COLD), cluster("slow"), *origin(COLD))
        (urgent,) = script.hear()
        (endpoints,) = script.subscribe(ENDPOINTS, COLD)
        assert script.settle(slow, endpoints, urgent) == [slow, endpoints, urgent]
        assert script.session.acked_serial == serial

    def test_is_not_thought_to_be_taken_before_it_is(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), cluster("slow"), cold=[COLD])
        slow = script.hear()
        serial = script.publish(*edge(COLD), cluster("slow"), *origin(COLD))
        (urgent,) = script.hear()
        script.ack(*slow)
        assert script.session.acked_serial < serial
        script.ack(urgent)
        assert script.session.acked_serial == serial

    def test_that_is_refused_is_reported_and_not_sent_again(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), cluster("slow"), cold=[COLD])
        (slow,) = script.hear()
        script.publish(*edge(COLD), cluster("slow"), *origin(COLD))
        (urgent,) = script.hear()
        assert script.nack(urgent, f"Error adding/updating cluster(s) {COLD}: no") == []
        assert [one.names for one in script.said] == [(COLD,)]
        again = script.settle(slow)
        assert len([one for one in again if COLD in names(one)]) <= 1


def test_going_to_rest_is_routes_then_removal() -> None:
    script = booted(*edge("cart~1"), *origin("cart~1"), cold=())
    script.settle(*script.subscribe(ENDPOINTS, "cart~1"))
    script.publish(*edge("cart~2"), cold=["cart~2"])
    routes = script.hear()
    assert told(routes) == [("RouteConfiguration", ["edge"], [])]
    assert told(script.ack(*routes)) == [("Cluster", [], ["cart~1"])]


@pytest.fixture
def address() -> Iterator[str]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield f"unix:{Path(directory) / 'x' / 'xds.sock'}"


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
async def server(address: str, witness: Witness) -> AsyncIterator[Server]:
    async with serving(address, witness) as server:
        yield server


@asynccontextmanager
async def serving(address: str, witness: Witness) -> AsyncIterator[Server]:
    server = Server(observer=witness, demands=witness)
    await server.start(address)
    try:
        yield server
    finally:
        await server.stop(grace_s=0.2)


@asynccontextmanager
async def asking(address: str, node: str, *cold: str, of: str = FLEET) -> AsyncIterator[Client]:
    """A proxy that asks for these, on the stream that Envoy's filter has for it."""
    async with connected(address, fleet=of, method=QUESTIONS) as client:
        await client.subscribe(CLUSTER, *cold, node=node)
        yield client


def sleeping(server: Server, *cold: str) -> None:
    server.publish(fleet(*edge(*cold)), {FLEET: set(cold)})


class TestAQuestion:
    async def test_about_a_cold_cluster_is_demand_and_not_denied(self, server: Server, address: str) -> None:
        sleeping(server, COLD)
        assert server.demand() == {}
        async with asking(address, "one", COLD) as client:
            assert await server.demand_other_than({}) == {COLD: 1}
            assert await client.quiet()

    async def test_about_another_name_is_denied_at_once(self, server: Server, address: str) -> None:
        sleeping(server, COLD)
        async with asking(address, "one", "cart~0") as client:
            assert denied(await client.hear()) == ["cart~0"]
            assert server.demand() == {}

    async def test_about_one_that_is_there_needs_no_answer(self, server: Server, address: str) -> None:
        sleeping(server, COLD)
        async with asking(address, "one", "warm") as client:
            assert await client.quiet()
        assert server.demand() == {}

    async def test_that_came_before_anything_was_published_counts_from_then_on(
        self, server: Server, address: str
    ) -> None:
        async with asking(address, "one", "cart~0", "cart~1", "warm") as client, asking(address, "two") as other:
            sleeping(server, "cart~2")
            assert denied(await client.hear()) == ["cart~0", "cart~1"]
            await other.subscribe(CLUSTER, "cart~2")
            assert await server.demand_other_than({}) == {"cart~2": 1}

    async def test_that_is_withdrawn_is_no_demand(self, server: Server, address: str) -> None:
        sleeping(server, COLD)
        async with asking(address, "one", COLD) as client:
            await eventually(server.demand)
            await client.subscribe(CLUSTER, drop=[COLD])
            await eventually(lambda: not server.demand())

    async def test_is_denied_when_the_cluster_is_not_to_come_any_more(self, server: Server, address: str) -> None:
        sleeping(server, COLD)
        async with asking(address, "one", COLD) as client:
            await eventually(server.demand)
            sleeping(server, "cart~2")
            assert server.demand() == {}
            assert denied(await client.hear()) == [COLD]

    async def test_is_answered_by_the_cluster_which_comes_with_all_others(self, server: Server, address: str) -> None:
        sleeping(server, COLD)
        async with connected(address) as everything, asking(address, "one", COLD) as client:
            await everything.ask(CLUSTER, node="one")
            await eventually(server.demand)
            server.publish(fleet(*edge(COLD), *origin(COLD)))
            assert server.demand() == {}
            assert names(await everything.hear()) == [COLD]
            assert await client.quiet()

    async def test_without_a_meaning_ends_its_stream(self, server: Server, address: str) -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.stream_stream(QUESTIONS)()
            await call.write(subscription(CLUSTER, node="one").SerializeToString())
            await call.write(b"\xff")
            assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert await channel.stream_stream(QUESTIONS)(iter([b"\xff"])).code() == grpc.StatusCode.OK


async def test_demand_is_how_many_proxies_ask(server: Server, address: str, witness: Witness) -> None:
    sleeping(server, "cart~1", "pay~1")
    async with asking(address, "one", "cart~1"):
        assert await server.demand_other_than({}) == {"cart~1": 1}
        async with asking(address, "two", "cart~1", "pay~1"):
            await eventually(lambda: server.demand() == {"cart~1": 2, "pay~1": 1})
        assert await server.demand_other_than(server.demand()) == {"cart~1": 1}, "who is gone waits for nothing"
    assert await server.demand_other_than({"cart~1": 1}) == {}
    assert witness.demands == [
        ("demanded", "one", ("cart~1",)),
        ("demanded", "two", ("cart~1", "pay~1")),
        ("undemanded", "two", ("cart~1", "pay~1")),
        ("undemanded", "one", ("cart~1",)),
    ]
    assert witness.events == [], "nobody is thought to be there who only asks"


async def test_who_waits_for_other_demand_is_not_woken_by_the_same(server: Server, address: str) -> None:
    sleeping(server, COLD)
    async with connected(address) as everything:
        async with asking(address, "one", COLD):
            waiting = asyncio.create_task(server.demand_other_than(await server.demand_other_than({})))
            server.publish(fleet(*edge(COLD, "b"), *origin("b")), {FLEET: {COLD}})
            await everything.ask(CLUSTER, node="one")
            assert not waiting.done()
        assert await waiting == {}


async def test_a_new_control_plane_hears_of_the_demand_again(address: str, witness: Witness) -> None:
    for _ in range(2):
        async with serving(address, witness) as server, asking(address, "one", "cart~1", COLD):
            sleeping(server, COLD)
            await eventually(lambda at=server: at.demand() == {COLD: 1})


async def test_a_server_that_stops_sends_who_asks_away(address: str, witness: Witness) -> None:
    async with serving(address, witness) as server, asking(address, "one", COLD) as client:
        sleeping(server, COLD)
        await eventually(server.demand)
        await server.stop(grace_s=600)
        assert await client.call.code() == grpc.StatusCode.UNAVAILABLE
        assert server.demand() == {}


async def test_a_fleet_asks_only_for_what_is_cold_for_it(server: Server, address: str) -> None:
    nothing = fleet(*edge())[FLEET]
    server.publish({FLEET: nothing, "other": nothing}, {"other": {COLD}})
    async with asking(address, "one", COLD) as client, asking(address, "two", COLD, of="other"):
        assert denied(await client.hear()) == [COLD]
        assert await server.demand_other_than({}) == {COLD: 1}


async def test_a_fleet_that_is_gone_demands_nothing(server: Server, address: str) -> None:
    sleeping(server, COLD)
    async with asking(address, "one", COLD) as client:
        await eventually(server.demand)
        server.publish({})
        assert server.demand() == {}
        await client.subscribe(CLUSTER, "more")
        sleeping(server, COLD, "more")
        await eventually(lambda: server.demand() == {COLD: 1, "more": 1})


def denied(response: Any) -> list[str]:
    assert response.type_url == CLUSTER
    assert not response.resources
    return list(response.removed_resources)
