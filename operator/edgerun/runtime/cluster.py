"""Cluster mode: EdgeRoutes and their kin from an API server, edge pods and origins as Deployments.

Every replica reads everything and builds every plan; the one that leads also serves proxies, writes what is to be
written, and decides. Whoever begins to lead has it all at hand.

Trap: a status is a promise to people. A new leader says nothing before the proxies have come back to it, or had their
time: else every route would be said to be down for a moment.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from ..api import originrevision
from ..api.meta import ObjectKey, object_key
from ..credentials.clock import SteadyClock
from ..errors import ApiError
from ..infra.kubernetes import client as kubernetes
from ..infra.kubernetes.applier import Applier, Result
from ..infra.kubernetes.client import Client
from ..infra.kubernetes.leader import Timing
from ..infra.kubernetes.yielding import Yielding
from ..metrics import Metrics
from ..settings import ClusterSettings
from ..sources.cluster import Pace
from ..sources.store import Change, Gone, Seen
from ..sources.workloads import made_by
from ..translate.leadership import xds_endpoint
from ..translate.plan import Plan
from ..translate.world import Installation
from . import http, parts
from .children import UNWATCHED, Children
from .default_edge import DefaultEdge
from .origins import Origins
from .vital_signs import vital_signs

_TIMING, _PACE = Timing(), Pace()

Object = Mapping[str, Any]


@asynccontextmanager
async def running(
    settings: ClusterSettings, timing: Timing = _TIMING, pace: Pace = _PACE
) -> AsyncIterator["ClusterRuntime"]:
    """At work until the block is left. Raises EdgerunError when it cannot begin."""
    began = time.monotonic()
    metrics = Metrics(lambda: vital_signs(runtime, time.monotonic() - began), lease=settings.name)
    async with kubernetes.connected(settings.kubeconfig, observer=metrics.requested) as client:
        place = await parts.installation(client, settings)
        runtime = ClusterRuntime(settings, place, client, metrics, timing, pace)
        pages = http.pages(metrics, lambda: vital_signs(runtime, time.monotonic() - began))
        documents = http.issuer_pages(runtime.issuing.document)
        async with http.serving({**pages, **documents}, port=settings.http_port), runtime.serving():
            yield runtime


class ClusterRuntime:
    """The parts of one replica."""

    def __init__(
        self,
        settings: ClusterSettings,
        place: Installation,
        client: Client,
        metrics: Metrics,
        timing: Timing,
        pace: Pace,
    ) -> None:
        self._settings, self._place, self.metrics, self.pace = settings, place, metrics, pace
        self.clock = SteadyClock(client.server_time)
        self.leader = parts.candidate(settings, place, client, timing, gained=self._gained, lost=self._lost)
        here = parts.Replica(settings, place, client, metrics, self.leader.valid, self.clock)
        self.telling = parts.telling(here, may_promise=self._may_promise)
        self.controller = parts.controller(
            here,
            act=self._act,
            tell=self._tell,
            before=self.telling.remembered,
            guards=lambda account: self.origins.observing.guards.fleet(account),
        )
        self.rotation = parts.rotation(here, changed=self._trusting)
        self.wire = parts.wire(here, changed=lambda: self.issuing.nudge())
        self.leading = parts.leading(here, self.controller, lambda: self.rotation.server)
        self.origins = Origins(self.controller, place, client, metrics, self.telling.shown, self.telling.event)
        observing, yielding = self.origins.observing, Yielding(self.origins.scaled_by_hand)
        self.issuing = parts.issuing(
            here,
            self.controller,
            lambda: self.wire.authorities,
            reunited=self.leading.reunited,
            expected=observing.guards.ready,
        )
        self.applier = Applier(client, self.leader.valid, self, lambda raw: made_by(raw, place), yielding)
        self._children = Children(client, self.applier, observing, object_key(xds_endpoint(place, settings.pod_ip)))
        self._default_edge = DefaultEdge(client, settings.default_edge_proxy, self.leader.valid)
        self.sources = tuple(parts.sources(settings, client, self._feed, pace))
        self._synced, self._settled = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Everything at work; the Lease is given away when the block is left, after the last write."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work, name=name) for name, work in self._tasks()]
            leading = group.create_task(self._lead(), name="leader")
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                leading.cancel()

    def _tasks(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        return (
            *((f"source {number}", source.run(self._sync)) for number, source in enumerate(self.sources)),
            ("controller", self._control()),
            ("authorities", self.rotation.run()),
            ("wire", self.wire.run()),
            ("keys", self.issuing.run()),
            ("xds", self._serve()),
            ("applier", self.applier.run()),
            ("reunion", self._catch_up()),
            ("children", self._children.run(self.leading.leads)),
            ("default edge", self._default_edge.run()),
            *self.telling.tasks(),
            *self.origins.tasks(self.leading),
        )

    async def _control(self) -> None:
        """Nothing is published before everything is known: half a world is a wrong one."""
        await self._synced.wait()
        await self._settled.wait()
        await self.issuing.ready()
        await self.controller.run()

    async def _lead(self) -> None:
        """Only who knows everything may lead: what is not known would be deleted."""
        await self._synced.wait()
        await self.leader.run()

    async def _serve(self) -> None:
        await self.rotation.ready()
        await self.leading.run()

    # What the parts tell.

    def _feed(self, change: Change) -> None:
        """The source sees an object, or sees it no longer."""
        key = object_key(change.raw) if isinstance(change, Seen) else change.key
        if key.kind == originrevision.KIND:
            self._feed_revision(key, change)
        if key.kind in parts.WATCHED_WORKLOADS:
            self._feed_workload(key, change)
            return
        if isinstance(change, Seen):
            self._see(key, change)
        else:
            self._forget(key)
        self.origins.observing.look(key)

    def _see(self, key: ObjectKey, seen: Seen) -> None:
        before, now = self.telling.seen(key), seen.raw["metadata"]
        if before and before["metadata"]["uid"] != now["uid"]:
            self._forget(key)  # it was deleted and made anew; that it was gone need not have been told
        self.controller.store.apply(seen)
        self.telling.see(key, seen.raw)
        if before is None or before["metadata"].get("generation") != now.get("generation"):
            self.origins.references.hasten(key.namespace)  # with it a Secret may have changed that is not watched

    def _forget(self, key: ObjectKey) -> None:
        if self.telling.seen(key) is None:
            return
        self.controller.store.apply(Gone(key))
        self.controller.board.forget(key)
        self.telling.gone(key)

    async def _catch_up(self) -> None:
        """Say what changed while nobody led, or nobody could say it of all proxies."""
        while True:
            await self.leading.reunion()
            self.telling.nudge()
            self._tell(tuple(self.controller.board.lines))
            await self.leading.stands_by()

    def _sync(self) -> None:
        if all(source.synced for source in self.sources):
            self._synced.set()

    def _feed_workload(self, key: ObjectKey, change: Change) -> None:
        if isinstance(change, Seen):
            if key.kind in parts.OBSERVED:
                self.origins.observing.see(change.raw)
            if key.kind != "Pod":
                self.applier.see(change.raw)
        else:
            self.origins.observing.gone(key)
            self.applier.gone(key)

    def _feed_revision(self, key: ObjectKey, change: Change) -> None:
        raw = change.raw if isinstance(change, Seen) else None
        self.origins.revise(key, raw)
        if raw is None:
            self.telling.gone(key)
            return
        known = self.telling.seen(key)
        self.telling.see(key, raw)
        if known is None:
            self._tell((key,))  # the plan that makes a revision speaks of it before it is there

    def _act(self, plan: Plan) -> None:
        known = (one for one in plan.manifests if not self.origins.leaves(one))
        manifests = (xds_endpoint(self._place, self._settings.pod_ip), *known)
        self.applier.want(manifests, spared=self.origins.spares)
        self._default_edge.look(self.controller.store.entries)
        self.origins.act(plan)

    def _tell(self, keys: tuple[ObjectKey, ...]) -> None:
        for key in keys:
            if line := self.controller.board.lines.get(key):
                self.telling.status(key, line.status)

    def applied(self, kind: str, result: Result) -> None:
        self.metrics.applied(kind, result)

    def refused(self, manifest: Object, error: ApiError | None) -> None:
        self.origins.observing.refused(manifest, error)

    def stored(self, raw: Object) -> None:
        if raw["kind"] == "Service":  # what is watched tells of itself
            self.origins.observing.see(raw)

    def _gained(self) -> None:
        self.telling.gained()
        self.origins.gained()
        self.leading.gained()
        self.issuing.gained()
        self.applier.nudge(UNWATCHED)
        self._default_edge.nudge()

    def _lost(self) -> None:
        self.leading.lost()
        self.origins.lost()
        self.issuing.lost()

    def _trusting(self, bundle: str) -> None:
        self.controller.store.settle(replace(self._place, trust_bundle=bundle))
        self._settled.set()

    def _may_promise(self) -> bool:
        return self.leader.valid() and self.leading.reunited()
