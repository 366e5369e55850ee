"""Scales revisions: every second it takes in their load, and what their autoscalers decide goes into the store.

Each revision that requests lead to has an autoscaler of its own. One that sleeps has none, for the requests that wait
for it are no load; and whether one may go to sleep is not decided here: `waking` does.
Trap: whoever begins has decided nothing yet. It begins with what runs, and where the edges are silent that stays.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from ..api.meta import ObjectKey
from ..api.originservice import Metric, OriginService
from ..api.templates import Template
from ..autoscale import knobs
from ..autoscale.autoscaler import LONGEST_GAP_S, Autoscaler, Outcome
from ..autoscale.knobs import Knobs
from ..sources.store import Store
from ..translate import running
from ..translate.names import revision_key
from ..translate.revisions.replicas import Role
from ..translate.running import within
from ..translate.world import AWAKE, Sleep, World
from ..vitals import Scale

SECOND_S = 1.0

_EARLY_S = 0.01  # a timer may fire a moment before its time
logger = logging.getLogger(__name__)


class Load(Protocol):
    """Of one origin, of all edges together: requests that are being answered or wait, and how many begin a second."""

    @property
    def concurrency(self) -> float: ...

    @property
    def requests(self) -> float: ...


Loads = Mapping[ObjectKey, Load]  # what is not in it has none


class Reports(Protocol):
    """What the edges tell of themselves; `xds.loads` has it."""

    def read(self, now: float) -> Loads:
        """What each origin had since the last reading."""

    def reporting(self, now: float) -> Set[str]:
        """The proxies whose word counts."""


async def _always() -> None:
    """There is nobody else who could lead."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Another number of replicas was decided for a revision, and why."""

    key: ObjectKey
    service: ObjectKey
    before: int
    after: int
    why: str

    def __str__(self) -> str:
        return f"Scaled {self.key.name} from {self.before} to {self.after}: {self.why}"


class _Revision(NamedTuple):
    """One that requests lead to, with its own template, and how many replicas it needs at least."""

    service: OriginService
    template: Template
    least: int

    @property
    def knobs(self) -> Knobs:
        return replace(knobs.of(running.as_revision(self.service, self.template)), min_scale=self.least)


@dataclass(slots=True)
class _Scaled:
    """A revision that is scaled."""

    uid: str
    revision: _Revision
    autoscaler: Autoscaler


@dataclass(slots=True)
class Scaling:
    """`world` has the revisions and what was decided of them, `rest` is told of those that need no replica now, `told`
    hears of each decision; `local` is whether origins are processes of this machine."""

    store: Store
    reports: Reports
    local: bool
    told: Callable[[Scaled], None]
    world: Callable[[], World]
    rest: Callable[[ObjectKey, OriginService], None]
    _scaled: dict[ObjectKey, _Scaled] = field(default_factory=dict)
    _second: int = 0
    _complete: int = 0  # the second in which all were heard

    async def run(self, leads: Callable[[], Awaitable[None]] = _always) -> None:
        """Scale while `leads` returns, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await leads()
            await asyncio.sleep(SECOND_S - clock() % SECOND_S)
            now = clock()
            who = self.reports.reporting(now)
            loads = self.reports.read(now) if who else None
            try:
                self.second(int(now + _EARLY_S), loads, complete=self._expected() <= who)
            except Exception:  # a mistake of ours about one origin must not end what all others get
                logger.exception("not all origins were scaled: the others stay as they are")

    def forget(self) -> None:
        """Somebody else scales from now on."""
        self._scaled.clear()
        for key in tuple(self.store.scales):
            self.store.scale(key, None)

    def second(self, second: int, loads: Loads | None, *, complete: bool = True) -> None:
        """One second is over. Without `loads` nothing is known, and unless they are `complete` nothing is taken away:
        some edge that takes requests has not told."""
        reunited = complete and second - self._complete > LONGEST_GAP_S
        self._second = second
        self._complete = second if complete else self._complete
        present = dict(self._present())
        for key in self._scaled.keys() - present.keys():
            del self._scaled[key]
        for key, revision in present.items():
            one = self._current(key, revision)
            if reunited:
                one.autoscaler.restart(self._desired(key))
            if loads is not None:
                self._scale(key, one, loads.get(key), may_shrink=complete)

    def take_over(self, key: ObjectKey, replicas: int) -> None:
        """Somebody else has said how many replicas there are: as many stay until more is known of the load."""
        one = self._scaled.get(key)
        if one:
            one.autoscaler.restart(replicas)
            self.store.scale(key, self._within(one.revision, replicas))

    def scales(self) -> Mapping[ObjectKey, Scale]:
        """How each revision is scaled now."""
        return {
            key: Scale(self._desired(key), self._ready(key), one.autoscaler.load(self._second), one.autoscaler.panics)
            for key, one in self._scaled.items()
        }

    def _expected(self) -> Set[str]:
        """The proxies that take requests, as far as their pods are observed."""
        return {pod for fleet in self.store.fleets.values() for pod in fleet.ready}

    def _present(self) -> Iterator[tuple[ObjectKey, _Revision]]:
        """Those that requests lead to and that do not sleep. Of who only answers what is under way nobody is taken."""
        world = self.world()
        for service in world.origins:
            outcome = running.outcome(service, world)
            templates = {one.name: one.template for one in outcome.present}
            for need in outcome.needs:
                key = revision_key(service.key, need.revision_name)
                stays = need.role is Role.LINGERING or self._sleep(key) in (Sleep.ASLEEP, Sleep.WAKING)
                if need.reachable and not stays and need.revision_name in templates:
                    yield key, _Revision(service, templates[need.revision_name], need.least)

    def _current(self, key: ObjectKey, revision: _Revision) -> _Scaled:
        """With the knobs of now; begun anew when it is another object, or new."""
        one = self._scaled.get(key)
        if one is None or one.uid != revision.service.metadata.uid or key not in self.store.scales:
            one = self._scaled[key] = self._begun(key, revision)
        elif one.revision != revision:
            one.revision = revision
            one.autoscaler.retune(revision.knobs, running=self._desired(key))
        self.store.scale(key, self._within(revision, self._desired(key)))
        return one

    def _begun(self, key: ObjectKey, revision: _Revision) -> _Scaled:
        """What runs goes on, and is what is wanted until something is decided."""
        observed = self.store.observations.get(key)
        there = self.store.scales.get(key, observed.replicas if observed else None)
        given = revision.knobs
        autoscaler = Autoscaler(given, running=there, ready=self._ready(key))
        self.store.scale(key, self._within(revision, given.initial_scale if there is None else there))
        return _Scaled(revision.service.metadata.uid, revision, autoscaler)

    def _scale(self, key: ObjectKey, one: _Scaled, load: Load | None, *, may_shrink: bool) -> None:
        autoscaler, before = one.autoscaler, self._desired(key)
        autoscaler.record(self._second, _measured(load, autoscaler.knobs.metric), running=before)
        outcome = autoscaler.decide(self._second, self._ready(key))
        if outcome is None or self._sleep(key) is not Sleep.AWAKE:
            return
        after = self._within(one.revision, outcome.replicas)
        if after > before or (after < before and may_shrink):
            self.store.scale(key, after)
            self.told(
                Scaled(key, one.revision.service.key, before, after, _why(outcome, autoscaler.knobs.metric, after))
            )
        if not outcome.replicas and may_shrink:
            self.rest(key, one.revision.service)

    def _within(self, revision: _Revision, wanted: int) -> int:
        """The last one goes when the revision goes to sleep."""
        return within(revision.service, wanted, least=max(1, revision.least), local=self.local)

    def _sleep(self, key: ObjectKey) -> Sleep:
        return self.store.epochs.get(key, AWAKE).sleep

    def _desired(self, key: ObjectKey) -> int:
        return self.store.scales.get(key, 0)

    def _ready(self, key: ObjectKey) -> int:
        observed = self.store.observations.get(key)
        return len(observed.endpoints) if observed else 0


def _measured(load: Load | None, metric: Metric) -> float:
    if load is None:
        return 0.0
    return load.concurrency if metric is Metric.CONCURRENCY else load.requests


def _why(outcome: Outcome, metric: Metric, after: int) -> str:
    unit = "concurrent requests" if metric is Metric.CONCURRENCY else "requests per second"
    said = f"{_round(outcome.load)} {unit}, target {_round(outcome.target)} a replica"
    if after < outcome.needed:
        return f"{said}; {outcome.needed} would be needed, and {after} are the most"
    return said


def _round(value: float) -> str:
    """Whole numbers where they say enough."""
    return f"{value:.0f}" if value >= 10 else f"{value:.3g}"
