"""Which revisions may go, by the rules and defaults of Knative.

What is in use stays, and so do the latest ready revision and what a user keeps. Of all others the 20 that were used
last stay, and whatever was made in the last 48 hours or used in the last 15; more than 1,000 there never are.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from .revision import Revision, Revisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """None: this is no reason to keep a revision (of a time), or to collect one (of `most`)."""

    since_created: timedelta | None = timedelta(hours=48)
    since_active: timedelta | None = timedelta(hours=15)
    least: int = 20
    most: int | None = 1000


DEFAULT = Retention()


def collectable(
    revisions: Revisions, *, used: Collection[str], now: datetime, rules: Retention = DEFAULT
) -> tuple[str, ...]:
    """Their names, the one that was used the longest time ago first."""
    idle = sorted(
        (one for one in revisions.values() if one.name not in used and not one.kept),
        key=lambda one: (_active(one), one.number),
    )
    stale = [one for one in idle if _stale(one, now, rules)][: max(0, len(idle) - rules.least)]
    left = [one for one in idle if one not in stale]
    surplus = left[: len(left) - rules.most] if rules.most is not None and len(left) > rules.most else []
    return tuple(one.name for one in (*stale, *surplus))


def _stale(one: Revision, now: datetime, rules: Retention) -> bool:
    if rules.since_created is None and rules.since_active is None:
        return False
    if rules.since_created is not None and now - one.created < rules.since_created:
        return False
    return rules.since_active is None or now - _active(one) >= rules.since_active


def _active(one: Revision) -> datetime:
    return one.last_active or one.created
