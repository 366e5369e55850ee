"""Looks at the revisions of every OriginService before each plan, and puts what follows into the World.

Who leads remembers by itself what followed, from what the statuses told when it began. Who does not reads them anew
whenever they change, and what follows is not carried out. Where nobody else does it, what is to be made is made here.

Trap: it looks right before each plan, so what is published holds what was decided, and no plan is in between.
"""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from datetime import datetime
from functools import partial

from ..api import originservice
from ..api.meta import ObjectKey
from ..api.originrevision import OriginRevision, OriginRevisionStatus
from ..api.originservice import OriginService
from ..api.problems import REJECTED_BY_PROXY
from ..api.reading import partly
from ..translate.identities import is_guard
from ..translate.names import revision_key
from ..translate.revisions.follow import Outcome
from ..translate.revisions.objects import as_object, owner_name
from ..translate.revisions.patience import longest_request_s, patience_s
from ..translate.revisions.recalling import recalled
from ..translate.revisions.trial import Tally
from ..translate.world import AWAKE, World
from .controller import ACKNOWLEDGED_WITHIN_S, Controller, Published
from .followed import Followed, Inputs, Object, Others, edges_of
from .orders import Orders
from .passage import Passage

TICK_S = 1.0
_LINGERS_S = 0.25  # how often it is looked whether anything is under way to those that have lost their requests
_SOON_S = 0.05  # what is due at once is looked at no sooner


async def _always() -> None:
    """There is nobody else who could lead."""


class Revising:
    """`local` is whether revisions are made here, and nowhere else. `shown` is the status of an object as an API server
    has it, empty where there is none. `passage` tells what is under way, and `clock` is that of its reports. `orders`
    are what was ordered by asking this process."""

    def __init__(
        self,
        controller: Controller,
        *,
        local: bool,
        shown: Callable[[ObjectKey], Object] = lambda key: {},
        passage: Passage | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._controller, self._local, self._shown = controller, local, shown
        self._passage, self._clock = passage or Passage.of(controller), clock
        self.orders = Orders()
        self._leads = local
        self._followed: dict[ObjectKey, Followed] = {}
        self._seen: dict[ObjectKey, OriginRevision] = {}
        self._revisions: dict[ObjectKey, tuple[OriginRevision, ...]] = {}  # by OriginService
        controller.revise, controller.progressed = self.world, self.heard

    async def run(self, leads: Callable[[], Awaitable[None]] = _always) -> None:
        """Count what the edges tell, and look again when the time has come, while `leads` returns, until cancelled."""
        while True:
            await leads()
            await asyncio.sleep(self._pause_s())
            self.tick()

    def gained(self) -> None:
        """This process leads from now on."""
        self._begin_anew(leads=True)

    def lost(self) -> None:
        """Somebody else decides from now on."""
        self._begin_anew(leads=False)

    def tick(self) -> None:
        """Time has passed."""
        now = self._controller.clock()
        self.heard()
        due = any(one.again and one.again <= now for one in self._followed.values()) or self._over()
        if self._count(self._controller.loads.ended(), now) or due:
            self._controller.store.changed(urgent=True)

    def heard(self) -> None:
        """A proxy has acknowledged something: maybe what somebody waits for."""
        if any(one.acknowledged(acked) for _, one, acked in self._pending()):
            self._controller.store.changed(urgent=True)

    def world(self, world: World) -> World:
        """With what was decided of every OriginService."""
        now = self._controller.clock()
        self._group(world.revisions)
        self._progress(world)
        for one, name in self._over():
            one.let_go(name)
        revised = {service.key: self._look(service, world, now) for service in world.origins}
        self._forget_all_but(revised)
        revisions = dict(self._controller.store.revisions) if self._local else world.revisions
        return dataclasses.replace(world, revisions=revisions, revised=revised)

    def _look(self, service: OriginService, world: World, now: datetime) -> Outcome:
        followed = self._follow_from(service, world)
        inputs = self._inputs(service, world)
        if settled := followed.settled(inputs, now):
            return settled
        taken = Others(self._seen, service.key)
        outcome = followed.look(inputs, taken, now)
        if not (self._local and (outcome.made or outcome.collected)):
            return outcome
        self._carry_out(service, outcome)
        return followed.look(self._inputs(service, world), taken, now)

    def _inputs(self, service: OriginService, world: World) -> Inputs:
        revisions = self._revisions.get(service.key, ())
        refusal = world.refusals.get(service.key)
        return Inputs(
            self.orders.annotated(service),
            revisions,
            tuple(world.observations.get(one.key) for one in revisions),
            tuple(world.epochs.get(one.key, AWAKE) for one in revisions),
            refusal is not None and refusal.reason == REJECTED_BY_PROXY,
        )

    def _follow_from(self, service: OriginService, world: World) -> Followed:
        followed = self._followed.get(service.key)
        told = self._shown(service.key)
        if followed is None or not (self._leads or followed.told is told or followed.told == told):
            followed = self._followed[service.key] = self._begun(service, world, told)
        return followed

    def _begun(self, service: OriginService, world: World, told: Object) -> Followed:
        """Whoever is to have replicas may get requests of proxies that were told so by somebody else."""
        revisions = self._revisions.get(service.key, ())
        observed = ((one.metadata.name, world.observations.get(one.key)) for one in revisions)
        running = frozenset(name for name, one in observed if one and one.endpoints and one.replicas != 0)
        known = {one.metadata.name: self._status_of(one) for one in revisions}
        memory = recalled(service.metadata.name, told, {one.metadata.name: one.spec.number for one in revisions})
        return Followed(told, memory, running, known)

    def _status_of(self, one: OriginRevision) -> OriginRevisionStatus:
        shown = self._shown(one.key)
        return partly(shown, OriginRevisionStatus).value if shown else one.status

    def _begin_anew(self, *, leads: bool) -> None:
        self._leads = leads
        self._followed.clear()
        self._controller.store.changed(urgent=True)

    def _group(self, revisions: Mapping[ObjectKey, OriginRevision]) -> None:
        if revisions == self._seen:
            return
        self._seen = dict(revisions)
        found: dict[ObjectKey, list[OriginRevision]] = {}
        for key, one in sorted(revisions.items()):
            found.setdefault(_owner(one), []).append(self._seen[key])
        self._revisions = {key: tuple(ones) for key, ones in found.items()}

    def _carry_out(self, service: OriginService, outcome: Outcome) -> None:
        store = self._controller.store
        made = [as_object(service, outcome.made)] if outcome.made else []
        there = {one.key: one for one in (*self._revisions.get(service.key, ()), *made)}
        for one in made:
            store.revise(one.key, one)
            self._seen[one.key] = one
        for name in outcome.collected:
            key = revision_key(service.key, name)
            store.revise(key, None)
            del self._seen[key], there[key]
        self._revisions[service.key] = tuple(there[key] for key in sorted(there))

    def _forget_all_but(self, present: Collection[ObjectKey]) -> None:
        store = self._controller.store
        for key in [key for key in self._followed if key not in present and key not in store.entries]:
            del self._followed[key]
            self.orders.forget(key)
            for one in self._revisions.get(key, ()) if self._local else ():
                store.revise(one.key, None)

    def _progress(self, world: World) -> None:
        heard = [(key, one, acked) for key, one, acked in self._pending() if one.acknowledged(acked)]
        longest_s = longest_request_s(world.routes) if heard else {}
        for key, one, acked in heard:
            one.progress(acked, self._clock(), partial(patience_s, longest_s=longest_s.get(key, 0.0)))

    def _over(self) -> tuple[tuple[Followed, str], ...]:
        """Those that have lost their requests and answered them, or had their time for it."""
        lingering = {revision_key(key, name): one for key, one in self._followed.items() for name in one.lingering}
        now, awaited = self._clock(), self._passage.awaited(lingering)
        for key in awaited:
            lingering[key].answers(key.name, now + ACKNOWLEDGED_WITHIN_S)
        stays = {key: one.lingering[key.name] for key, one in lingering.items()}
        left = self._passage.left({key: stay.since for key, stay in stays.items()}) - awaited
        over = (key for key, stay in stays.items() if key in left or stay.until <= now)
        return tuple((lingering[key], key.name) for key in over)

    def _pending(self) -> Iterator[tuple[ObjectKey, Followed, int]]:
        """Those that wait for proxies, and what these have acknowledged: without proxies, all that was published."""
        published = self._controller.published
        waiting = [(key, one) for key, one in self._followed.items() if one.pending]
        if published is None or not waiting:
            return
        edges, acked = edges_of(published.world), self._acked(published)
        for key, one in waiting:
            one.sent(published.world.revised.get(key), published.serial, edges.get(key, frozenset()))
            yield key, one, min((acked[edge] for edge in one.edges if edge in acked), default=published.serial)

    def _acked(self, published: Published) -> Mapping[str, int]:
        """What every proxy of an edge has acknowledged."""
        edges = (fleet for fleet in published.plan.fleets if not is_guard(fleet))
        return {edge: min(self._controller.crew(edge), default=published.serial) for edge in edges}

    def _count(self, tallies: Mapping[ObjectKey, Tally], now: datetime) -> bool:
        """Whether some revision fails too often."""
        by_owner: dict[ObjectKey, dict[str, Tally]] = {}
        for key, tally in tallies.items():
            if revision := self._seen.get(key):
                by_owner.setdefault(_owner(revision), {})[key.name] = tally
        failed = [self._followed[key].count(found, now) for key, found in by_owner.items() if key in self._followed]
        return any(failed)

    def _pause_s(self) -> float:
        now = self._controller.clock()
        moments = ((one.again - now).total_seconds() for one in self._followed.values() if one.again)
        tick_s = _LINGERS_S if any(one.lingering for one in self._followed.values()) else TICK_S
        return min(tick_s, max(_SOON_S, min(moments, default=tick_s)))


def _owner(one: OriginRevision) -> ObjectKey:
    return ObjectKey(originservice.KIND, one.metadata.namespace, owner_name(one))
