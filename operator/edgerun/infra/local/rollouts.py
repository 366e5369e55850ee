"""The replicas of one origin: how many there are, of which template, and which ones take over.

Those of a new template start beside the old ones, of which one leaves for each that is ready. So there are never fewer
that serve than are wanted, as far as it is up to us.

Trap: whoever leaves is told so after the observation that has its endpoint no longer.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ...api.originservice import OriginService
from ...translate.phases import OriginPhase
from ...translate.world import OriginObservation
from .replicas import Replica
from .site import State


class Starts(Protocol):
    def __call__(self, origin: OriginService, revision: str, changed: Callable[[Replica], None]) -> Replica: ...


class Rollout:
    """`start` makes a replica, `tell` hears of every change."""

    def __init__(self, start: Starts, tell: Callable[[OriginObservation], None]) -> None:
        self._start, self._observed = start, tell
        self._generation = self._changes = self._wanted = 0
        self._old: list[Replica] = []
        self._new: list[Replica] = []
        self._served: set[Replica] = set()  # all that were ready once
        self._last: OriginObservation | None = None

    def want(self, origin: OriginService, replicas: int) -> None:
        """So many of this template are to run, and no others."""
        self._generation, self._wanted = origin.metadata.generation, replicas
        if not (self._new and self._new[0].fits(origin)):
            self._turn_to(origin)
        while len(self._new) < replicas:
            self._new.append(self._start(origin, self._revision(origin), self._changed))
        self._settle()

    def leave(self) -> None:
        """All of them, once nobody needs them."""
        for replica in self._replicas():
            replica.leave(drain=True)

    def _replicas(self) -> Iterator[Replica]:
        yield from self._old
        yield from self._new

    def _turn_to(self, origin: OriginService) -> None:
        """Whoever fits is of the new template; of the others those stay for now that have ever served."""
        everyone = tuple(self._replicas())
        self._new = [replica for replica in everyone if replica.fits(origin)]
        others = [replica for replica in everyone if replica not in self._new]
        self._old = [replica for replica in others if replica in self._served]
        for replica in others:
            if replica not in self._served:
                replica.leave(drain=False)
        if not self._new:
            self._changes += 1

    def _revision(self, origin: OriginService) -> str:
        return self._new[0].revision if self._new else f"{origin.metadata.name}-{self._changes:05d}"

    def _changed(self, replica: Replica) -> None:
        if replica not in self._replicas():
            return
        if replica.state.endpoints:
            self._served.add(replica)
        self._settle()

    def _settle(self) -> None:
        """Tell how it stands, and send away whoever is not needed any more."""
        surplus = [*_beyond(self._new, self._wanted), *_beyond(self._old, self._wanted - _ready(self._new))]
        self._new = [replica for replica in self._new if replica not in surplus]
        self._old = [replica for replica in self._old if replica not in surplus]
        self._tell()
        for replica in surplus:
            replica.leave(drain=replica in self._served)
            self._served.discard(replica)

    def _tell(self) -> None:
        endpoints = tuple(sorted(one for replica in self._replicas() for one in replica.state.endpoints))
        state = _state(self._new, self._wanted)
        observation = OriginObservation(state.phase, endpoints, state.reason, state.message)
        if observation != self._last:
            self._last = observation
            self._observed(observation)


def _ready(replicas: Sequence[Replica]) -> int:
    return sum(bool(replica.state.endpoints) for replica in replicas)


def _beyond(replicas: Sequence[Replica], wanted: int) -> Sequence[Replica]:
    """Those that are too many: first who does not serve, then the youngest."""
    ranked = sorted(replicas, key=lambda replica: not replica.state.endpoints)  # is stable
    return ranked[max(0, wanted) :]


def _state(replicas: Sequence[Replica], wanted: int) -> State:
    """Of all of them, as one."""
    ready = _ready(replicas)
    if ready >= wanted:
        return State(OriginPhase.READY)
    states = [replica.state for replica in replicas if not replica.state.endpoints]
    failed = [state for state in states if state.phase is OriginPhase.FAILED]
    worst = next(iter((*failed, *(state for state in states if state.reason), *states)), State())
    if not ready:
        return worst
    others = f"; {worst.reason}: {worst.message}" if worst.reason else ""
    return State(OriginPhase.READY, message=f"{ready} of {wanted} replicas take requests{others}")
