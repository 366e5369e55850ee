"""Every metric of the control plane: the table of them, what counts events, and what reads the rest at each scrape.

What is a state comes from `Vitals`, asked for when somebody scrapes, so none of it can be out of date. Events are
counted by methods that are handed down as callbacks: nothing below knows this module. The only one that imports
prometheus_client.

Trap: a label takes values of a small closed set. A name, host, path or uid would be a new series for each, so what
others choose (a type URL, a reason) counts as "other" when it is not in its set.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Literal, NamedTuple

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from . import __version__
from .identity import Reason
from .vitals import Scale, Vitals
from .workqueue import Meter

Type = Literal["counter", "gauge", "histogram"]
Applied = Literal["changed", "deleted", "refused", "error"]
Written = Literal["changed", "conflict", "error"]
KeyChange = Literal["rotated", "revoked"]
Told = Literal["written", "overtaken", "limited", "dropped", "error"]

OTHER = "other"
NO_ANSWER = "<error>"  # in place of a status code, as client-go has it
RESULTS = ("success", "error")
PHASES = ("pending", "published", "signing", "retiring", "retired", "revoked")
KEY_CHANGES: tuple[KeyChange, ...] = ("rotated", "revoked")
APPLIED: tuple[Applied, ...] = ("changed", "deleted", "refused", "error")
WRITTEN: tuple[Written, ...] = ("changed", "conflict", "error")
TOLD: tuple[Told, ...] = ("written", "overtaken", "limited", "dropped", "error")
TYPES = ("Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration", "Secret", "TypedExtensionConfig", OTHER)
REASONS = (*(reason.value for reason in Reason), OTHER)
KINDS = (
    "ConfigMap",
    "Deployment",
    "EndpointSlice",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "Secret",
    "Service",
    "ServiceAccount",
    OTHER,
)
_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_CALL_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_WAKE_S = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_QUEUE_S = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)

_Read = CounterMetricFamily | GaugeMetricFamily


class Family(NamedTuple):
    """One metric. `name` is the one in queries: with `_total`, without `_bucket`."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str


FAMILIES = (
    Family("edgerun_build_info", "gauge", ("version",), "Always 1; the label says what runs."),
    Family("leader_election_master_status", "gauge", ("name",), "1 in the replica that holds the Lease, 0 in others."),
    Family("edgerun_source_synced", "gauge", (), "1 once every kind was listed; nothing is published before."),
    Family("edgerun_source_sweep_age_seconds", "gauge", (), "Time since all objects were listed last."),
    Family("edgerun_source_watching", "gauge", (), "1 while the thread of the watches lives."),
    Family("edgerun_source_restarts_total", "counter", (), "How often the watches had to begin anew."),
    Family("edgerun_source_ghosts_total", "counter", (), "Deletions that a sweep found and the watches had not told."),
    Family("edgerun_source_missed_total", "counter", (), "Changes that a sweep found and the watches had not told."),
    Family("edgerun_store_objects", "gauge", ("kind",), "Objects that are known."),
    Family("edgerun_store_refused_objects", "gauge", ("kind",), "Objects whose newest version may not serve."),
    Family("edgerun_objects_ready", "gauge", ("kind", "status"), "Objects by their Ready condition; leader only."),
    Family("edgerun_rebuild_total", "counter", ("result",), "Builds of the configuration out of all objects."),
    Family(
        "edgerun_rebuild_duration_seconds", "histogram", (), "What a build took, until it was handed to the xDS server."
    ),
    Family(
        "edgerun_last_rebuild_timestamp_seconds", "gauge", (), "When the last build that succeeded ended; 0 before."
    ),
    Family(
        "edgerun_origin_desired_replicas",
        "gauge",
        ("origin",),
        "How many replicas there should be; leader only.",
    ),
    Family("edgerun_origin_ready_replicas", "gauge", ("origin",), "How many take requests; leader only."),
    Family(
        "edgerun_origin_load",
        "gauge",
        ("origin",),
        "Its average over the window of scaling, in the metric of scaling; leader only.",
    ),
    Family(
        "edgerun_origin_wake_seconds", "histogram", (), "From the first request that waits to a replica that takes it."
    ),
    Family("edgerun_origin_panic", "gauge", ("origin",), "1 while a burst keeps replicas up; leader only."),
    Family("edgerun_xds_listening", "gauge", (), "1 while the xDS server accepts proxies; the leader's does."),
    Family("edgerun_xds_streams", "gauge", ("fleet",), "Proxies that are connected."),
    Family("edgerun_xds_streams_behind", "gauge", ("fleet",), "Proxies that have not acknowledged the newest build."),
    Family("edgerun_xds_pushes_total", "counter", ("type",), "Responses that were sent to proxies."),
    Family("edgerun_xds_nacks_total", "counter", ("type",), "Responses that a proxy refused."),
    Family("edgerun_xds_authentication_refused_total", "counter", ("reason",), "Calls whose token was not accepted."),
    Family(
        "edgerun_credential_expiry_timestamp_seconds",
        "gauge",
        ("credential",),
        "When one of our own certificates ends.",
    ),
    Family("edgerun_signing_keys", "gauge", ("phase",), "Keys that sign the edge's tokens, or will or did."),
    Family("edgerun_signing_key_age_seconds", "gauge", (), "How long the key that signs has done so."),
    Family("edgerun_signing_key_changes_total", "counter", ("change",), "Keys that were replaced or revoked."),
    Family("edgerun_tokens_minted_total", "counter", (), "Tokens that were signed for edges; leader only."),
    Family(
        "edgerun_rotation_blocked",
        "gauge",
        (),
        "Guards that were told of a key and do not take it; leader only.",
    ),
    Family("edgerun_rotation_total", "counter", ("result",), "Renewals of our own certificates."),
    Family("edgerun_clock_skew_seconds", "gauge", (), "How far the clock is ahead of the API server's."),
    Family("edgerun_apply_total", "counter", ("kind", "result"), "Objects that were applied or deleted; leader only."),
    Family("edgerun_status_updates_total", "counter", ("result",), "Statuses that were written; leader only."),
    Family("edgerun_events_total", "counter", ("result",), "Kubernetes Events that were worth telling; leader only."),
    Family("workqueue_depth", "gauge", ("name",), "Items that wait."),
    Family("workqueue_adds_total", "counter", ("name",), "Items that were added."),
    Family("workqueue_retries_total", "counter", ("name",), "Items that were put back after a failure."),
    Family("workqueue_queue_duration_seconds", "histogram", ("name",), "How long an item waits."),
    Family("workqueue_work_duration_seconds", "histogram", ("name",), "How long the work on an item takes."),
    Family("workqueue_unfinished_work_seconds", "gauge", ("name",), "Time spent on all items that are not done yet."),
    Family("workqueue_longest_running_processor_seconds", "gauge", ("name",), "Time spent on the oldest of them."),
    Family("rest_client_requests_total", "counter", ("method", "code"), "Requests to the API server."),
    Family("rest_client_request_duration_seconds", "histogram", ("verb",), "Until the API server had answered."),
)
_BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}


class Metrics:
    """One registry. `lease` is the name of the Lease; `vitals` is asked at each scrape."""

    def __init__(self, vitals: Callable[[], Vitals], *, lease: str) -> None:
        # Else every counter has a second series, which no query of ours needs.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._queues: dict[str, Meter] = {}
        self._rebuilds = self._counter("edgerun_rebuild_total", RESULTS)
        self._rebuild_s = self._histogram("edgerun_rebuild_duration_seconds", _FAST_S)
        self._wake_s = self._histogram("edgerun_origin_wake_seconds", _WAKE_S)
        self._rebuilt = self._gauge("edgerun_last_rebuild_timestamp_seconds")
        self._pushes = self._counter("edgerun_xds_pushes_total", TYPES)
        self._nacks = self._counter("edgerun_xds_nacks_total", TYPES)
        self._strangers = self._counter("edgerun_xds_authentication_refused_total", REASONS)
        self._rotations = self._counter("edgerun_rotation_total", RESULTS)
        self._key_changes = self._counter("edgerun_signing_key_changes_total", KEY_CHANGES)
        self._minted = self._counter("edgerun_tokens_minted_total")
        self._applied = self._counter("edgerun_apply_total", KINDS, APPLIED)
        self._statuses = self._counter("edgerun_status_updates_total", WRITTEN)
        self._events = self._counter("edgerun_events_total", TOLD)
        self._requests = self._counter("rest_client_requests_total")
        self._request_s = self._histogram("rest_client_request_duration_seconds", _CALL_S)
        self._adds = self._counter("workqueue_adds_total")
        self._retries = self._counter("workqueue_retries_total")
        self._queue_s = self._histogram("workqueue_queue_duration_seconds", _QUEUE_S)
        self._work_s = self._histogram("workqueue_work_duration_seconds", _QUEUE_S)
        self._registry.register(_Reader(vitals, lease, self._queues))
        ProcessCollector(registry=self._registry)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All of it in the format that the header `accept` asks for, and its media type."""
        try:
            encode, media = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is no number
            encode, media = choose_encoder("")
        return encode(self._registry), media

    def woken(self, took_s: float) -> None:
        """A revision that slept takes requests."""
        self._wake_s.observe(took_s)

    @contextmanager
    def rebuilding(self) -> Iterator[None]:
        """Around one build."""
        began, result = time.perf_counter(), "error"
        try:
            yield
            result = "success"
            self._rebuilt.set(time.time())
        finally:
            self._rebuild_s.observe(time.perf_counter() - began)
            self._rebuilds.labels(result).inc()

    def pushed(self, type_url: str) -> None:
        """A response went to a proxy."""
        self._pushes.labels(_type(type_url)).inc()

    def nacked(self, type_url: str) -> None:
        """A proxy refused one."""
        self._nacks.labels(_type(type_url)).inc()

    def turned_away(self, reason: str) -> None:
        """The token of a call was not accepted; `reason` is one of REASONS."""
        self._strangers.labels(_among(REASONS, reason)).inc()

    def rotated(self, *, succeeded: bool) -> None:
        """One of our own certificates was renewed, or should have been."""
        self._rotations.labels("success" if succeeded else "error").inc()

    def key_changed(self, change: KeyChange) -> None:
        """Another key signs, or one was revoked."""
        self._key_changes.labels(change).inc()

    def minted(self, count: int) -> None:
        self._minted.inc(count)

    def applied(self, kind: str, result: Applied) -> None:
        self._applied.labels(_among(KINDS, kind), result).inc()

    def status_written(self, result: Written) -> None:
        self._statuses.labels(result).inc()

    def told(self, result: Told) -> None:
        """Something was worth a Kubernetes Event."""
        self._events.labels(result).inc()

    def requested(self, method: str, status: int, seconds: float) -> None:
        """The API server answered with `status`, or not at all: 0."""
        self._requests.labels(method, str(status) if status else NO_ANSWER).inc()
        self._request_s.labels(method).observe(seconds)

    def queue(self, name: str) -> Meter:
        """What measures the work queue of that name, which is one of a few in the code."""
        adds, retries = self._adds.labels(name), self._retries.labels(name)
        waited, worked = self._queue_s.labels(name), self._work_s.labels(name)
        return self._queues.setdefault(name, Meter(adds.inc, retries.inc, waited.observe, worked.observe))

    def _counter(self, name: str, *values: Collection[str]) -> Counter:
        """With `values`, all series exist from the start: an increase from nothing to 1 is none to Prometheus."""
        family = _BY_NAME[name]
        counter = Counter(name, family.help, family.labels, registry=self._registry)
        for labels in product(*values) if values else ():
            counter.labels(*labels)
        return counter

    def _gauge(self, name: str) -> Gauge:
        return Gauge(name, _BY_NAME[name].help, registry=self._registry)

    def _histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        family = _BY_NAME[name]
        return Histogram(name, family.help, family.labels, buckets=buckets, registry=self._registry)


class _Reader(Collector):
    """What is read at each scrape."""

    def __init__(self, vitals: Callable[[], Vitals], lease: str, queues: Mapping[str, Meter]) -> None:
        self._vitals, self._lease, self._queues = vitals, lease, queues

    def collect(self) -> Iterator[_Read]:
        vitals = self._vitals()
        yield _one("edgerun_build_info", 1, __version__)
        yield _one("leader_election_master_status", vitals.leading, self._lease)
        yield from _source(vitals)
        yield _many("edgerun_store_objects", vitals.objects)
        yield _many("edgerun_store_refused_objects", vitals.refused)
        yield _read("edgerun_objects_ready", vitals.ready.items() if vitals.leading else ())
        yield from _scales(vitals.scales)
        yield _one("edgerun_xds_listening", vitals.listening)
        yield _many("edgerun_xds_streams", vitals.proxies)
        yield _many("edgerun_xds_streams_behind", vitals.behind)
        yield _many("edgerun_credential_expiry_timestamp_seconds", vitals.expiries)
        skew = vitals.clock_skew_s
        yield _read("edgerun_clock_skew_seconds", () if skew is None else [((), skew)])
        yield _many("edgerun_signing_keys", {phase: vitals.keys.get(phase, 0) for phase in PHASES})
        yield _read("edgerun_signing_key_age_seconds", _if_known(vitals.signing_key_age_s))
        yield _one("edgerun_rotation_blocked", vitals.blocked)
        ages = {name: meter.ages_s() for name, meter in self._queues.items()}
        yield _many("workqueue_depth", {name: meter.depth for name, meter in self._queues.items()})
        yield _many("workqueue_unfinished_work_seconds", {name: sum(own) for name, own in ages.items()})
        longest = {name: max(own, default=0.0) for name, own in ages.items()}
        yield _many("workqueue_longest_running_processor_seconds", longest)


def _source(vitals: Vitals) -> Iterator[_Read]:
    yield _one("edgerun_source_synced", vitals.synced)
    yield _read("edgerun_source_sweep_age_seconds", _if_known(vitals.sweep_age_s))
    yield _one("edgerun_source_watching", vitals.watching)
    yield _one("edgerun_source_restarts_total", vitals.watch_restarts)
    yield _one("edgerun_source_ghosts_total", vitals.ghosts)
    yield _one("edgerun_source_missed_total", vitals.missed)


def _scales(scales: Mapping[str, Scale]) -> Iterator[_Read]:
    yield _many("edgerun_origin_desired_replicas", {name: scale.desired for name, scale in scales.items()})
    yield _many("edgerun_origin_ready_replicas", {name: scale.ready for name, scale in scales.items()})
    yield _many("edgerun_origin_load", {name: one.load for name, one in scales.items() if one.load is not None})
    yield _many("edgerun_origin_panic", {name: scale.panics for name, scale in scales.items()})


def _if_known(value: float | None) -> Iterable[tuple[tuple[str, ...], float]]:
    return () if value is None else [((), value)]


def _one(name: str, value: float, *labels: str) -> _Read:
    return _read(name, [(labels, value)])


def _many(name: str, values: Mapping[str, float]) -> _Read:
    return _read(name, [((label,), value) for label, value in values.items()])


def _read(name: str, values: Iterable[tuple[tuple[str, ...], float]]) -> _Read:
    family = _BY_NAME[name]
    make = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
    read = make(name, family.help, labels=family.labels)
    for labels, value in values:
        read.add_metric(labels, float(value))
    return read


def _type(type_url: str) -> str:
    return _among(TYPES, type_url.rpartition(".")[2])


def _among(values: Collection[str], value: str) -> str:
    return value if value in values else OTHER
