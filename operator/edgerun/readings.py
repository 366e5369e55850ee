"""What metrics are read at each scrape: all that is a state, from the vital signs and the work queues of the moment."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from . import __version__
from .vitals import Scale, Vitals
from .workqueue import Meter

PHASES = ("pending", "published", "signing", "retiring", "retired", "revoked")


class Reading(NamedTuple):
    """One metric, and the value of each of its series by their labels."""

    name: str
    values: Iterable[tuple[tuple[str, ...], float]]


def readings(vitals: Vitals, lease: str, queues: Mapping[str, Meter]) -> Iterator[Reading]:
    """In the order in which they are shown. `lease` is the name of the Lease; `queues` go by their names."""
    yield _one("edgerun_build_info", 1, __version__)
    yield _one("leader_election_master_status", vitals.leading, lease)
    yield from _source(vitals)
    yield _many("edgerun_store_objects", vitals.objects)
    yield _many("edgerun_store_refused_objects", vitals.refused)
    yield Reading("edgerun_objects_ready", vitals.ready.items() if vitals.leading else ())
    yield from _scales(vitals.scales)
    yield _one("edgerun_xds_listening", vitals.listening)
    yield _many("edgerun_xds_streams", vitals.proxies)
    yield _many("edgerun_xds_streams_behind", vitals.behind)
    yield _many("edgerun_credential_expiry_timestamp_seconds", vitals.expiries)
    yield _if_known("edgerun_clock_skew_seconds", vitals.clock_skew_s)
    yield _many("edgerun_signing_keys", {phase: vitals.keys.get(phase, 0) for phase in PHASES})
    yield _if_known("edgerun_signing_key_age_seconds", vitals.signing_key_age_s)
    yield _one("edgerun_rotation_blocked", vitals.blocked)
    yield from _queues(queues)


def _source(vitals: Vitals) -> Iterator[Reading]:
    yield _one("edgerun_source_synced", vitals.synced)
    yield _if_known("edgerun_source_sweep_age_seconds", vitals.sweep_age_s)
    yield _one("edgerun_source_watching", vitals.watching)
    yield _one("edgerun_source_restarts_total", vitals.watch_restarts)
    yield _one("edgerun_source_ghosts_total", vitals.ghosts)
    yield _one("edgerun_source_missed_total", vitals.missed)


def _scales(scales: Mapping[str, Scale]) -> Iterator[Reading]:
    yield _many("edgerun_origin_desired_replicas", {name: scale.desired for name, scale in scales.items()})
    yield _many("edgerun_origin_ready_replicas", {name: scale.ready for name, scale in scales.items()})
    yield _many("edgerun_origin_load", {name: one.load for name, one in scales.items() if one.load is not None})
    yield _many("edgerun_origin_panic", {name: scale.panics for name, scale in scales.items()})


def _queues(queues: Mapping[str, Meter]) -> Iterator[Reading]:
    ages = {name: meter.ages_s() for name, meter in queues.items()}
    yield _many("workqueue_depth", {name: meter.depth for name, meter in queues.items()})
    yield _many("workqueue_unfinished_work_seconds", {name: sum(own) for name, own in ages.items()})
    longest = {name: max(own, default=0.0) for name, own in ages.items()}
    yield _many("workqueue_longest_running_processor_seconds", longest)


def _one(name: str, value: float, *labels: str) -> Reading:
    return Reading(name, [(labels, value)])


def _if_known(name: str, value: float | None) -> Reading:
    return Reading(name, () if value is None else [((), value)])


def _many(name: str, values: Mapping[str, float]) -> Reading:
    return Reading(name, [((label,), value) for label, value in values.items()])
