"""The status of every object, now: kept up with each plan and each acknowledgement.

An object is programmed when a proxy has acknowledged the first plan that held its generation; later plans hold it too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec

from ..api import conditions, edgeproxy, edgeroute, originrevision, originservice
from ..api.conditions import ConditionType
from ..api.edgeproxy import EdgeProxyStatus
from ..api.edgeroute import EdgeRouteStatus
from ..api.meta import ObjectKey
from ..api.originrevision import OriginRevisionStatus
from ..api.originservice import OriginServiceStatus
from ..api.reading import partly
from ..sources.store import rfc3339
from ..translate.plan import Plan, Verdict
from ..translate.statuses import Progress, fleet_status, needs_edit, origin_status, revision_status, route_status

Status = EdgeProxyStatus | EdgeRouteStatus | OriginServiceStatus | OriginRevisionStatus


@dataclass(frozen=True, slots=True)
class Line:
    """What the status of one object was made from, and the status."""

    verdict: Verdict
    progress: Progress
    status: Status


class Crew(Protocol):
    """Who serves an edge."""

    def __call__(self, edge: str) -> Sequence[int]:
        """Of each proxy that should serve it, the serial that it has acknowledged; 0 of one that is not heard of."""


@dataclass(slots=True)
class Board:
    """`before` is the status of an object where people look, which may be another process' word: its times go on."""

    acked: Crew
    clock: Callable[[], datetime]
    before: Callable[[ObjectKey], Status | None] = lambda key: None
    lines: dict[ObjectKey, Line] = field(default_factory=dict)
    _verdicts: Mapping[ObjectKey, Verdict] = field(default_factory=dict)
    _serials: dict[ObjectKey, tuple[int, int]] = field(default_factory=dict)  # generation, first serial with it
    _complete: dict[ObjectKey, int] = field(default_factory=dict)  # first serial since which it waits for nothing
    _forgotten: set[ObjectKey] = field(default_factory=set)

    @property
    def settled(self) -> bool:
        """Whether every object is Ready, or becomes so by an edit alone, as a refused one. Of revisions those that
        matter are in their service's."""
        lines = [line for key, line in self.lines.items() if key.kind != originrevision.KIND]
        return all(
            _says(line, ConditionType.READY, "True") or needs_edit(line.verdict, line.progress) for line in lines
        )

    def publish(self, plan: Plan, serial: int) -> None:
        """From now on `plan` is what proxies should serve."""
        self._verdicts = plan.verdicts
        for key in self._forgotten:
            self.lines.pop(key, None)
            self._serials.pop(key, None)
            self._complete.pop(key, None)
        self._forgotten.clear()
        known = self._serials
        self._serials = {
            key: known[key] if key in known and known[key][0] == verdict.generation else (verdict.generation, serial)
            for key, verdict in plan.verdicts.items()
        }
        complete = (key for key, verdict in plan.verdicts.items() if verdict.waits_for is None)
        self._complete = {key: self._complete.get(key, serial) for key in complete}

    def forget(self, key: ObjectKey) -> None:
        """The object is gone: the next one of its name is another one, whatever its generation."""
        self._forgotten.add(key)

    def refresh(self) -> tuple[ObjectKey, ...]:
        """Bring every status up to date; the keys of those that changed."""
        gone = self.lines.keys() - self._verdicts.keys()
        for key in gone:
            del self.lines[key]
        changed = tuple(self._refreshed())
        return (*sorted(gone), *changed)

    def _refreshed(self) -> Iterator[ObjectKey]:
        now = rfc3339(self.clock())
        acked: dict[str, Sequence[int]] = {}
        for key, verdict in self._verdicts.items():
            if key in self._forgotten:
                continue
            if verdict.edge not in acked:
                acked[verdict.edge] = self.acked(verdict.edge)
            progress = self._progress(verdict, acked[verdict.edge])
            line = self.lines.get(key)
            if line and line.verdict == verdict and line.progress == progress:
                continue
            status = _status(verdict, progress, self.before(key) or (line.status if line else None), now)
            self.lines[key] = Line(verdict, progress, status)
            if line is None or line.status != status:
                yield key

    def _progress(self, verdict: Verdict, acked: Sequence[int]) -> Progress:
        programmed = sum(serial >= self._serials[verdict.key][1] for serial in acked)
        complete = self._complete.get(verdict.key)
        informed = 0 if complete is None else sum(serial >= complete for serial in acked)
        return Progress(verdict.edge, len(acked), programmed, informed)


_SHAPES: Mapping[str, type[Status]] = {
    edgeproxy.KIND: EdgeProxyStatus,
    edgeroute.KIND: EdgeRouteStatus,
    originservice.KIND: OriginServiceStatus,
    originrevision.KIND: OriginRevisionStatus,
}


def _says(line: Line, aspect: ConditionType, wanted: str) -> bool:
    found = conditions.condition(line.status.conditions, aspect)
    return found is not None and found.status == wanted


def as_document(status: Status) -> dict[str, Any]:
    """As it is stored."""
    return msgspec.json.decode(msgspec.json.encode(status), type=dict[str, Any])


def from_document(kind: str, stored: Mapping[str, Any]) -> Status | None:
    """The status of an object of that kind as it is stored, as far as it can be read; None when there is none."""
    return partly(stored, _SHAPES[kind]).value if stored else None


def _status(verdict: Verdict, progress: Progress, before: Status | None, now: str) -> Status:
    if verdict.key.kind == edgeroute.KIND:
        old = before if isinstance(before, EdgeRouteStatus) else EdgeRouteStatus()
        return route_status(verdict, progress, old, now=now)
    if verdict.key.kind == edgeproxy.KIND:
        return fleet_status(verdict, before if isinstance(before, EdgeProxyStatus) else EdgeProxyStatus(), now=now)
    if verdict.key.kind == originrevision.KIND:
        known = before if isinstance(before, OriginRevisionStatus) else OriginRevisionStatus()
        return revision_status(verdict, known, now=now)
    return origin_status(verdict, before if isinstance(before, OriginServiceStatus) else OriginServiceStatus(), now=now)
