"""Looks at the revisions of every OriginService before each plan, and remembers what followed.

Who leads remembers by itself, from what the statuses told when it began. Who does not reads them anew each time they
change, and what follows is not carried out. Where nobody else does, what is to be made is made here.

Trap: proxies have acknowledged an assignment when they have acknowledged the first publication with it. Until then
whoever lost its requests by it keeps its replicas and its cluster.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from ..api import originservice
from ..api.meta import ObjectKey
from ..api.originrevision import OriginRevision, OriginRevisionStatus
from ..api.originservice import OriginService, OriginServiceStatus
from ..api.problems import REJECTED_BY_PROXY
from ..translate.identities import is_guard
from ..translate.names import revision_key
from ..translate.revisions.follow import Facts, Outcome, follow
from ..translate.revisions.memory import Memory, remembered
from ..translate.revisions.objects import as_object, looked_at, owner_name
from ..translate.revisions.revision import Revision, same
from ..translate.revisions.trial import Window
from ..translate.revisions.wishes import nameless, wish
from ..translate.world import AWAKE, Epoch, OriginObservation, World
from .controller import Controller
from .orders import Orders

TICK_S = 1.0
_SOON_S = 0.05  # what is due at once is looked at no sooner
_SWEPT = timedelta(hours=1)  # how often time alone may show that a revision can go

Object = Mapping[str, Any]


async def _always() -> None:
    """There is nobody else who could lead."""


class _Inputs(NamedTuple):
    """What an outcome depends on beside the time. As long as these are the same nothing else follows."""

    service: OriginService
    revisions: tuple[OriginRevision, ...]
    observations: tuple[OriginObservation | None, ...]
    epochs: tuple[Epoch, ...]
    pending: bool
    refused: bool


@dataclass(slots=True)
class _Followed:
    """One OriginService. `told` is the status that its memory began with. `reached` are all revisions that were in an
    assignment since the last one that all proxies have acknowledged; `serial` is the first publication of the newest,
    and `pending` whether somebody waits for its acknowledgement."""

    told: Object
    memory: Memory
    reached: frozenset[str]
    known: dict[str, OriginRevisionStatus] = field(default_factory=dict)
    outcome: Outcome | None = None
    inputs: _Inputs | None = None
    again: datetime | None = None
    serial: int | None = None
    pending: bool = False
    window: Window = ()

    @property
    def assigned(self) -> frozenset[str]:
        """Who can be reached by the newest plan."""
        return self.outcome.assignment.revisions if self.outcome else frozenset()


class Revising:
    """`local` is whether revisions are made here, and nowhere else. `shown` is the status of an object as an API server
    has it, empty where there is none. `orders` are what was ordered by asking this process."""

    def __init__(self, controller: Controller, *, local: bool, shown: Callable[[ObjectKey], Object] = lambda _: {}):
        self._controller, self._local, self._shown = controller, local, shown
        self.orders = Orders()
        self._leads = local
        self._followed: dict[ObjectKey, _Followed] = {}
        self._seen: Mapping[ObjectKey, OriginRevision] = {}
        self._revisions: dict[ObjectKey, tuple[OriginRevision, ...]] = {}  # by OriginService
        controller.revise, controller.progressed = self.world, self.heard

    async def run(self, leads: Callable[[], Awaitable[None]] = _always) -> None:
        """Look again when the time has come, while `leads` returns, until cancelled."""
        while True:
            await leads()
            await asyncio.sleep(self._pause_s())
            self.heard()
            if self._due():
                self._controller.store.changed(urgent=True)

    def gained(self) -> None:
        """This process leads from now on."""
        self._begin_anew(leads=True)

    def lost(self) -> None:
        """Somebody else decides from now on."""
        self._begin_anew(leads=False)

    def heard(self) -> None:
        """A proxy has acknowledged something: maybe what somebody waits for."""
        self._note_serials()
        if any(self._acknowledged(one, acked) for acked in (self._acked(),) for one in self._pending()):
            self._controller.store.changed(urgent=True)

    def world(self, world: World) -> World:
        """With what was decided of every OriginService."""
        now = self._controller.clock()
        self._group(world.revisions)
        self._note_serials()
        acked = self._acked()
        for one in self._pending():
            if self._acknowledged(one, acked):
                one.pending, one.reached = False, one.assigned
        revised = {service.key: self._look(service, world, now) for service in world.origins}
        self._forget_all_but(revised)
        revisions = dict(self._controller.store.revisions) if self._local else world.revisions
        return dataclasses.replace(world, revisions=revisions, revised=revised)

    # One look.

    def _look(self, service: OriginService, world: World, now: datetime) -> Outcome:
        followed = self._follow_from(service, world)
        inputs = self._inputs(service, world, followed)
        if followed.outcome and followed.inputs == inputs and not (followed.again and followed.again <= now):
            return followed.outcome
        outcome = self._decide(inputs, followed, now)
        if self._local and (outcome.made or outcome.collected):
            self._carry_out(service, outcome)
            self._remember(followed, outcome)
            self._group(self._controller.store.revisions)
            inputs = self._inputs(service, world, followed)
            outcome = self._decide(inputs, followed, now)
        self._remember(followed, outcome)
        settled = not (outcome.made or outcome.problems)
        followed.inputs = inputs._replace(pending=followed.pending) if settled else None
        followed.again = self._next_look(outcome, now)
        return outcome

    def _decide(self, inputs: _Inputs, followed: _Followed, now: datetime) -> Outcome:
        """Who loses its requests by this very look drains from now on, so that is looked at once more."""
        service = inputs.service
        facts = Facts(
            now=now,
            revisions=tuple(_considered(inputs, self._looked_at(inputs, followed))),
            acknowledged=not inputs.pending,
            draining=followed.reached - followed.assigned,
            taken=_Others(self._seen, service.key),
            window=followed.window,
        )
        outcome = follow(wish(service), facts, followed.memory)
        draining = followed.reached - outcome.assignment.revisions
        if draining != facts.draining:
            outcome = follow(wish(service), dataclasses.replace(facts, draining=draining), followed.memory)
        return outcome

    def _looked_at(self, inputs: _Inputs, followed: _Followed) -> Iterator[Revision]:
        for one, observed, epoch in zip(inputs.revisions, inputs.observations, inputs.epochs, strict=True):
            status = followed.known.get(one.metadata.name) or self._status_of(one)
            yield looked_at(one, status, observed, epoch)

    def _inputs(self, service: OriginService, world: World, followed: _Followed) -> _Inputs:
        revisions = self._revisions.get(service.key, ())
        refusal = world.refusals.get(service.key)
        return _Inputs(
            self.orders.annotated(service),
            revisions,
            tuple(world.observations.get(one.key) for one in revisions),
            tuple(world.epochs.get(one.key, AWAKE) for one in revisions),
            followed.pending,
            refusal is not None and refusal.reason == REJECTED_BY_PROXY,
        )

    def _remember(self, followed: _Followed, outcome: Outcome) -> None:
        if followed.outcome is None or followed.outcome.assignment != outcome.assignment:
            followed.serial = None
        followed.outcome, followed.memory = outcome, outcome.memory
        followed.known = {
            one.name: OriginRevisionStatus(proven=one.proven, last_active=one.last_active) for one in outcome.revisions
        }
        followed.reached |= outcome.assignment.revisions
        rollout = outcome.memory.rollout
        first_step = rollout.begun is not None and rollout.next_step is None
        followed.pending = first_step or followed.reached != outcome.assignment.revisions

    def _next_look(self, outcome: Outcome, now: datetime) -> datetime | None:
        sweep = [now + _SWEPT] if len(outcome.revisions) > Facts(now=now).retention.least else []
        return min([*sweep, *([outcome.again] if outcome.again else [])], default=None)

    # What is remembered.

    def _follow_from(self, service: OriginService, world: World) -> _Followed:
        followed = self._followed.get(service.key)
        told = self._shown(service.key)
        if followed is None or not (self._leads or followed.told is told or followed.told == told):
            followed = self._followed[service.key] = self._begun(service, world, told)
        return followed

    def _begun(self, service: OriginService, world: World, told: Object) -> _Followed:
        """Whoever has replicas may get requests of proxies that were told by somebody else before."""
        running = {
            one.metadata.name
            for one in self._revisions.get(service.key, ())
            if (observed := world.observations.get(one.key)) and observed.endpoints
        }
        return _Followed(told, remembered(_read(told, OriginServiceStatus())), frozenset(running))

    def _status_of(self, one: OriginRevision) -> OriginRevisionStatus:
        found: OriginRevisionStatus = _read(self._shown(one.key), one.status)
        return found

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
            owner = ObjectKey(originservice.KIND, key.namespace, owner_name(one))
            found.setdefault(owner, []).append(one)
        self._revisions = {key: tuple(ones) for key, ones in found.items()}

    # Where nobody else makes what is to be made.

    def _carry_out(self, service: OriginService, outcome: Outcome) -> None:
        store = self._controller.store
        if outcome.made:
            store.revise(revision_key(service.key, outcome.made.name), as_object(service, outcome.made))
        for name in outcome.collected:
            store.revise(revision_key(service.key, name), None)

    def _forget_all_but(self, present: Collection[ObjectKey]) -> None:
        store = self._controller.store
        for key in [key for key in self._followed if key not in present and key not in store.entries]:
            del self._followed[key]
            self.orders.forget(key)
            for one in self._revisions.get(key, ()) if self._local else ():
                store.revise(one.key, None)

    # What proxies have acknowledged, and what time it is.

    def _pending(self) -> Iterator[_Followed]:
        return (one for one in self._followed.values() if one.pending)

    def _note_serials(self) -> None:
        published = self._controller.published
        for key, one in self._followed.items() if published else ():
            if published and one.serial is None and one.outcome:
                sent = published.world.revised.get(key)
                one.serial = published.serial if sent and sent.assignment == one.outcome.assignment else None

    def _acknowledged(self, followed: _Followed, acked: int) -> bool:
        return followed.serial is not None and followed.serial <= acked

    def _acked(self) -> int:
        """What every proxy of every edge has acknowledged; where there is none, all that was published."""
        published = self._controller.published
        if published is None:
            return 0
        edges = (fleet for fleet in published.plan.fleets if not is_guard(fleet))
        return min((serial for edge in edges for serial in self._controller.crew(edge)), default=published.serial)

    def _due(self) -> bool:
        now = self._controller.clock()
        return any(one.again and one.again <= now for one in self._followed.values())

    def _pause_s(self) -> float:
        now = self._controller.clock()
        first = min(
            (one.again for one in self._followed.values() if one.again), default=now + timedelta(seconds=TICK_S)
        )
        return min(TICK_S, max(_SOON_S, (first - now).total_seconds()))


class _Others(Collection[str]):
    """The names of all revisions of a namespace that are not this OriginService's."""

    def __init__(self, revisions: Mapping[ObjectKey, OriginRevision], service: ObjectKey) -> None:
        self._revisions, self._service = revisions, service

    def __contains__(self, name: object) -> bool:
        found = self._revisions.get(revision_key(self._service, str(name)))
        return found is not None and owner_name(found) != self._service.name

    def __iter__(self) -> Iterator[str]:
        names = (key.name for key in self._revisions if key.namespace == self._service.namespace)
        return (name for name in names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _considered(inputs: _Inputs, revisions: Iterator[Revision]) -> Iterator[Revision]:
    """All; but while proxies refuse a version, whose template is that of before, none that is newer than that: it would
    be served, or its predecessor be made anew."""
    found = tuple(revisions)
    template = nameless(inputs.service.spec.template)
    fits = [one.number for one in found if same(one.template, template)] if inputs.refused else []
    return (one for one in found if not fits or one.number <= max(fits))


def _read(stored: Object, otherwise: Any) -> Any:
    """A status of the shape of `otherwise`, which holds when there is none that can be read."""
    try:
        return msgspec.convert(stored, type(otherwise)) if stored else otherwise
    except msgspec.ValidationError:  # written by another version
        return otherwise
