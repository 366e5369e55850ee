"""Real edges, and a control plane that ends and begins anew while a revision sleeps, closes or wakes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.api.originservice import OriginServiceStatus
from edgerun.runtime.board import as_document
from edgerun.runtime.controller import Controller
from edgerun.runtime.passage import Passage
from edgerun.runtime.revising import Revising
from edgerun.runtime.scaling import Scaling
from edgerun.runtime.waking import Waking
from edgerun.sources.store import Seen
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import Plan
from edgerun.translate.statuses import origin_status
from edgerun.translate.world import AWAKE, Edge, Endpoint, FleetObservation, OriginObservation, Sleep, World
from support.fleet import Proxy, fleet
from support.handouts import secrets
from support.load import load
from support.origins import origin
from support.poll import eventually
from support.ports import free_port
from support.standalone import fetch

pytestmark = [pytest.mark.envoy, pytest.mark.load]

SERVICE = ObjectKey("OriginService", "shop", "cart")
CART = revision_key(SERVICE, "cart-00001")
EDGES = ("one", "two")
START_S = 0.5  # of a replica


def _object(kind: str, name: str, **spec: Any) -> Seen:
    metadata = {"namespace": "shop", "name": name, "uid": "1"}
    return Seen({"apiVersion": "edgerun.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})


@dataclass(frozen=True, slots=True)
class Deployment:
    replicas: int = 0
    epoch: int = 0
    before: int | None = None


@dataclass(slots=True)
class Cluster:
    """What outlives a control plane: a Deployment and its pods. What it was about to write, `noted`, does not."""

    noted: Deployment = Deployment()
    written: Deployment = Deployment()
    port: int = 0
    pod: AsyncExitStack | None = None

    async def reconcile(self) -> None:
        """One pod at most. It ends at once, whatever it has to do."""
        self.written = self.noted
        if self.pod and not self.written.replicas:
            pod, self.pod, self.port = self.pod, None, 0
            await pod.aclose()
        elif self.written.replicas and not self.pod:
            pod = AsyncExitStack()
            await asyncio.sleep(START_S)
            self.port = (await pod.enter_async_context(origin("cart"))).port
            self.pod = pod

    def observed(self) -> OriginObservation:
        ready = (Endpoint("127.0.0.1", self.port),) if self.port else ()
        phase = OriginPhase.READY if ready else OriginPhase.PENDING
        there = self.written
        return OriginObservation(phase, ready, replicas=there.replicas, epoch=there.epoch, before=there.before)


class Plane:
    """A control plane, which goes on from what one `before` it left in statuses."""

    def __init__(self, cluster: Cluster, port: int, before: "Plane | None" = None) -> None:
        self.cluster = cluster
        self.controller = Controller(
            Edge(port=port, reuse_port=True), self._act, lambda keys: None, _takes_all, secrets=secrets
        )
        store = self.controller.store
        statuses = before.statuses() if before else {}
        self.revising = Revising(self.controller, local=before is None, shown=lambda key: statuses.get(key, {}))
        self.waking = Waking(store, Passage.of(self.controller), told=lambda scaled: None)
        self.scaling = Scaling(
            store,
            self.controller.loads,
            local=True,
            told=lambda scaled: None,
            world=self.controller.world,
            rest=self.waking.rest,
        )
        store.observe_fleet("default", FleetObservation(replicas=2, ready=EDGES))
        template = {"spec": {"containers": [{"image": "cart"}]}}
        store.apply(_object("OriginService", "cart", scaling={"minScale": 0, "window": "6s"}, template=template))
        store.apply(_object("EdgeRoute", "web", rules=[{"origins": [{"service": {"name": "cart"}}]}]))
        if before:
            store.revisions.update(before.controller.store.revisions)
            self.waking.observe(CART, cluster.observed())
            self.revising.gained()
            self.waking.forget()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def sleep(self) -> Sleep:
        return self.controller.store.epochs.get(CART, AWAKE).sleep

    def statuses(self) -> dict[ObjectKey, Any]:
        assert self.controller.published
        verdict = self.controller.published.plan.verdicts[SERVICE]
        made = as_document(origin_status(verdict, OriginServiceStatus(), now="2026-01-01T00:00:00Z"))
        return {SERVICE: made, CART: {"proven": True}}

    async def begin(self, socket: Path) -> None:
        self.controller.rebuild()
        await self.controller.server.start(f"unix:{socket}")
        works: tuple[Coroutine[Any, Any, None], ...] = (
            self.controller.run(),
            self.revising.run(),
            self.waking.run(),
            self.scaling.run(),
            self._observe(),
        )
        self._tasks = [asyncio.create_task(work) for work in works]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.controller.server.stop(grace_s=0.2)

    async def _observe(self) -> None:
        while True:
            await self.cluster.reconcile()
            self.waking.observe(CART, self.cluster.observed())
            await asyncio.sleep(0.02)

    def _act(self, plan: Plan) -> None:
        for run in plan.running:
            self.cluster.noted = Deployment(run.replicas, run.epoch, run.before)


async def _takes_all(world: World, edge: str) -> str | None:
    return None


@dataclass(slots=True)
class Shop:
    socket: Path
    proxies: tuple[Proxy, ...]
    plane: Plane
    cluster: Cluster

    async def restart(self) -> None:
        await self.plane.end()
        self.cluster.noted = self.cluster.written
        self.plane = Plane(self.cluster, free_port(), self.plane)
        await self.plane.begin(self.socket)

    async def becomes(self, sleep: Sleep) -> None:
        await eventually(lambda: self.plane.sleep is sleep, what=f"it is {sleep}")


@asynccontextmanager
async def _shop(directory: Path) -> AsyncIterator[Shop]:
    cluster, socket = Cluster(), directory / "xds.sock"
    plane = Plane(cluster, free_port())
    await plane.begin(socket)
    async with fleet(directory, socket, EDGES, load_reports=True) as proxies:
        made = Shop(socket, proxies, plane, cluster)
        try:
            for proxy in proxies:
                await proxy.listening()
                await eventually(partial(_answers, proxy))
            yield made
        finally:
            await made.plane.end()
            if cluster.pod:
                await cluster.pod.aclose()


async def _answers(proxy: Proxy) -> bool:
    return (await fetch(proxy.port, "/")).status == 200


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    with TemporaryDirectory() as path:  # tmp_path is too long a name for a socket
        async with _shop(Path(path)) as made:
            yield made


async def test_it_sleeps_through_a_new_control_plane_and_is_woken_by_it(shop: Shop) -> None:
    await shop.becomes(Sleep.ASLEEP)
    await eventually(lambda: shop.cluster.pod is None)
    await shop.restart()
    held = [asyncio.create_task(fetch(proxy.port, "/")) for proxy in shop.proxies]
    assert [(await one).status for one in held] == [200, 200]


async def test_what_waits_is_answered_by_the_next_control_plane(shop: Shop) -> None:
    await shop.becomes(Sleep.ASLEEP)
    await eventually(lambda: shop.cluster.pod is None)
    held = [asyncio.create_task(fetch(proxy.port, "/")) for proxy in shop.proxies]
    await shop.becomes(Sleep.WAKING)
    await shop.restart()
    assert [(await one).status for one in held] == [200, 200]


async def test_what_comes_while_a_control_plane_ends_that_has_begun_to_close_is_answered(shop: Shop) -> None:
    await shop.becomes(Sleep.CLOSING)
    async with load(shop.proxies[0].port, connections=5, path="/?delay=20ms") as one:
        await shop.restart()
        await eventually(lambda: one.answered > 100)
    assert not one.failed, one
    await shop.becomes(Sleep.ASLEEP)
