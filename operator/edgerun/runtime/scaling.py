"""Scales origins: every second it takes in their load, and what their autoscalers decide goes into the store.

Trap: whoever begins has decided nothing yet. It begins with what runs, and where the edges are silent that stays.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Protocol

from ..api.meta import ObjectKey
from ..api.originservice import Metric, OriginService
from ..autoscale import knobs
from ..autoscale.autoscaler import LONGEST_GAP_S, Autoscaler, Outcome
from ..sources.store import Store
from ..translate.running import within
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
    """Another number of replicas was decided for an origin, and why."""

    key: ObjectKey
    before: int
    after: int
    why: str

    def __str__(self) -> str:
        return f"Scaled from {self.before} to {self.after}: {self.why}"


@dataclass(slots=True)
class _Origin:
    """One that is scaled, by the version that serves."""

    uid: str
    service: OriginService
    autoscaler: Autoscaler


@dataclass(slots=True)
class Scaling:
    """`told` hears of each decision; `local` is whether origins are processes of this machine."""

    store: Store
    reports: Reports
    local: bool
    told: Callable[[Scaled], None]
    _origins: dict[ObjectKey, _Origin] = field(default_factory=dict)
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
        self._origins.clear()
        for key in tuple(self.store.scales):
            self.store.scale(key, None)

    def second(self, second: int, loads: Loads | None, *, complete: bool = True) -> None:
        """One second is over. Without `loads` nothing is known, and unless they are `complete` nothing is taken away:
        some edge that takes requests has not told."""
        reunited = complete and second - self._complete > LONGEST_GAP_S
        self._second = second
        self._complete = second if complete else self._complete
        present = dict(self._present())
        for key in self._origins.keys() - present.keys():
            del self._origins[key]
        for key, service in present.items():
            origin = self._origin(key, service)
            if reunited:
                origin.autoscaler.restart(self._desired(key))
            if loads is not None:
                self._scale(key, origin, second, loads.get(key), may_shrink=complete)

    def scales(self) -> Mapping[ObjectKey, Scale]:
        """How each origin is scaled now."""
        return {
            key: Scale(self._desired(key), self._ready(key), one.autoscaler.load(self._second), one.autoscaler.panics)
            for key, one in self._origins.items()
        }

    def _expected(self) -> Set[str]:
        """The proxies that take requests, as far as their pods are observed."""
        return {pod for fleet in self.store.fleets.values() for pod in fleet.ready}

    def _present(self) -> Iterator[tuple[ObjectKey, OriginService]]:
        for key, entry in self.store.entries.items():
            if isinstance(entry.serving, OriginService):
                yield key, entry.serving

    def _origin(self, key: ObjectKey, service: OriginService) -> _Origin:
        """With the knobs of now; begun anew when it is another object, or new."""
        origin = self._origins.get(key)
        if origin is None or origin.uid != service.metadata.uid or key not in self.store.scales:
            origin = self._origins[key] = self._begun(key, service)
        elif origin.service is not service:
            origin.service = service
            origin.autoscaler.retune(knobs.of(service), running=self._desired(key))
        self.store.scale(key, within(service, self._desired(key), local=self.local))
        return origin

    def _begun(self, key: ObjectKey, service: OriginService) -> _Origin:
        """What runs goes on, and is what is wanted until something is decided."""
        observed = self.store.observations.get(key)
        running = self.store.scales.get(key, observed.replicas if observed else None)
        given = knobs.of(service)
        autoscaler = Autoscaler(given, running=running, ready=self._ready(key))
        self.store.scale(key, within(service, given.initial_scale if running is None else running, local=self.local))
        return _Origin(service.metadata.uid, service, autoscaler)

    def _scale(self, key: ObjectKey, origin: _Origin, second: int, load: Load | None, *, may_shrink: bool) -> None:
        autoscaler, before = origin.autoscaler, self._desired(key)
        autoscaler.record(second, _measured(load, autoscaler.knobs.metric), running=before)
        outcome = autoscaler.decide(second, self._ready(key))
        if outcome is None:
            return
        after = within(origin.service, outcome.replicas, local=self.local)
        if after == before or (after < before and not may_shrink):
            return
        self.store.scale(key, after)
        self.told(Scaled(key, before, after, _why(outcome, autoscaler.knobs.metric, after)))

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
