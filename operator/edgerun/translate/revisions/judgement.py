"""What brings a rollout back, or to its end at once: the errors of those that are on trial, and what somebody orders.

An order stays where it is written, and is read at every look. So it names its revision, and says how things should be,
not what should be done: once they are so, nothing follows from it any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from msgspec.structs import replace

from ...api.originservice import Rollout
from .revision import Notice, Revisions
from .rollout import on_trial, promoted, refused, rolled_back
from .trial import Window, first_exceeding, tally, words


class Verb(StrEnum):
    UNDO = "undo"
    PROMOTE = "promote"


@dataclass(frozen=True, slots=True)
class Order:
    """UNDO: this revision is to get nothing that is for the latest one. PROMOTE: it is to get all of that, now."""

    verb: Verb
    revision_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`limit_percent` is `rollout.maxErrorPercent`, None for none; `window` what was counted."""

    now: datetime
    window: Window = ()
    limit_percent: float | None = None


def judged(state: Rollout, order: Order | None, evidence: Evidence, revisions: Revisions, *, ready: str) -> Rollout:
    """After the order and the evidence. `ready` is the latest ready revision: no other one can be promoted."""
    if order is not None and order.revision_name in revisions:
        state = _obeyed(state, order, revisions, ready, evidence.now)
    limit = evidence.limit_percent
    name = None if limit is None else first_exceeding(evidence.window, on_trial(state, evidence.now), limit)
    if name is None or limit is None:
        return state
    message = words(name, tally(evidence.window, name), limit)
    return rolled_back(state, name, revisions, message=message, now=evidence.now)


def awaited(state: Rollout, order: Order | None, *, ready: str) -> str:
    """Who has to be ready before the order can be followed: who takes the traffic back from a revision that is to be
    undone, or who is to have all of it again. "" for nobody."""
    if order is None:
        return ""
    name, has = order.revision_name, [share.revision_name for share in state.shares]
    if order.verb is Verb.PROMOTE:
        return name if name == ready and has and name not in has else ""
    return state.previous if has == [name] and not state.rejects(name) else ""


def predecessor(state: Rollout, name: str, proven: Mapping[str, int]) -> str:
    """Who takes the traffic back from `name` when nobody remembers who had it before, as after an undo: the newest that
    is older, was ready once and was not rolled back. `proven` has the numbers of those that were ready once."""
    older = [one for one, number in proven.items() if number < proven.get(name, 0) and not state.rejects(one)]
    return state.previous or max(older, key=proven.__getitem__, default="")


def told(state: Rollout, ready: str) -> Notice | None:
    """Of the latest ready revision, as long as it gets nothing for that reason."""
    found = next((one for one in state.rejected if one.revision_name == ready), None)
    if found is None:
        return None
    serves = f'revision "{state.goal}" serves instead' if state.goal != ready else "there is no other one to serve"
    return Notice("RolledBack", f"{found.message}; {serves}")


def _obeyed(state: Rollout, order: Order, revisions: Revisions, ready: str, now: datetime) -> Rollout:
    name = order.revision_name
    if order.verb is Verb.PROMOTE:
        has = any(share.revision_name == name for share in state.shares)
        return promoted(state, name) if name == ready and (has or revisions[name].ready) else state
    return state if state.rejects(name) else _undone(state, name, revisions, now)


def _undone(state: Rollout, name: str, revisions: Revisions, now: datetime) -> Rollout:
    """Unless all others are worse: the oldest of a rollout is who takes the traffic back, and somebody has to serve."""
    message = f'revision "{name}" was undone by hand'
    if any(share.revision_name == name for share in state.shares):
        if state.rolling:
            oldest = state.shares[0].revision_name == name
            return state if oldest else rolled_back(state, name, revisions, message=message, now=now)
        proven = {one.name: one.number for one in revisions.values() if one.proven}
        state = replace(state, previous=predecessor(state, name, proven))
        return rolled_back(state, name, revisions, message=message, now=now)
    others = any(one.proven and one.name != name and not state.rejects(one.name) for one in revisions.values())
    return refused(state, name, message=message, now=now) if others else state
