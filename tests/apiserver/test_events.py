"""Events as a real API server takes them, and as `kubectl describe` shows them."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tools.cluster import places

from edgerun.infra.kubernetes.client import Client, Object
from edgerun.infra.kubernetes.events import Herald
from edgerun.translate.events import Occurrence
from edgerun.workqueue import Meter
from support.apiserver import ApiServer, edge_route
from support.poll import eventually

LONG = Occurrence("Warning", "Invalid", "Accepting", "spec.rules[0]: " + "é" * 2000)


@asynccontextmanager
async def telling(client: Client, outcomes: list[str]) -> AsyncIterator[Herald]:
    meter = Meter(lambda: None, lambda: None, lambda _: None, lambda _: None)
    herald = Herald(client.create, instance="edgerun-0", may_write=lambda: True, outcome=outcomes.append, meter=meter)
    task = asyncio.create_task(herald.run(), name="events")
    try:
        yield herald
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def of(client: Client, namespace: str, uid: str) -> list[Object]:
    return [event for event in await client.list_("Event", namespace=namespace) if event["regarding"].get("uid") == uid]


async def test_an_event_is_stored_and_shown_by_describe(server: ApiServer, client: Client, namespace: str) -> None:
    route = await client.create(edge_route(namespace, "web"))
    outcomes: list[str] = []
    async with telling(client, outcomes) as herald:
        herald.tell(route, Occurrence("Normal", "Ready", "Serving", "generation 1 is ready"))
        await eventually(lambda: len(outcomes) == 1)
        herald.tell(route, LONG)
        await eventually(lambda: len(outcomes) == 2)
    assert outcomes == ["written", "written"]
    stored = await of(client, namespace, route["metadata"]["uid"])
    assert {event["reason"] for event in stored} == {"Ready", "Invalid"}
    described = subprocess.run(
        [places.program("kubectl"), "--kubeconfig", server.kubeconfig, "-n", namespace, "describe", "edgeroute", "web"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    events = described.partition("\nEvents:")[2]
    assert "generation 1 is ready" in events
    assert "edgerun.dev/controller" in events


async def test_an_event_of_an_object_of_the_whole_cluster_is_taken_in_default(client: Client) -> None:
    there = next(iter(await client.list_("Namespace")))
    outcomes: list[str] = []
    async with telling(client, outcomes) as herald:
        herald.tell(there, Occurrence("Warning", "Progressing", "Serving", "1 of 2 proxies"))
        await eventually(lambda: outcomes == ["written"])
    assert len(await of(client, "default", there["metadata"]["uid"])) == 1


async def test_an_event_for_a_namespace_that_is_gone_is_let_go(client: Client) -> None:
    route = edge_route("nowhere-at-all", "web", uid="1")
    outcomes: list[str] = []
    async with telling(client, outcomes) as herald:
        herald.tell(route, LONG)
        await eventually(lambda: outcomes == ["error"])
