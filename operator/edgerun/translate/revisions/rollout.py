"""The gradual rollout of the latest revision, as a function of where it stood and what time it is.

It begins with one percent, goes on when all proxies serve that, and then in steps of equal size; each look takes one
step at most, so a clock that jumps ahead, or nobody having looked for an hour, moves no more than that. It waits while
the newest revision is not ready.

Trap: the one that had the traffic is not done with when it has lost the last of it. While the new one is on trial it is
who takes the traffic back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from ...api.originservice import Rejected, Rollout, Share
from .revision import Revisions
from .shares import Shares, adjusted, begun, pace, stepped, without

TRIAL = timedelta(minutes=5)  # after the last step, or the only one
ALL_AT_ONCE = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """`acknowledged`: every proxy serves what was decided at the last look. `ready`: the newest revision is, now."""

    now: datetime
    acknowledged: bool = True
    ready: bool = True


def aim(state: Rollout, revisions: Revisions, ready: str, *, percent: int = 100) -> str:
    """The revision that `latestRevision` leads to: the latest ready one, unless it was rolled back from, or has no
    traffic yet and is not ready at this moment. With none of the traffic for the latest one, nobody keeps any."""
    if not percent:
        state = replace(state, shares=())
    has = {share.revision_name for share in state.shares}
    if ready in revisions and not state.rejects(ready) and (revisions[ready].ready or ready in has or not has):
        return ready
    if state.shares:
        return state.shares[-1].revision_name
    if state.goal in revisions and not state.rejects(state.goal):
        return state.goal
    proven = [one for one in revisions.values() if one.proven and not state.rejects(one.name)]
    return max(proven, key=lambda one: one.number).name if proven else ready


def advanced(state: Rollout, *, goal: str, percent: int, duration: timedelta, look: Look) -> Rollout:
    """One look further, with `percent` of all requests for the latest revision."""
    if not percent:
        return _still(replace(state, goal=goal, shares=(), previous="", settled=None))
    if not state.shares:
        return _still(replace(state, goal=goal, shares=_all(goal, percent), previous="", settled=None))
    state = replace(state, goal=goal, shares=adjusted(state.shares, percent))
    if percent == 1 or duration <= ALL_AT_ONCE:
        return _settled(state, _all(goal, percent), look.now)
    if state.shares[-1].revision_name != goal:
        return _begun(state, begun(state.shares, goal), look.now)
    return _moved(state, duration, look) if state.rolling else state


def rolled_back(state: Rollout, name: str, revisions: Revisions, *, message: str, now: datetime) -> Rollout:
    """Without `name`, for good. Unchanged when nobody can take its part: some errors are better than no answer."""
    rejected = (*state.rejected, Rejected(revision_name=name, message=message, at=now))
    if any(share.revision_name == name for share in state.shares) and state.rolling:
        left = without(state.shares, name)
        state = replace(state, rejected=rejected)
        return replace(state, shares=left) if state.goal != name and len(left) > 1 else _begun(state, left, now)
    previous = revisions.get(state.previous)
    if state.shares and state.shares[0].revision_name == name and previous is not None and previous.ready:
        shares = _all(state.previous, state.percent)
        return _begun(replace(state, rejected=rejected), shares, now)
    return state


def refused(state: Rollout, name: str, *, message: str, now: datetime) -> Rollout:
    """Of one that has no traffic: it is to get none."""
    return replace(state, rejected=(*state.rejected, Rejected(revision_name=name, message=message, at=now)))


def promoted(state: Rollout, name: str) -> Rollout:
    """All of it for `name` now, and no trial: somebody has decided."""
    rejected = tuple(one for one in state.rejected if one.revision_name != name)
    state = replace(state, rejected=rejected)
    if not state.shares or state.shares == _all(name, state.percent):
        return replace(state, settled=None) if state.shares else state
    others = [share.revision_name for share in state.shares if share.revision_name != name]
    shares = _all(name, state.percent)
    return _still(replace(state, goal=name, shares=shares, previous=others[0], settled=None))


def pruned(state: Rollout, revisions: Revisions, heir: str) -> Rollout:
    """Without what has been deleted; when nothing else is left, its traffic is the heir's."""
    shares, percent = state.shares, state.percent
    for share in state.shares:
        if share.revision_name not in revisions:
            shares = without(shares, share.revision_name)
    state = replace(
        state,
        rejected=tuple(one for one in state.rejected if one.revision_name in revisions),
        previous=state.previous if state.previous in revisions else "",
    )
    goal = state.goal if state.goal in revisions else heir
    if shares == state.shares:
        return replace(state, goal=goal)
    shares = shares or (_all(heir, percent) if heir else ())
    state = replace(state, shares=shares, goal=shares[-1].revision_name if shares else goal)
    return state if len(shares) > 1 else _still(state)


def on_trial(state: Rollout, now: datetime) -> tuple[str, ...]:
    """Those that are rolled back when they fail."""
    if state.rolling:
        return tuple(share.revision_name for share in state.shares[1:])
    if state.previous and state.settled is not None and now < state.settled + TRIAL:
        return tuple(share.revision_name for share in state.shares)
    return ()


def due(state: Rollout, now: datetime) -> datetime | None:
    """When time alone changes something. The first step waits for proxies, not for time."""
    moments = [state.next_step] if state.next_step else []
    if state.previous and state.settled is not None and now < state.settled + TRIAL:
        moments.append(state.settled + TRIAL)
    return min(moments, default=None)


def _moved(state: Rollout, duration: timedelta, look: Look) -> Rollout:
    if state.next_step is None:
        return _paced(state, duration, look.now) if look.acknowledged else state
    step = timedelta(seconds=state.step_seconds)
    if state.next_step > look.now + step:  # the clock went back
        return replace(state, next_step=look.now + step)
    if look.now < state.next_step or not look.ready:
        return state
    shares = stepped(state.shares, state.step_percent)
    if len(shares) == 1:
        return _settled(state, shares, look.now)
    return replace(state, shares=shares, next_step=look.now + step)


def _paced(state: Rollout, duration: timedelta, now: datetime) -> Rollout:
    first_s = (now - state.begun).total_seconds() if state.begun else 0.0
    found = pace(state.percent, duration_s=duration.total_seconds(), first_s=first_s)
    next_step = now + timedelta(seconds=found.seconds)
    return replace(state, next_step=next_step, step_seconds=found.seconds, step_percent=found.percent)


def _begun(state: Rollout, shares: Shares, now: datetime) -> Rollout:
    goal, rolling = shares[-1].revision_name, len(shares) > 1
    state = _still(replace(state, goal=goal, shares=shares, previous="", settled=None))
    return replace(state, begun=now) if rolling else state


def _settled(state: Rollout, shares: Shares, now: datetime) -> Rollout:
    oldest = state.shares[0].revision_name
    if oldest == shares[0].revision_name:
        return _still(replace(state, shares=shares))
    return _still(replace(state, shares=shares, previous=oldest, settled=now))


def _still(state: Rollout) -> Rollout:
    return replace(state, begun=None, next_step=None, step_seconds=0.0, step_percent=0)


def _all(name: str, percent: int) -> Shares:
    return (Share(revision_name=name, percent=percent),)
