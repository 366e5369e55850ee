"""The arithmetic of a gradual rollout, as Knative has it: the first percent, steps, and what comes between them.

Shares are in the order of age, the goal last, and none of them is 0. A step takes from the one just before the goal
first, so that of several the oldest, which has proven most, is the last to go.
"""

import math
from dataclasses import dataclass

from ...api.originservice import Share

Shares = tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is moved at once, and how long to wait in between."""

    percent: int
    seconds: float


def total(shares: Shares) -> int:
    return sum(share.percent for share in shares)


def adjusted(shares: Shares, percent: int) -> Shares:
    """With another total: the goal gets what is more, and the oldest lose what is less."""
    missing = percent - total(shares)
    if missing >= 0:
        return _with_percent(shares, -1, shares[-1].percent + missing) if missing else shares
    surplus, kept = -missing, [*shares]
    while kept and kept[0].percent <= surplus:
        surplus -= kept.pop(0).percent
    return _with_percent(tuple(kept), 0, kept[0].percent - surplus) if kept else ()


def begun(shares: Shares, goal: str) -> Shares:
    """The newest gives its goal's first percent away. One that is on the way already becomes the goal as it is."""
    known = next((share for share in shares if share.revision_name == goal), None)
    if known is not None:
        return (*(share for share in shares if share is not known), known)
    shorter = _with_percent(shares, -1, shares[-1].percent - 1)
    return (*(share for share in shorter if share.percent), Share(revision_name=goal, percent=1))


def stepped(shares: Shares, percent: int) -> Shares:
    """`percent` more for the goal, or all that is left."""
    *others, goal = shares
    remaining = percent
    while others and others[-1].percent <= remaining:
        remaining -= others.pop().percent
    if others:
        others[-1] = _changed(others[-1], others[-1].percent - remaining)
    return (*others, _changed(goal, total(shares) - total(tuple(others))))


def without(shares: Shares, name: str) -> Shares:
    """What a revision has goes to the one before it, or to the one after it where it is the oldest."""
    index = next(index for index, share in enumerate(shares) if share.revision_name == name)
    left = shares[:index] + shares[index + 1 :]
    heir = max(index - 1, 0)
    return _with_percent(left, heir, left[heir].percent + shares[index].percent) if left else ()


def pace(percent: int, *, duration_s: float, first_s: float) -> Pace:
    """Of `percent` in all. `first_s` is how long it took until the first of them was served: no step is shorter."""
    least_s = max(1, math.ceil(first_s))
    left_s = max(1.0, duration_s - least_s)
    steps = min(max(1.0, left_s / least_s), percent - 1)
    return Pace(_rounded((percent - 1) / steps), left_s / steps)


def _rounded(value: float) -> int:
    """Half away from zero, as Go does it; Python's own goes to the even one."""
    return math.floor(value + 0.5)


def _with_percent(shares: Shares, index: int, percent: int) -> Shares:
    changed = [*shares]
    changed[index] = _changed(shares[index], percent)
    return tuple(changed)


def _changed(share: Share, percent: int) -> Share:
    return Share(revision_name=share.revision_name, percent=percent)
