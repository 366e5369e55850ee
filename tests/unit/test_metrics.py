"""The table of metrics, and that what is shown is what it says."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgerun.families import FAMILIES
from edgerun.metrics import Metrics
from edgerun.vitals import Scale, Vitals

FORBIDDEN_LABELS = {"host", "path", "uid", "namespace", "object", "pod", "proxy", "route", "url"}
FULL = Vitals(
    uptime_s=9,
    leading=True,
    synced=True,
    sweep_age_s=3.0,
    watch_restarts=1,
    ghosts=2,
    missed=3,
    listening=True,
    objects={"EdgeRoute": 5},
    refused={"EdgeRoute": 1},
    ready={("EdgeRoute", "True"): 4},
    proxies={"default": 2},
    behind={"default": 1},
    expiries={"ca": 2e9},
    scales={"shop/cart": Scale(desired=5, ready=3, load=231.5, panics=True)},
    clock_skew_s=-3.5,
    keys={"signing": 1, "published": 1},
    signing_key_age_s=60.0,
)


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.exposition("")[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def busy(vitals: Vitals = FULL) -> Metrics:
    """Everything has happened once."""
    metrics = Metrics(lambda: vitals, lease="edgerun")
    with metrics.rebuilding():
        pass
    metrics.pushed("type.googleapis.com/envoy.config.cluster.v3.Cluster")
    metrics.nacked("type.googleapis.com/envoy.config.route.v3.RouteConfiguration")
    metrics.turned_away("missing")
    metrics.rotated(succeeded=True)
    metrics.key_changed("revoked")
    metrics.minted(3)
    metrics.applied("Deployment", "changed")
    metrics.status_written("conflict")
    metrics.told("written")
    metrics.requested("GET", 200, 0.01)
    queue = metrics.queue("apply")
    queue.added("a")
    queue.taken("a")
    queue.done("a")
    return metrics


def test_every_metric_of_the_table_is_shown_with_its_labels_and_no_other_is() -> None:
    text = busy().exposition("")[0].decode()
    shown = {family.name: family for family in text_string_to_metric_families(text)}
    ours = {name: family for name, family in shown.items() if not name.startswith("process_")}
    assert set(ours) == {family.name.removesuffix("_total") for family in FAMILIES}
    for family in FAMILIES:
        found = shown[family.name.removesuffix("_total")]
        assert (found.type, found.documentation) == (family.type, family.help)
        assert {tuple(sorted(set(sample.labels) - {"le"})) for sample in found.samples} == {
            tuple(sorted(family.labels))
        }


def test_no_label_takes_the_name_of_an_object_but_of_one_that_is_scaled() -> None:
    assert not FORBIDDEN_LABELS & {label for family in FAMILIES for label in family.labels}


def test_names_end_in_their_unit_and_helps_in_a_full_stop() -> None:
    for family in FAMILIES:
        assert family.name.endswith("_total") == (family.type == "counter")
        assert re.fullmatch(r"(edgerun|workqueue|rest_client|leader_election)_[a-z_]+", family.name)
        assert family.help.endswith(".")


def test_what_a_client_chooses_makes_no_new_series() -> None:
    metrics = Metrics(lambda: FULL, lease="edgerun")
    before = len(samples(metrics))
    metrics.nacked("type.googleapis.com/evil.Type")
    metrics.pushed("nonsense")
    metrics.turned_away("a reason of tomorrow")
    metrics.applied("Node", "error")
    found = samples(metrics)
    assert len(found) == before
    assert found["edgerun_xds_nacks_total", (("type", "other"),)] == 1
    assert found["edgerun_apply_total", (("kind", "other"), ("result", "error"))] == 1


def test_what_only_the_leader_knows_is_not_shown_by_others() -> None:
    follower = samples(Metrics(lambda: Vitals(uptime_s=1, ready={("EdgeRoute", "False"): 4}), lease="edgerun"))
    assert follower["leader_election_master_status", (("name", "edgerun"),)] == 0
    assert "edgerun_objects_ready" not in {name for name, _ in follower}
    assert not {"edgerun_source_sweep_age_seconds", "edgerun_clock_skew_seconds"} & {name for name, _ in follower}


def test_a_build_that_fails_is_counted_as_such() -> None:
    metrics = Metrics(lambda: FULL, lease="edgerun")
    with pytest.raises(RuntimeError), metrics.rebuilding():
        raise RuntimeError
    found = samples(metrics)
    assert found["edgerun_rebuild_total", (("result", "error"),)] == 1
    assert found["edgerun_last_rebuild_timestamp_seconds", ()] == 0


def test_an_api_server_that_does_not_answer_is_an_error_as_client_go_counts_it() -> None:
    metrics = Metrics(lambda: FULL, lease="edgerun")
    metrics.requested("PATCH", 0, 10.0)
    assert samples(metrics)["rest_client_requests_total", (("code", "<error>"), ("method", "PATCH"))] == 1


def test_a_work_queue_shows_what_waits_and_how_long_the_oldest_work_takes() -> None:
    metrics = Metrics(lambda: FULL, lease="edgerun")
    queue = metrics.queue("apply")
    for item in "aab":
        queue.added(item)
    queue.taken("a")
    queue.retried("c")
    found, name = samples(metrics), (("name", "apply"),)
    assert found["workqueue_depth", name] == 2
    assert found["workqueue_adds_total", name] == 4
    assert found["workqueue_retries_total", name] == 1
    assert found["workqueue_longest_running_processor_seconds", name] > 0
    queue.done("a")
    queue.forgotten("b")
    found = samples(metrics)
    assert found["workqueue_depth", name] == 1
    assert found["workqueue_unfinished_work_seconds", name] == 0
    assert found["workqueue_work_duration_seconds_count", name] == 1


def test_the_format_is_negotiated_and_nonsense_gets_the_plain_one() -> None:
    metrics = busy()
    body, media = metrics.exposition("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5")
    assert media.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    for accept in ("", "*/*", "text/plain;version=x", "text/html"):
        assert metrics.exposition(accept)[1].startswith("text/plain; version=0.0.4")
