"""A real API server as a source: what is fed, however the watches fare."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from kubernetes.aio.client import Configuration

from edgerun.api.meta import ObjectKey
from edgerun.api.resources import RESOURCES
from edgerun.infra.kubernetes.client import Client
from edgerun.sources.cluster import Cluster, Pace
from edgerun.sources.kubernetes import Watched
from edgerun.sources.store import Change, Gone, Seen, Store
from edgerun.translate.world import Edge
from support.apiserver import ApiServer, edge_route, key_of
from support.faults import FaultyApi, error
from support.poll import eventually

KINDS = (Watched(RESOURCES["EdgeRoute"]), Watched(RESOURCES["OriginService"]))
NEVER_S = 3600.0
ONLY_WHEN_ASKED = Pace(sweep_s=NEVER_S, soon_s=NEVER_S, settle_s=0.3)
OFTEN = Pace(sweep_s=0.5, soon_s=0.5, settle_s=0.2)

Object = Mapping[str, Any]


class Fed:
    """What a source has fed, and what should be there by it."""

    def __init__(self) -> None:
        self.there: dict[ObjectKey, Object] = {}
        self.changes: list[Change] = []
        self.cluster: Cluster

    def take(self, change: Change) -> None:
        self.changes.append(change)
        match change:
            case Seen():
                self.there[key_of(change.raw)] = change.raw
            case Gone():
                del self.there[change.key]

    def host(self, key: ObjectKey) -> str:
        return str(self.there[key]["spec"]["hostnames"][0]) if key in self.there else ""


@asynccontextmanager
async def watching(
    client: Client, faulty: FaultyApi, namespace: str, *, pace: Pace = ONLY_WHEN_ASKED, kinds: Any = KINDS
) -> AsyncIterator[Fed]:
    """The source at work, past its first sweep and with all watches open."""
    fed = Fed()
    fed.cluster = Cluster(kinds, fed.take, client.list_, faulty.login, namespaces=(namespace,), pace=pace)
    task = asyncio.create_task(fed.cluster.run(), name="source")
    try:
        await eventually(lambda: not task.done() and faulty.watches == len(kinds))
        yield fed
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_made_changed_and_deleted_is_fed(client: Client, faulty: FaultyApi, namespace: str) -> None:
    async with watching(client, faulty, namespace) as fed:
        route = await client.apply(edge_route(namespace, "web"))
        key = key_of(route)
        await eventually(lambda: fed.host(key) == "a.example")
        await client.apply(edge_route(namespace, "web", host="b.example"))
        await eventually(lambda: fed.host(key) == "b.example")
        assert fed.there[key]["metadata"]["generation"] == 2
        assert (fed.there[key]["apiVersion"], fed.there[key]["kind"]) == ("edgerun.dev/v1alpha1", "EdgeRoute")
        await client.delete(key, route["metadata"]["uid"])
        await eventually(lambda: not fed.there)
        assert not fed.cluster.corrections


async def test_what_was_there_before_is_fed_before_anything_is_synced(
    client: Client, faulty: FaultyApi, namespace: str
) -> None:
    await client.create(edge_route(namespace, "web"))
    fed, calls, fails = Fed(), 0, True

    async def lister(kind: str, *, namespace: str, label_selector: str) -> tuple[Object, ...]:
        nonlocal calls
        calls += 1
        faulty.down = fails and kind == "OriginService"
        return await through.list_(kind, namespace=namespace, label_selector=label_selector)

    async with through_proxy(faulty) as through:
        pace = Pace(retry_s=0.05)
        cluster = Cluster(KINDS, fed.take, lister, faulty.login, namespaces=(namespace,), pace=pace)
        synced: list[int] = []
        task = asyncio.create_task(cluster.run(lambda: synced.append(len(fed.there))), name="source")
        try:
            await eventually(lambda: calls > 6)
            assert (cluster.synced, cluster.sweep_age_s, synced, fed.there) == (False, None, [], {})
            fails = faulty.down = False
            await eventually(lambda: cluster.synced)
            assert synced == [1]
            assert cluster.sweep_age_s is not None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def through_proxy(faulty: FaultyApi) -> AsyncIterator[Client]:
    client = Client(Configuration(host=faulty.address), None)
    try:
        yield client
    finally:
        await client.close()


async def test_an_object_that_is_being_deleted_leaves_at_once(
    client: Client, faulty: FaultyApi, namespace: str
) -> None:
    async with watching(client, faulty, namespace) as fed:
        route = await client.create(edge_route(namespace, "web", finalizers=["somebody.example/waits"]))
        await eventually(lambda: fed.there)
        await client.delete(key_of(route), route["metadata"]["uid"])
        await eventually(lambda: not fed.there)
        assert (await client.get(key_of(route)))["metadata"]["deletionTimestamp"]


async def test_a_deletion_that_the_watch_missed_is_found_when_it_begins_anew(
    client: Client, faulty: FaultyApi, namespace: str
) -> None:
    async with watching(client, faulty, namespace) as fed:
        ghost = await client.create(edge_route(namespace, "ghost"))
        await client.create(edge_route(namespace, "stays"))
        await eventually(lambda: len(fed.there) == 2)
        faulty.down = True
        faulty.cut()
        await client.delete(key_of(ghost), ghost["metadata"]["uid"])
        faulty.expired = len(KINDS)  # the versions of the watches are too old by now: Kopf lists anew
        faulty.down = False
        await eventually(lambda: set(fed.there) == {ObjectKey("EdgeRoute", namespace, "stays")})
        assert fed.cluster.corrections.ghosts == 1
        assert fed.cluster.restarts == 0


async def test_a_watch_that_tells_nothing_any_more_is_found_out_and_begun_anew(
    client: Client, faulty: FaultyApi, namespace: str
) -> None:
    async with watching(client, faulty, namespace, pace=OFTEN) as fed:
        gone = await client.create(edge_route(namespace, "gone"))
        await eventually(lambda: fed.there)
        faulty.deafen()
        await client.delete(key_of(gone), gone["metadata"]["uid"])
        await client.create(edge_route(namespace, "one"))
        await eventually(lambda: [key.name for key in fed.there] == ["one"])
        made = 0
        while not fed.cluster.restarts:
            made += 1
            assert made < 20, "the watches should have begun anew"
            key = key_of(await client.create(edge_route(namespace, f"more-{made}")))
            await eventually(lambda key=key: key in fed.there)  # type: ignore[misc]
        corrected = fed.cluster.corrections
        await eventually(lambda: faulty.watches == len(KINDS))
        last = key_of(await client.create(edge_route(namespace, "last")))
        await eventually(lambda: last in fed.there)
        assert fed.cluster.corrections.ghosts == corrected.ghosts == 1


async def test_an_error_in_a_watch_ends_kopf_and_nothing_else(
    client: Client, faulty: FaultyApi, namespace: str
) -> None:
    async with watching(client, faulty, namespace) as fed:
        bystander = asyncio.create_task(asyncio.sleep(NEVER_S), name="bystander")
        await faulty.inject({"type": "ERROR", "object": error(500)})
        await eventually(lambda: fed.cluster.restarts >= 1)
        await eventually(lambda: faulty.watches == len(KINDS))
        key = key_of(await client.create(edge_route(namespace, "web")))
        await eventually(lambda: key in fed.there)
        assert not bystander.done()
        bystander.cancel()


async def test_an_event_that_is_none_ends_kopf_and_it_comes_back(
    client: Client, faulty: FaultyApi, namespace: str
) -> None:
    async with watching(client, faulty, namespace) as fed:
        await faulty.inject({"type": "MODIFIED", "object": {"metadata": {}}})
        await faulty.inject(["what is this?"])
        await eventually(lambda: fed.cluster.restarts >= 1)
        await eventually(lambda: faulty.watches == len(KINDS))
        key = key_of(await client.create(edge_route(namespace, "web")))
        await eventually(lambda: key in fed.there)


async def test_a_server_that_does_not_know_the_watcher_for_a_moment_is_asked_again(
    client: Client, faulty: FaultyApi, namespace: str
) -> None:
    async with watching(client, faulty, namespace) as fed:
        faulty.strangers = len(KINDS)
        faulty.cut()
        await eventually(lambda: faulty.strangers == 0)
        await eventually(lambda: faulty.watches == len(KINDS))
        key = key_of(await client.create(edge_route(namespace, "web")))
        await eventually(lambda: key in fed.there)


async def test_an_api_server_that_is_gone_for_a_while_is_caught_up_with(
    client: Client, faulty: FaultyApi, namespace: str
) -> None:
    async with watching(client, faulty, namespace) as fed:
        gone = await client.create(edge_route(namespace, "gone"))
        await client.apply(edge_route(namespace, "changed"))
        await eventually(lambda: len(fed.there) == 2)
        faulty.down = True
        faulty.cut()
        await client.delete(key_of(gone), gone["metadata"]["uid"])
        await client.apply(edge_route(namespace, "changed", host="b.example"))
        await client.create(edge_route(namespace, "new"))
        await asyncio.sleep(3)  # what is awaited is that nothing happens
        assert len(fed.there) == 2
        faulty.down = False
        names = {"changed": "b.example", "new": "a.example"}
        await eventually(lambda: {key.name: fed.host(key) for key in fed.there} == names)


async def test_a_server_that_hangs_is_caught_up_with(
    server: ApiServer, client: Client, faulty: FaultyApi, namespace: str
) -> None:
    async with watching(client, faulty, namespace, pace=OFTEN) as fed:
        await client.create(edge_route(namespace, "web"))
        await eventually(lambda: fed.there)
        with server.frozen():
            await asyncio.sleep(2)  # sweeps fail meanwhile
            await eventually(lambda: (fed.cluster.sweep_age_s or 0) > 1, what="readiness can tell")
        await client.create(edge_route(namespace, "later"))
        await eventually(lambda: len(fed.there) == 2)
        await eventually(lambda: (fed.cluster.sweep_age_s or 9) < 1)


async def test_nothing_is_ever_written_to_what_is_watched(client: Client, faulty: FaultyApi, namespace: str) -> None:
    before = [await client.create(edge_route(namespace, f"web-{number}")) for number in range(5)]
    async with watching(client, faulty, namespace, pace=OFTEN) as fed:
        await eventually(lambda: len(fed.there) == 5)
        await faulty.inject({"type": "ERROR", "object": error(500)})
        await eventually(lambda: fed.cluster.restarts >= 1)
        await eventually(lambda: faulty.watches == len(KINDS))
        await asyncio.sleep(1)
    assert set(faulty.methods) == {"GET"}
    assert [await client.get(key_of(raw)) for raw in before] == before


async def test_a_change_of_status_wakes_nobody(client: Client, faulty: FaultyApi, namespace: str) -> None:
    marks: list[bool] = []

    def changed(*, urgent: bool) -> None:
        marks.append(urgent)

    store = Store(Edge(), lambda: datetime.now(UTC), changed)
    async with watching(client, faulty, namespace) as fed:
        take = fed.take
        fed.cluster._ledger._feed = lambda change: (take(change), store.apply(change))[1]
        route = await client.create(edge_route(namespace, "web"))
        await eventually(lambda: len(marks) == 1)
        seen = len(fed.changes)
        condition = {"type": "Ready", "status": "True", "reason": "Serving", "message": "", "observedGeneration": 1}
        condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        await client.apply_status({**edge_route(namespace, "web"), "status": {"conditions": [condition]}})
        await eventually(lambda: len(fed.changes) > seen)
        assert len(marks) == 1
        assert store.entries[key_of(route)].generation == 1


async def test_only_labelled_objects_are_watched_when_labels_are_asked_for(
    client: Client, faulty: FaultyApi, namespace: str
) -> None:
    kinds = (Watched(RESOURCES["ConfigMap"], "owner=edgerun"),)
    about = {"apiVersion": "v1", "kind": "ConfigMap"}
    for name, labels in (("listed", {"owner": "edgerun"}), ("other", {})):
        await client.create({**about, "metadata": {"name": name, "namespace": namespace, "labels": labels}})
    async with watching(client, faulty, namespace, kinds=kinds) as fed:
        for name, labels in (("other-seen", {}), ("seen", {"owner": "edgerun"})):
            await client.create({**about, "metadata": {"name": name, "namespace": namespace, "labels": labels}})
        await eventually(lambda: {key.name for key in fed.there} == {"listed", "seen"})
        assert {key_of(change.raw).name for change in fed.changes if isinstance(change, Seen)} == {"listed", "seen"}


async def test_five_hundred_objects_come_and_go(client: Client, faulty: FaultyApi, namespace: str) -> None:
    async with watching(client, faulty, namespace) as fed:
        routes = [edge_route(namespace, f"web-{number}") for number in range(500)]
        made = [await part for part in asyncio.as_completed([client.create(route) for route in routes])]
        await eventually(lambda: len(fed.there) == 500)
        await asyncio.gather(*(client.delete(key_of(raw), raw["metadata"]["uid"]) for raw in made[100:]))
        await eventually(lambda: set(fed.there) == {key_of(raw) for raw in made[:100]})
        assert not fed.cluster.corrections


async def test_a_stopped_source_tells_nothing_more(client: Client, faulty: FaultyApi, namespace: str) -> None:
    async with watching(client, faulty, namespace) as fed:
        await client.create(edge_route(namespace, "web"))
        await eventually(lambda: fed.there)
    assert not fed.cluster._sensor._thread.is_alive()
    await eventually(lambda: faulty.watches == 0)
    await client.create(edge_route(namespace, "later"))
    assert len(fed.there) == 1
