"""What a status that another version of Edgerun wrote tells of the revisions, and what makes up for what is lost of it.

All that falls to the safe side: no number that is told of anywhere is given again, who has requests keeps them, a
rollout waits for its next step anew, and whoever may have been rolled back gets nothing that is for the latest one.

Trap: `memory.number` may only be made up for when it is lost. A name that is told of may be of a revision that is still
to be made, and whoever looks twice would make another one.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from ...api.originservice import OriginServiceStatus, Rejected, Rollout, Share, TrafficTarget
from ...api.reading import Lost, partly, strings
from .memory import Memory, remembered
from .naming import number_of

Object = Mapping[str, Any]
Numbers = Mapping[str, int]

_PACE = ("begun", "nextStep", "stepSeconds", "stepPercent")  # one is worth nothing without the others
_ASIDE = ("message", "at")  # what a rejection can be without


class _Losses(NamedTuple):
    """The fields that lost something, each by the names on its path."""

    fields: frozenset[tuple[str, ...]]

    @classmethod
    def of(cls, lost: tuple[Lost, ...]) -> "_Losses":
        return cls(frozenset(tuple(step for step in one.path if isinstance(step, str)) for one in lost))

    def within(self, *field: str) -> bool:
        """Whether something of it, or all of it, is lost."""
        return any(one[: len(field)] == field[: len(one)] for one in self.fields)


def recalled(service: str, told: Object, numbers: Numbers) -> Memory:
    """What the status of an OriginService carries; `numbers` are those of its revisions that are there, by name."""
    status, lost = partly(told, OriginServiceStatus)
    memory = remembered(status)
    if not lost:
        return memory
    losses = _Losses.of(lost)
    rollout = _rollout(status, told, losses, numbers)
    ready = memory.latest_ready_revision_name or (losses.within("latestReadyRevisionName") and rollout.goal) or ""
    return msgspec.structs.replace(
        memory,
        number=max(_told(service, told), default=0) if losses.within("revisionNumber") else memory.number,
        latest_ready_revision_name=ready,
        traffic=tuple(_in_effect(status, rollout)) if losses.within("appliedTraffic") else memory.traffic,
        rollout=rollout,
    )


def _told(service: str, told: Object) -> Iterator[int]:
    return (number for name in strings(told) if (number := number_of(service, name)) is not None)


def _in_effect(status: OriginServiceStatus, rollout: Rollout) -> Iterator[TrafficTarget]:
    """What leads the requests to where they are."""
    moving = {share.revision_name: share.percent for share in rollout.shares}
    for one in status.traffic:
        percent = (one.percent or 0) - (0 if one.tag else moving.get(one.revision_name, 0))
        if percent > 0 or one.tag:
            yield TrafficTarget(revision_name=one.revision_name, percent=max(percent, 0), tag=one.tag)
    if rollout.percent:
        yield TrafficTarget(latest_revision=True, percent=rollout.percent)


def _rollout(status: OriginServiceStatus, told: Object, losses: _Losses, numbers: Numbers) -> Rollout:
    state = status.rollout or Rollout()
    if losses.within("rollout", "shares"):
        state = msgspec.structs.replace(
            state, shares=_shares(status, state.goal or status.latest_ready_revision_name, numbers)
        )
    if not state.goal and state.shares and losses.within("rollout", "goal"):
        state = msgspec.structs.replace(state, goal=state.shares[-1].revision_name)
    if any(losses.within("rollout", field) for field in _PACE):
        state = msgspec.structs.replace(state, begun=None, next_step=None, step_seconds=0.0, step_percent=0)
    if losses.within("rollout", "rejected"):
        state = msgspec.structs.replace(state, rejected=(*state.rejected, *_doubtful(status, state, told, numbers)))
    return state


def _shares(status: OriginServiceStatus, goal: str, numbers: Numbers) -> tuple[Share, ...]:
    """What is not there by name, the oldest first."""
    named: dict[str, int] = {}
    for one in status.applied_traffic:
        named[one.revision_name] = named.get(one.revision_name, 0) + (one.percent or 0)
    weights = {one.revision_name: one.percent or 0 for one in status.traffic if not one.tag}
    left = {name: percent - named.get(name, 0) for name, percent in weights.items()}
    order = sorted(left, key=lambda name: (name == goal, numbers.get(name, 0), name))
    return tuple(Share(revision_name=name, percent=left[name]) for name in order if left[name] > 0)


def _doubtful(status: OriginServiceStatus, state: Rollout, told: Object, numbers: Numbers) -> Iterator[Rejected]:
    """Those that may have been rolled back: whoever is named there, and the latest ready one where another one has its
    requests."""
    serves = {share.revision_name for share in state.shares} | {state.goal}
    written = told.get("rollout")
    named = set(strings(written.get("rejected") if isinstance(written, Mapping) else written))
    if any(serves - {""}):
        named.add(status.latest_ready_revision_name)
    for name in sorted(named & numbers.keys() - serves):
        if not state.rejects(name):
            yield Rejected(revision_name=name, message=_MESSAGE.format(name))


_MESSAGE = 'revision "{}" may have been rolled back: what another version of Edgerun wrote of that cannot be read'
