"""The replicas of one revision: as many as are wanted, from none on.

A revision never changes its template, but whether its replicas have guards does change with the same revision. Those
that have to be replaced stay while they serve, and one of them leaves for each other one that is ready. So there are
never fewer that serve than are wanted, as far as it is up to us.

Trap: whoever leaves is told so after the observation that has its endpoint no longer.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from ...translate.phases import OriginPhase
from ...translate.plan import Running
from ...translate.world import OriginObservation
from .replicas import Replica
from .site import State

_NOBODY = State(OriginPhase.PENDING, message="no replica is wanted")


class Starts(Protocol):
    def __call__(self, run: Running, changed: Callable[[Replica], None]) -> Replica: ...


class ReplicaSet:
    """`start` makes a replica, `tell` hears of every change."""

    def __init__(self, start: Starts, tell: Callable[[OriginObservation], None]) -> None:
        self._start, self._observed = start, tell
        self._wanted, self._guarded = 0, False
        self._epoch: tuple[int, int | None] = (0, None)
        self._replicas: list[Replica] = []
        self._served: set[Replica] = set()  # all that were ready once
        self._last: OriginObservation | None = None

    def want(self, run: Running) -> None:
        """So many are to run, with guards or without."""
        self._wanted, self._guarded = run.replicas, run.service.guarded
        self._epoch = run.epoch, run.before
        for _ in range(self._wanted - len(self._fitting())):
            self._replicas.append(self._start(run, self._changed))
        self._settle()

    def leave(self) -> None:
        """All of them, once nobody needs them."""
        for replica in self._replicas:
            replica.leave(drain=True)

    def _fitting(self) -> list[Replica]:
        return [replica for replica in self._replicas if replica.guarded is self._guarded]

    def _changed(self, replica: Replica) -> None:
        if replica not in self._replicas:
            return
        if replica.state.endpoints:
            self._served.add(replica)
        self._settle()

    def _settle(self) -> None:
        """Tell how it stands, and send away whoever is not needed any more."""
        surplus = self._surplus()
        self._replicas = [replica for replica in self._replicas if replica not in surplus]
        self._tell()
        for replica in surplus:
            replica.leave(drain=replica in self._served)
            self._served.discard(replica)

    def _surplus(self) -> Sequence[Replica]:
        """Of those that have to be replaced nobody stays who never served."""
        fitting = self._fitting()
        others = [replica for replica in self._replicas if replica not in fitting]
        useless = [replica for replica in others if replica not in self._served]
        serving = [replica for replica in others if replica in self._served]
        return *useless, *_beyond(fitting, self._wanted), *_beyond(serving, self._wanted - _ready(fitting))

    def _tell(self) -> None:
        endpoints = tuple(sorted(one for replica in self._replicas for one in replica.state.endpoints))
        state = _state(self._fitting(), self._wanted)
        epoch, before = self._epoch
        observation = OriginObservation(
            *(state.phase, endpoints, state.reason, state.message), replicas=self._wanted, epoch=epoch, before=before
        )
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
    if not wanted:
        return _NOBODY  # is not READY, for nobody knows whether it would be
    if ready >= wanted:
        return State(OriginPhase.READY)
    states = [replica.state for replica in replicas if not replica.state.endpoints]
    failed = [state for state in states if state.phase is OriginPhase.FAILED]
    worst = next(iter((*failed, *(state for state in states if state.reason), *states)), State())
    if not ready:
        return worst
    others = f"; {worst.reason}: {worst.message}" if worst.reason else ""
    return State(OriginPhase.READY, reason=worst.reason, message=f"{ready} of {wanted} replicas take requests{others}")
