"""What is remembered of one OriginService from one look at its revisions to the next.

Trap: proxies have acknowledged an assignment when they have acknowledged the first publication with it. Until then
whoever lost its requests by it keeps its replicas and its cluster, and from then on until what is under way has ended.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..api.meta import ObjectKey
from ..api.originrevision import OriginRevision, OriginRevisionStatus
from ..api.originservice import KIND, OriginService
from ..api.templates import Template
from ..translate.names import revision_key
from ..translate.revisions.follow import Facts, Outcome, follow
from ..translate.revisions.memory import Memory
from ..translate.revisions.objects import looked_at, owner_name
from ..translate.revisions.revision import Revision, same
from ..translate.revisions.rollout import on_trial
from ..translate.revisions.trial import Tally, Window, counted, first_exceeding
from ..translate.revisions.wishes import nameless, wish
from ..translate.world import Epoch, OriginObservation, World

SWEPT = timedelta(hours=1)  # how often time alone may show that a revision can go

Object = Mapping[str, Any]


class Inputs(NamedTuple):
    """What an outcome depends on beside the time. As long as these are the same nothing else follows."""

    service: OriginService
    revisions: tuple[OriginRevision, ...]
    observations: tuple[OriginObservation | None, ...]
    epochs: tuple[Epoch, ...]
    refused: bool


class Stay(NamedTuple):
    """Of a revision that no request has been led to since `since`; at `until` it goes, whatever is under way."""

    since: float
    until: float


@dataclass(slots=True)
class Followed:
    """`told` is the status that the memory began with. `reached` are all revisions that were in an assignment since the
    last one that all proxies have acknowledged; `serial` is the first publication of the newest, and `pending` whether
    somebody waits for its acknowledgement by the proxies of `edges`. Those that are `lingering` have lost their
    requests, and not answered all."""

    told: Object
    memory: Memory
    reached: frozenset[str]
    known: dict[str, OriginRevisionStatus] = field(default_factory=dict)
    outcome: Outcome | None = None
    again: datetime | None = None
    serial: int | None = None
    pending: bool = False
    edges: frozenset[str] = frozenset()
    lingering: dict[str, Stay] = field(default_factory=dict)
    window: Window = ()
    _inputs: Inputs | None = None  # of the last look
    _was_pending: bool = False
    _stale: bool = False  # the next look may tell something else, be the inputs the same

    def __post_init__(self) -> None:
        self.pending = _waits(self.memory)

    def settled(self, inputs: Inputs, now: datetime) -> Outcome | None:
        """What followed from the last look, if the next one cannot tell anything else."""
        due = self.again is not None and self.again <= now
        same = self._inputs == inputs and self._was_pending == self.pending
        return self.outcome if same and not (due or self._stale) else None

    def look(self, inputs: Inputs, taken: Collection[str], now: datetime) -> Outcome:
        """What follows, and is remembered. Who loses its requests by this very look drains from now on."""
        facts = Facts(
            now=now,
            revisions=tuple(_considered(inputs, self._revisions(inputs))),
            acknowledged=not self.pending,
            draining=self.reached - self._assigned,
            lingering=self.lingering,
            taken=taken,
            window=self.window,
        )
        outcome = follow(wish(inputs.service), facts, self.memory)
        draining = self.reached - outcome.assignment.revisions
        if draining != facts.draining:
            outcome = follow(wish(inputs.service), replace(facts, draining=draining), self.memory)
        self._remember(outcome, inputs)
        self._stale = bool(outcome.made or outcome.problems)
        self.again = _next_look(outcome, facts)
        return outcome

    def acknowledged(self, serial: int) -> bool:
        """Whether that is what somebody waits for, when all proxies have acknowledged `serial`."""
        return self.pending and self.serial is not None and self.serial <= serial

    def progress(self, serial: int, now_s: float, patience_s: Callable[[Template], float]) -> None:
        """All proxies have acknowledged `serial`; `patience_s` is that with a revision of a template."""
        if not self.acknowledged(serial):
            return
        for one in self._inputs.revisions if self._inputs else ():
            if one.metadata.name in self.reached - self._assigned:
                self.lingering[one.metadata.name] = Stay(now_s, now_s + patience_s(one.spec.template))
        self.pending, self.reached, self.edges = False, self._assigned, frozenset()

    def answers(self, name: str, since: float) -> None:
        """What waits for this one is under way at `since` at the latest."""
        self.lingering[name] = self.lingering[name]._replace(since=since)

    def let_go(self, name: str) -> None:
        """Nothing is under way to this one any more, or it is not waited for."""
        del self.lingering[name]
        self._stale = True

    def sent(self, outcome: Outcome | None, serial: int, edges: frozenset[str]) -> None:
        """`outcome` was published, with routes of these edges to its service."""
        self.edges |= edges
        if self.serial is None and outcome and self.outcome and outcome.assignment == self.outcome.assignment:
            self.serial = serial

    def count(self, tallies: Mapping[str, Tally], now: datetime) -> bool:
        """Take in how many requests to each revision have ended; whether one of them fails too often."""
        limit = self._inputs.service.spec.rollout.max_error_percent if self._inputs else None
        if limit is None:
            return False
        self.window = counted(self.window, now, tallies)
        failed = first_exceeding(self.window, on_trial(self.memory.rollout, now), limit) is not None
        self._stale = self._stale or failed
        return failed

    @property
    def _assigned(self) -> frozenset[str]:
        """Who can be reached by the newest plan."""
        return self.outcome.assignment.revisions if self.outcome else frozenset()

    def _revisions(self, inputs: Inputs) -> Iterator[Revision]:
        for one, observed, epoch in zip(inputs.revisions, inputs.observations, inputs.epochs, strict=True):
            name = one.metadata.name
            takes_over = bool(self.reached) and name not in self.reached
            yield looked_at(one, self.known.get(name, one.status), observed, epoch, takes_over=takes_over)

    def _remember(self, outcome: Outcome, inputs: Inputs) -> None:
        if self.outcome is None or self.outcome.assignment != outcome.assignment:
            self.serial = None
        there = {one.metadata.name for one in inputs.revisions}
        self.known = {name: one for name, one in self.known.items() if name in there}
        for one in outcome.revisions:
            self.known[one.name] = OriginRevisionStatus(proven=one.proven, last_active=one.last_active)
        self.reached |= outcome.assignment.revisions
        self.lingering = {name: stay for name, stay in self.lingering.items() if name in there - self.reached}
        self.outcome, self.memory, self._inputs = outcome, outcome.memory, inputs
        self.pending = self._was_pending = _waits(self.memory) or self.reached != outcome.assignment.revisions


class Others(Collection[str]):
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


def edges_of(world: World) -> Mapping[ObjectKey, frozenset[str]]:
    """The edges whose proxies send requests to an OriginService; where it has none, nobody does."""
    found: dict[ObjectKey, set[str]] = {}
    for route in world.routes:
        for service in (origin.service for rule in route.spec.rules for origin in rule.origins if origin.service):
            key = ObjectKey(KIND, service.namespace or route.metadata.namespace, service.name)
            found.setdefault(key, set()).add(route.spec.edge)
    return {key: frozenset(edges) for key, edges in found.items()}


def _considered(inputs: Inputs, revisions: Iterator[Revision]) -> Iterator[Revision]:
    """All; but while proxies refuse a version, and its predecessor serves, none that is newer than that one's: it would
    get requests, or its predecessor be made anew."""
    found = tuple(revisions)
    template = nameless(inputs.service.spec.template)
    fits = [one.number for one in found if same(one.template, template)] if inputs.refused else []
    return (one for one in found if not fits or one.number <= max(fits))


def _waits(memory: Memory) -> bool:
    """Whether a rollout goes on when proxies have acknowledged its first step."""
    return memory.rollout.begun is not None and memory.rollout.next_step is None


def _next_look(outcome: Outcome, facts: Facts) -> datetime | None:
    sweep = [facts.now + SWEPT] if len(outcome.revisions) > facts.retention.least else []
    return min([*sweep, *([outcome.again] if outcome.again else [])], default=None)
