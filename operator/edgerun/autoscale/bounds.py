"""Least and most pods: what becomes of a decision before it is carried out.

`initial_scale` is a least number until it has been reached once, and `activation_scale` is in the decision already.
Trap: the least number wins over the most: an initial scale above maxScale holds until it has been reached.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`max_scale` 0: there is no most."""

    min_scale: int = 0
    max_scale: int = 0
    initial_scale: int = 1


def bounded(desired: int | None, bounds: Bounds, *, reachable: bool, initialized: bool, activating: bool) -> int | None:
    """How many pods there should be, zero included. None: it is not known (yet), so what is there stays.

    `initialized`: the first scale has been reached once. A revision that no route leads to needs no least number.
    """
    if desired is None and not activating:
        return None
    pods, least = desired or 0, minimum(bounds, reachable=reachable, initialized=initialized)
    return max(least, min(pods, bounds.max_scale) if bounds.max_scale else pods)


def minimum(bounds: Bounds, *, reachable: bool, initialized: bool) -> int:
    if not reachable:
        return 0
    return bounds.min_scale if initialized or bounds.initial_scale <= 1 else max(bounds.initial_scale, bounds.min_scale)


def enough(bounds: Bounds, *, reachable: bool, initialized: bool) -> int:
    """How many ready pods make a revision active."""
    least = bounds.min_scale if reachable else 0
    return max(least, 1 if initialized else bounds.initial_scale)
