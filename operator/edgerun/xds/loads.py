"""How busy each origin is, as the edges tell: average concurrency and requests per second, summed over all proxies.

Once a second a proxy reports how many requests are in progress, and how many began and ended since its last report; a
cluster that had none is not named. It does not tell how long they took. So the average over the interval is taken as
that of both of its ends, and at least a millisecond for each request that began: one that came and went within the
interval is at no end, and an origin that answers a request now and then must not look as if it had none. Reports come
when nothing else happens, so what they happen to see is right on average.
No clock in here. Requests that are held for a cold cluster are in no report: they are demand.
Trap: reports and readings are not in step, between two readings there may be two reports of a proxy or none. So a
reading is the average of what came since the last one, and where nothing came the last word, for PATIENCE_S.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..translate.revisions.trial import Tally

PATIENCE_S = 3.0  # a report comes every second; after this a proxy that says nothing has nothing
SHORTEST_S = 0.001  # a request is taken to last

OriginT = TypeVar("OriginT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Counts:
    """`in_progress` at the end of an interval; the others are what happened in it. Tries count, not requests: each
    retry is another one. An error is an answer with 5xx, or none."""

    in_progress: int = 0
    issued: int = 0
    succeeded: int = 0
    errors: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.in_progress + other.in_progress,
            self.issued + other.issued,
            self.succeeded + other.succeeded,
            self.errors + other.errors,
        )

    @property
    def ended(self) -> int:
        return self.succeeded + self.errors

    def __bool__(self) -> bool:
        return bool(self.in_progress or self.issued or self.succeeded or self.errors)


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """What one proxy had of one cluster in `seconds`, by the address of each endpoint, and altogether."""

    cluster: str
    seconds: float
    endpoints: Mapping[str, Counts]
    total: Counts


@dataclass(frozen=True, slots=True)
class Report:
    """What one proxy said at one time."""

    proxy: str
    fleet: str
    clusters: tuple[ClusterReport, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """Of one origin: requests at the same time on average, and how many a second began, went well and failed."""

    concurrency: float = 0.0
    requests: float = 0.0
    successes: float = 0.0
    errors: float = 0.0

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.concurrency + other.concurrency,
            self.requests + other.requests,
            self.successes + other.successes,
            self.errors + other.errors,
        )

    def __bool__(self) -> bool:
        return bool(self.concurrency or self.requests or self.successes or self.errors)


@dataclass(slots=True)
class _Cluster:
    """`last` is what was read last; the sums are of what came since then."""

    in_progress: int = 0
    last: Load = Load()
    seconds: float = 0.0
    request_seconds: float = 0.0
    issued: int = 0
    succeeded: int = 0
    errors: int = 0

    def take_in(self, counts: Counts, seconds: float) -> None:
        average = (self.in_progress + counts.in_progress) / 2
        self.in_progress = counts.in_progress
        self.seconds += seconds
        self.request_seconds += max(average * seconds, counts.issued * SHORTEST_S)
        self.issued += counts.issued
        self.succeeded += counts.succeeded
        self.errors += counts.errors

    def read(self) -> Load:
        if self.seconds:
            sums = (self.request_seconds, self.issued, self.succeeded, self.errors)
            self.last = Load(*(one / self.seconds for one in sums))
            self.seconds = self.request_seconds = 0.0
            self.issued = self.succeeded = self.errors = 0
        return self.last

    @property
    def over(self) -> bool:
        """Nothing is left to tell."""
        return not (self.in_progress or self.seconds or self.last)


@dataclass(slots=True)
class _Reporter:
    proxy: str
    heard_at: float | None = None
    began_at: float | None = None  # the interval that was reported last; nobody knows of the first
    busy: Set[str] = frozenset()  # clusters that had anything in it
    clusters: dict[str, _Cluster] = field(default_factory=dict)

    def take_in(self, clusters: Iterable[ClusterReport], now: float) -> None:
        self.began_at, self.heard_at = self.heard_at, now
        first, since_s = self.began_at is None, now - (self.began_at or now)
        named = {one.cluster: one for one in clusters}
        self.busy = frozenset(name for name, one in named.items() if one.total)
        for name, one in named.items():
            before = one.total.in_progress if first else 0
            self.clusters.setdefault(name, _Cluster(before)).take_in(one.total, one.seconds)
        for name in self.clusters.keys() - named.keys():
            self.clusters[name].take_in(Counts(), since_s)

    def read(self) -> Mapping[str, Load]:
        found = {name: cluster.read() for name, cluster in self.clusters.items()}
        self.clusters = {name: cluster for name, cluster in self.clusters.items() if not cluster.over}
        return {name: load for name, load in found.items() if load}


class Loads(Generic[OriginT]):
    """`origin_of` tells whose a cluster is, None when nobody's. For one reader, who reads about once a second.

    A reporter is one stream of reports: the new one of a proxy that comes back is another than its old one.
    """

    def __init__(self, origin_of: Callable[[str], OriginT | None]) -> None:
        self._origin_of = origin_of
        self._reporters: dict[Hashable, _Reporter] = {}
        self._tallies: dict[OriginT, Tally] = {}

    def heard(self, reporter: Hashable, report: Report, now: float) -> None:
        for one in report.clusters:
            origin = self._origin_of(one.cluster) if one.total.ended else None
            if origin is not None:
                seen = Tally(one.total.ended, one.total.errors)
                self._tallies[origin] = self._tallies.get(origin, Tally()) + seen
        self._reporters.setdefault(reporter, _Reporter(report.proxy)).take_in(report.clusters, now)

    def left(self, reporter: Hashable) -> None:
        self._reporters.pop(reporter, None)

    def read(self, now: float) -> Mapping[OriginT, Load]:
        """What each origin had since the last reading; those that had nothing are left out."""
        found: dict[OriginT, Load] = {}
        for one in self._fresh(now):
            for cluster, load in one.read().items():
                origin = self._origin_of(cluster)
                if origin is not None:
                    found[origin] = found.get(origin, Load()) + load
        return found

    def ended(self) -> Mapping[OriginT, Tally]:
        """How many requests to each origin have ended since this was asked last, and how many of them in an error. One
        that got no connection is an error, and in no other number."""
        found, self._tallies = self._tallies, {}
        return found

    def reporting(self, now: float) -> Set[str]:
        """The proxies whose word counts. What others have nobody knows, which is not the same as nothing."""
        return {one.proxy for one in self._fresh(now)}

    def quiet(self, cluster: str, since: float) -> Set[str]:
        """The proxies that had nothing of `cluster` for a whole interval that began after `since`."""
        return {
            one.proxy
            for one in self._reporters.values()
            if one.began_at is not None and one.began_at >= since and cluster not in one.busy
        }

    def _fresh(self, now: float) -> list[_Reporter]:
        return [one for one in self._reporters.values() if now - (one.heard_at or 0.0) <= PATIENCE_S]
