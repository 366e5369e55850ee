"""Clusters that are cold: a question about one is demand, and its answer is the cluster."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from edgerun.translate.plan import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource
from edgerun.xds.server import Server
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
)

COLD = "cart#1"


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


class TestAQuestion:
    def test_about_a_cold_cluster_is_demand_and_not_denied(self) -> None:
        script = booted(*edge(COLD))
        assert script.session.demand == set()
        assert script.subscribe(CLUSTER, COLD) == []
        assert script.session.demand == {COLD}
        assert script.wait(60) == []

    def test_is_answered_by_the_cluster_and_its_endpoints_when_they_are_there(self) -> None:
        script = booted(*edge(COLD))
        script.subscribe(CLUSTER, COLD)
        script.publish(*edge(COLD), *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]
        assert script.session.demand == set()
        assert told(script.subscribe(ENDPOINTS, COLD)) == [("ClusterLoadAssignment", [COLD], [])]

    def test_about_another_name_is_denied_at_once(self) -> None:
        script = booted(*edge(COLD))
        assert told(script.subscribe(CLUSTER, "cart#0")) == [("Cluster", [], ["cart#0"])]
        assert script.session.demand == set()

    def test_that_came_before_anything_was_published_counts_from_then_on(self) -> None:
        script = Script()
        script.subscribe(CLUSTER, "*", COLD, "cart#0")
        assert script.session.demand == set()
        script.publish(*edge(COLD), cold=[COLD])
        assert told(script.hear())[0] == ("Cluster", [], ["cart#0"])
        assert script.session.demand == {COLD}

    def test_that_is_withdrawn_is_no_demand(self) -> None:
        script = booted(*edge(COLD))
        script.subscribe(CLUSTER, COLD)
        script.subscribe(CLUSTER, drop=[COLD])
        assert script.session.demand == set()

    def test_is_denied_when_the_cluster_is_not_to_come_any_more(self) -> None:
        script = booted(*edge(COLD))
        script.subscribe(CLUSTER, COLD)
        script.publish(*edge("warm"))
        assert ("Cluster", [], [COLD]) in told(script.settle())
        assert script.session.demand == set()


class TestACluster:
    def test_that_is_called_cold_is_not_sent_although_it_is_there(self) -> None:
        script = booted(*edge(COLD))
        script.subscribe(CLUSTER, COLD)
        script.publish(*edge(COLD), *origin(COLD), cold=[COLD])
        assert script.hear() == []
        assert script.session.demand == {COLD}

    @pytest.mark.parametrize("without", [(cluster(COLD),), origin(COLD, port=0)], ids=["none", "empty"])
    def test_that_was_cold_stays_so_until_it_has_an_endpoint(self, without: tuple[Resource, ...]) -> None:
        script = booted(*edge(COLD))
        script.subscribe(CLUSTER, COLD)
        for _ in range(2):
            script.publish(*edge(COLD), *without)
            assert script.hear() == []
            assert script.session.demand == {COLD}
        script.publish(*edge(COLD), *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]

    def test_that_has_been_served_may_lose_its_last_endpoint(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), *origin(COLD))
        script.settle()
        script.settle(*script.subscribe(ENDPOINTS, COLD))
        script.publish(*edge(COLD), *origin(COLD, port=0))
        assert told(script.hear()) == [("ClusterLoadAssignment", [COLD], [])]

    def test_that_wakes_goes_to_proxies_that_did_not_ask_too(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD), *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]

    def test_does_not_wait_for_one_that_never_becomes_warm(self) -> None:
        script = booted(*edge(COLD))
        script.subscribe(CLUSTER, COLD)
        script.publish(*edge(COLD), cluster("slow"), cold=[COLD])
        assert told(script.hear()) == [("Cluster", ["slow"], [])]
        script.publish(*edge(COLD), cluster("slow"), *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]
        assert told(script.subscribe(ENDPOINTS, COLD)) == [("ClusterLoadAssignment", [COLD], [])]

    def test_does_not_wait_for_endpoints_that_are_in_flight(self) -> None:
        script = booted(*edge(COLD))
        script.subscribe(CLUSTER, COLD)
        script.publish(*edge(COLD), assignment("warm", 7), cold=[COLD])
        (endpoints,) = script.hear()
        script.publish(*edge(COLD), assignment("warm", 7), *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]
        assert script.subscribe(ENDPOINTS, COLD) == []
        assert told(script.ack(endpoints)) == [("ClusterLoadAssignment", [COLD], [])]

    def test_is_not_sent_twice_when_it_went_past_another(self) -> None:
        script = booted(*edge(COLD))
        script.subscribe(CLUSTER, COLD)
        script.publish(*edge(COLD), cluster("slow"), cold=[COLD])
        (slow,) = script.hear()
        serial = script.publish(*edge(COLD), cluster("slow"), *origin(COLD))
        (urgent,) = script.hear()
        (endpoints,) = script.subscribe(ENDPOINTS, COLD)
        assert script.settle(slow, endpoints, urgent) == [slow, endpoints, urgent]
        assert script.session.acked_serial == serial

    def test_is_not_thought_to_be_taken_before_it_is(self) -> None:
        script = booted(*edge(COLD))
        script.subscribe(CLUSTER, COLD)
        script.publish(*edge(COLD), cluster("slow"), cold=[COLD])
        slow = script.hear()
        serial = script.publish(*edge(COLD), cluster("slow"), *origin(COLD))
        (urgent,) = script.hear()
        script.ack(*slow)
        assert script.session.acked_serial < serial
        script.ack(urgent)
        assert script.session.acked_serial == serial

    def test_wakes_while_routes_wait_for_something_else(self) -> None:
        script = booted(*edge(COLD))
        script.publish(*edge(COLD, "b"), *origin("b"), cold=[COLD])
        script.hear()
        script.subscribe(CLUSTER, COLD)
        script.publish(*edge(COLD, "b"), *origin("b"), *origin(COLD))
        assert told(script.hear()) == [("Cluster", [COLD], [])]


def test_going_to_rest_is_routes_then_removal() -> None:
    script = booted(*edge("cart#1"), *origin("cart#1"), cold=())
    script.settle(*script.subscribe(ENDPOINTS, "cart#1"))
    script.publish(*edge("cart#2"), cold=["cart#2"])
    routes = script.hear()
    assert told(routes) == [("RouteConfiguration", ["edge"], [])]
    assert script.subscribe(CLUSTER, "cart#2") == [], "asked for before the last epoch is over"
    assert script.session.demand == {"cart#2"}
    assert told(script.ack(*routes)) == [("Cluster", [], ["cart#1"])]


def test_a_new_stream_repeats_every_name_and_only_the_cold_one_is_demand() -> None:
    script = Script()
    script.publish(*edge("cart#4", "pay#2"), *origin("pay#2"), cold=["cart#4"])
    held = {"warm": cluster("warm").version, "pay#2": cluster("pay#2").version}
    asked = ["cart#1", "cart#2", "cart#3", "cart#4", "pay#1", "pay#2"]
    answers = script.subscribe(CLUSTER, "*", *asked, held=held)
    assert told(answers) == [("Cluster", [], ["cart#1", "cart#2", "cart#3", "pay#1"])]
    assert script.session.demand == {"cart#4"}
    script.ack(*answers)
    script.publish(*edge("cart#4", "pay#2"), *origin("pay#2"), *origin("cart#4"))
    assert told(script.hear()) == [("Cluster", ["cart#4"], [])]


def test_a_new_stream_is_told_of_a_cluster_that_woke_meanwhile_before_it_is_denied_anything() -> None:
    script = Script(*edge("cart#4"), *origin("cart#4"))
    (urgent, denied) = script.subscribe(CLUSTER, "*", "cart#3", "cart#4", held={"warm": cluster("warm").version})
    assert told([urgent, denied]) == [("Cluster", ["cart#4"], []), ("Cluster", [], ["cart#3"])]


@pytest.fixture
def address() -> Iterator[str]:
    with TemporaryDirectory() as directory:  # tmp_path is too long a name for a socket
        yield f"unix:{Path(directory) / 'x' / 'xds.sock'}"


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
async def server(address: str, witness: Witness) -> AsyncIterator[Server]:
    server = Server(observer=witness, demand=witness)
    await server.start(address)
    try:
        yield server
    finally:
        await server.stop(grace_s=0.2)


async def asks(client: Client, node: str, *cold: str) -> None:
    """Subscribe to everything, then to these names, as Envoy does for a request that it holds."""
    await client.subscribe(CLUSTER, node=node)
    await client.say(subscription(CLUSTER, *cold))


def sleeping(server: Server, *cold: str) -> None:
    server.publish(fleet(*edge(*cold)), {FLEET: set(cold)})


async def test_demand_is_how_many_proxies_ask(server: Server, address: str, witness: Witness) -> None:
    sleeping(server, "cart#1", "pay#1")
    assert server.demand() == {}
    async with connected(address) as one:
        await asks(one, "one", "cart#1")
        assert await server.demand_other_than({}) == {"cart#1": 1}
        async with connected(address) as two:
            await asks(two, "two", "cart#1", "pay#1")
            await eventually(lambda: server.demand() == {"cart#1": 2, "pay#1": 1})
        assert await server.demand_other_than(server.demand()) == {"cart#1": 1}, "who is gone waits for nothing"
    assert await server.demand_other_than({"cart#1": 1}) == {}
    assert witness.demands == [
        ("demanded", "one", ("cart#1",)),
        ("demanded", "two", ("cart#1", "pay#1")),
        ("undemanded", "two", ("cart#1", "pay#1")),
        ("undemanded", "one", ("cart#1",)),
    ]
    assert witness.events[0] == ("connected", "one")


async def test_demand_ends_with_the_cluster(server: Server, address: str, witness: Witness) -> None:
    sleeping(server, COLD)
    async with connected(address) as client:
        await asks(client, "one", COLD)
        await eventually(server.demand)
        assert names(await client.hear()) == ["warm"]
        server.publish(fleet(*edge(COLD), *origin(COLD)))
        assert server.demand() == {}
        assert witness.demands[-1] == ("undemanded", "one", (COLD,))
        assert names(await client.hear()) == [COLD], "though the first answer is not acknowledged"


async def test_a_new_control_plane_hears_of_the_demand_again(address: str) -> None:
    for _ in range(2):
        server = Server(observer=Witness())
        await server.start(address)
        try:
            async with connected(address) as client:
                await asks(client, "one", COLD)
                await eventually(server.proxies)
                sleeping(server, COLD)
                await eventually(lambda at=server: at.demand() == {COLD: 1})
        finally:
            await server.stop(grace_s=0.2)


async def test_a_fleet_hears_only_of_what_is_cold_for_it(server: Server, address: str) -> None:
    nothing = fleet(*edge())[FLEET]
    server.publish({FLEET: nothing, "other": nothing}, {"other": {COLD}})
    async with connected(address) as client, connected(address, fleet="other") as other:
        await asks(client, "one", COLD)
        await asks(other, "two", COLD)
        assert await server.demand_other_than({}) == {COLD: 1}
        denied = [await client.hear() for _ in range(2)]
        assert [COLD] in [list(one.removed_resources) for one in denied]


async def test_a_fleet_that_is_gone_demands_nothing(server: Server, address: str) -> None:
    sleeping(server, COLD)
    async with connected(address) as client:
        await asks(client, "one", COLD)
        await eventually(server.demand)
        server.publish({})
        assert server.demand() == {}
        await client.say(subscription(CLUSTER, "more"))
        sleeping(server, COLD)
        assert await server.demand_other_than({}) == {COLD: 1}


async def test_who_waits_for_other_demand_is_not_woken_by_the_same(server: Server, address: str) -> None:
    sleeping(server, COLD)
    async with connected(address) as client:
        await asks(client, "one", COLD)
        waiting = asyncio.create_task(server.demand_other_than(await server.demand_other_than({})))
        server.publish(fleet(*edge(COLD, "b"), *origin("b")), {FLEET: {COLD}})
        await client.take()
        assert not waiting.done()
    assert await waiting == {}
