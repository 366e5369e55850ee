"""Counts what happens in the control plane, and shows all of its metrics to whoever scrapes.

Events are counted by methods that are handed down as callbacks: nothing below knows this module. What is a state is
read (`readings`) when somebody scrapes, so none of it can be out of date. The only one that imports prometheus_client.

Trap: what others choose for a label (a type URL, a reason) counts as "other" when it is not in the closed set of it.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Literal

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from .families import BY_NAME
from .identity import Reason
from .readings import Reading, readings
from .vitals import Vitals
from .workqueue import Meter

Applied = Literal["changed", "deleted", "refused", "error"]
Written = Literal["changed", "conflict", "error"]
KeyChange = Literal["rotated", "revoked"]
Told = Literal["written", "overtaken", "limited", "dropped", "error"]

OTHER = "other"
NO_ANSWER = "<error>"  # in place of a status code, as client-go has it
RESULTS = ("success", "error")
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

_Shown = CounterMetricFamily | GaugeMetricFamily


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
        family = BY_NAME[name]
        counter = Counter(name, family.help, family.labels, registry=self._registry)
        for labels in product(*values) if values else ():
            counter.labels(*labels)
        return counter

    def _gauge(self, name: str) -> Gauge:
        return Gauge(name, BY_NAME[name].help, registry=self._registry)

    def _histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        family = BY_NAME[name]
        return Histogram(name, family.help, family.labels, buckets=buckets, registry=self._registry)


class _Reader(Collector):
    """What is read at each scrape."""

    def __init__(self, vitals: Callable[[], Vitals], lease: str, queues: Mapping[str, Meter]) -> None:
        self._vitals, self._lease, self._queues = vitals, lease, queues

    def collect(self) -> Iterator[_Shown]:
        return map(_shown, readings(self._vitals(), self._lease, self._queues))


def _shown(reading: Reading) -> _Shown:
    family = BY_NAME[reading.name]
    make = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
    shown = make(family.name, family.help, labels=family.labels)
    for labels, value in reading.values:
        shown.add_metric(labels, float(value))
    return shown


def _type(type_url: str) -> str:
    return _among(TYPES, type_url.rpartition(".")[2])


def _among(values: Collection[str], value: str) -> str:
    return value if value in values else OTHER
