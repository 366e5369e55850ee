"""When a revision fails too often: `rollout.maxErrorPercent`, judged by what the edge sees.

An error is a request that an origin answered with 5xx, or that did not get as far. Counted are those of the last five
minutes of one revision, and compared with the limit alone, not with how the others do. Bad luck is no reason to roll
back: the errors must be so many that a revision which keeps to the limit would have them once in a thousand times at
most, by Chernoff's bound. Of a limit of 1 % that makes 3 of 10 requests, 7 of 100, 24 of 1,000.

Trap: a limit of 0 is kept by no luck at all. The first error counts, be it of a connection.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=5)
BUCKET = timedelta(seconds=15)
LEAST_REQUESTS = 10
CERTAINTY = math.log(1_000)
ALL = 100


@dataclass(frozen=True, slots=True)
class Tally:
    requests: int = 0
    errors: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.requests + other.requests, self.errors + other.errors)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was counted since `began`, by the name of the revision."""

    began: datetime
    tallies: Mapping[str, Tally]


Window = tuple[Bucket, ...]


def counted(window: Window, now: datetime, tallies: Mapping[str, Tally]) -> Window:
    """With what was told since the last time. What is too old, or not from the past, is dropped."""
    kept = tuple(one for one in window if now - WINDOW < one.began <= now)
    if not kept or now - kept[-1].began >= BUCKET:
        return (*kept, Bucket(now, dict(tallies)))
    *others, last = kept
    names = last.tallies.keys() | tallies.keys()
    merged = {name: last.tallies.get(name, Tally()) + tallies.get(name, Tally()) for name in names}
    return (*others, Bucket(last.began, merged))


def tally(window: Window, name: str) -> Tally:
    """All that is known of one revision."""
    return sum((one.tallies.get(name, Tally()) for one in window), Tally())


def exceeds(seen: Tally, limit_percent: float) -> bool:
    """Whether it is as good as certain that more than `limit_percent` of its requests fail."""
    limit = limit_percent / ALL
    if limit <= 0:
        return seen.errors > 0
    if seen.requests < LEAST_REQUESTS or seen.errors <= limit * seen.requests:
        return False
    share = min(seen.errors / seen.requests, 1.0)
    return seen.requests * _divergence(share, limit) >= CERTAINTY


def words(name: str, seen: Tally, limit_percent: float) -> str:
    """What is told of it."""
    percent = ALL * seen.errors / seen.requests if seen.requests else float(ALL)
    return (
        f'revision "{name}" failed {seen.errors} of the last {seen.requests} requests ({percent:.3g} %, '
        f"spec.rollout.maxErrorPercent allows {limit_percent:g} %)"
    )


def first_exceeding(window: Window, names: Iterable[str], limit_percent: float) -> str | None:
    """The first of `names` that fails too often."""
    return next((name for name in names if exceeds(tally(window, name), limit_percent)), None)


def _divergence(share: float, limit: float) -> float:
    """Kullback and Leibler's, of two coins."""
    if limit >= 1:
        return 0.0
    failed = share * math.log(share / limit) if share else 0.0
    return failed + ((1 - share) * math.log((1 - share) / (1 - limit)) if share < 1 else 0.0)
