"""Alerts and the dashboard: their queries are well formed, and ask for metrics that there are.

Trap: Prometheus takes a query for a metric that does not exist for one without results. Nothing would ever fire.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgerun.families import FAMILIES
from edgerun.translate.bootstrap import CLUSTER_SERIES, SERIES_PREFIXES
from support import prometheus
from support.chart import NAMESPACE, find, rendered

EVERYTHING = {"monitoring": {"enabled": True}, "dashboard": {"enabled": True}}
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}  # what every Python process tells of itself
NO_METRICS = {"histogram_quantile", "label_values", "edge_proxy"}  # functions and a label
SUFFIX = re.compile("_(bucket|sum|count)$")
HISTOGRAMS = {family.name for family in FAMILIES if family.type == "histogram"}


def operator(metric: str, **labels: str) -> str:
    return series(metric, job="edgerun-metrics", **labels)


def series(metric: str, **labels: str) -> str:
    return f"{metric}{{{','.join(f'{name}={value!r}' for name, value in of_pod(**labels).items())}}}".replace("'", '"')


def of_pod(**labels: str) -> dict[str, str]:
    return {"namespace": NAMESPACE, "pod": "pod", **labels}


LEADER = operator("leader_election_master_status", name="edgerun")
SWEEP, WATCHING = operator("edgerun_source_sweep_age_seconds"), operator("edgerun_source_watching")
RESTARTS, REBUILDS = operator("edgerun_source_restarts_total"), operator("edgerun_rebuild_total", result="error")
NACKS, BEHIND = operator("edgerun_xds_nacks_total", type="Cluster"), operator("edgerun_xds_streams_behind", fleet="f")
STRANGERS = operator("edgerun_xds_authentication_refused_total", reason="audience")
CONNECTED = series("envoy_control_plane_connected_state", edge_proxy="f")
APPLIED = operator("edgerun_apply_total", kind="Deployment", result="refused")
STATUSES = operator("edgerun_status_updates_total", result="error")
EXPIRY = operator("edgerun_credential_expiry_timestamp_seconds", credential="xds-server")
AUTHORITY = operator("edgerun_credential_expiry_timestamp_seconds", credential="xds-authority")
BLOCKED = operator("edgerun_rotation_blocked")
WELL = {
    LEADER: "1x60",
    operator("leader_election_master_status", name="edgerun", pod="standby"): "0x60",
    SWEEP: "60x60",
    WATCHING: "1x60",
    RESTARTS: "3x60",
    REBUILDS: "2x60",
    NACKS: "5x60",
    BEHIND: "0 1 0 2 0 1 0x60",
    STRANGERS: "7x60",
    CONNECTED: "1x60",
    APPLIED: "1x60",
    STATUSES: "1x60",
    BLOCKED: "0 1 0 2 0 1 0x60",
    EXPIRY: "43200x60",  # the clock of the tests begins at 0; it is renewed 12 hours before its end
    AUTHORITY: "10000000x60",
}
FIRES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "EdgerunNoLeader": ({LEADER: "0x60"}, {}),
    "EdgerunSourceStale": ({SWEEP: "0+60x60"}, of_pod(job="edgerun-metrics")),
    "EdgerunWatchesRestart": ({RESTARTS: "0+1x60"}, of_pod(job="edgerun-metrics")),
    "EdgerunWatchesDead": ({WATCHING: "0x60"}, of_pod(job="edgerun-metrics")),
    "EdgerunRebuildFails": ({REBUILDS: "0+1x60"}, of_pod(job="edgerun-metrics", result="error")),
    "EdgerunProxyRefuses": ({NACKS: "0+1x60"}, {"type": "Cluster"}),
    "EdgerunProxyBehind": ({BEHIND: "1x60"}, {"fleet": "f"}),
    "EdgerunProxyNotLetIn": ({STRANGERS: "0+1x60"}, {"reason": "audience"}),
    "EdgerunProxyNotConnected": ({CONNECTED: "0x60"}, of_pod(edge_proxy="f")),
    "EdgerunCannotApply": ({APPLIED: "0+1x60"}, {"kind": "Deployment", "result": "refused"}),
    "EdgerunCannotWriteStatus": ({STATUSES: "0+1x60"}, of_pod(job="edgerun-metrics", result="error")),
    "EdgerunRotationBlocked": ({BLOCKED: "1x60"}, of_pod(job="edgerun-metrics")),
    "EdgerunCertificateEnds": ({EXPIRY: "20000x60"}, {"credential": "xds-server"}),
}


def alerts(found: Any) -> list[Any]:
    return list(find(found, "PrometheusRule")["spec"]["groups"][0]["rules"])


def queries() -> dict[str, str]:
    """Every query of the alerts and the dashboard, by where it is."""
    found = rendered(EVERYTHING)
    board = json.loads(find(found, "ConfigMap", "edgerun-dashboard")["data"]["edgerun.json"])
    asked = {rule["alert"]: rule["expr"] for rule in alerts(found)}
    for panel in board["panels"]:
        asked |= {f"{panel['title']} {target['refId']}": target["expr"] for target in panel.get("targets", ())}
    return asked | {variable["name"]: str(variable["query"]) for variable in board["templating"]["list"]}


def metrics_of(query: str) -> set[str]:
    """The names in a query that are no function, no label and no part of a matcher."""
    bare = re.sub(r"\{[^}]*\}|\bby \([^)]*\)|\[[^\]]*\]", " ", query)
    return set(re.findall(r"\b[a-z]\w*_\w+\b", bare)) - NO_METRICS


def exists(metric: str) -> bool:
    if metric.startswith("envoy_"):
        return of_envoy(metric.removeprefix("envoy_"))
    return metric in {family.name for family in FAMILIES} | PROCESS or SUFFIX.sub("", metric) in HISTOGRAMS


HISTOGRAMS = {family.name for family in FAMILIES if family.type == "histogram"}


def of_envoy(metric: str) -> bool:
    """Whether the bootstrap lets an edge pod keep the series. Envoy makes one of the five of each class of status."""
    if metric.startswith(("cluster_upstream_", "cluster_membership_")):
        kept = SUFFIX.sub("", metric.removeprefix("cluster_"))
        return kept in CLUSTER_SERIES or kept.replace("_xx", "_5xx") in CLUSTER_SERIES
    return metric.startswith(tuple(prefix.replace(".", "_") for prefix in SERIES_PREFIXES))


def test_every_metric_that_is_asked_for_exists() -> None:
    asked = {metric for query in queries().values() for metric in metrics_of(query)}
    assert len(asked) > 30
    assert not {metric for metric in asked if not exists(metric)}


def test_a_metric_that_does_not_exist_would_be_noticed() -> None:
    assert metrics_of('sum by (pod_x) (rate(edgerun_nothing_total{a_b="c_d"}[5m])) > 0') == {"edgerun_nothing_total"}
    for name in ("edgerun_nothing_total", "envoy_cluster_upstream_rq_1xx", "envoy_filesystem_flushed", "up_x"):
        assert not exists(name)


def test_every_query_is_about_one_namespace() -> None:
    for where, query in queries().items():
        selectors = re.findall(r"\{([^}]*)\}", query) if metrics_of(query) and "label_values" not in query else ()
        for selector in selectors:
            assert f'namespace="{NAMESPACE}"' in selector or 'namespace="$namespace"' in selector, where


def test_every_alert_says_what_it_means_and_how_bad_it_is() -> None:
    for rule in alerts(rendered(EVERYTHING)):
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["alert"].startswith("Edgerun")


def test_alerts_get_the_labels_that_are_wanted_but_keep_their_severity() -> None:
    values = {"monitoring": {"enabled": True, "rules": {"labels": {"team": "edge", "severity": "none"}}}}
    for rule in alerts(rendered(values)):
        assert rule["labels"]["team"] == "edge"
        assert rule["labels"]["severity"] != "none"


def test_alerts_follow_the_name_of_the_release() -> None:
    found = rendered({**EVERYTHING, "fullnameOverride": "other"})
    text = json.dumps(find(found, "PrometheusRule", "other")["spec"])
    assert 'job=\\"other-metrics\\"' in text
    assert 'name=\\"other\\"' in text
    assert "edgerun-" not in text


def promtool(*arguments: str | Path) -> str:
    program = prometheus.program("promtool")
    if not program:
        pytest.skip("no query is given to Prometheus: promtool is missing; on Debian: tools/prometheus.sh")
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_alerts(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(find(rendered(EVERYTHING), "PrometheusRule")["spec"]))
    promtool("check", "rules", rules)


def test_prometheus_takes_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    asked = {where: query for where, query in queries().items() if "label_values" not in query and metrics_of(query)}
    known = [query.replace("$__rate_interval", "5m") for query in asked.values()]
    records = [{"record": f"query{number}", "expr": query} for number, query in enumerate(known)]
    rules = tmp_path / "queries.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    promtool("check", "rules", rules)


@pytest.mark.parametrize("alert", FIRES)
def test_an_alert_fires_when_it_should(alert: str, tmp_path: Path) -> None:
    changed, labels = FIRES[alert]
    severity = next(rule["labels"] for rule in alerts(rendered(EVERYTHING)) if rule["alert"] == alert)
    expected = [{"exp_labels": {**labels, **severity}}]
    assert_alerts({**WELL, **changed}, {alert: expected}, tmp_path)


def test_no_alert_fires_when_all_is_well(tmp_path: Path) -> None:
    assert_alerts(WELL, {alert: [] for alert in FIRES}, tmp_path)


def test_the_alert_of_no_leader_fires_when_nothing_is_scraped_at_all(tmp_path: Path) -> None:
    labels = {"namespace": NAMESPACE, "job": "edgerun-metrics", "name": "edgerun", "severity": "critical"}
    assert_alerts({}, {"EdgerunNoLeader": [{"exp_labels": labels}]}, tmp_path)


def test_there_is_a_month_to_replace_an_authority_by_hand(tmp_path: Path) -> None:
    labels = {"credential": "xds-authority", "severity": "critical"}
    series = {**WELL, AUTHORITY: f"{29 * 86400}x60"}
    assert_alerts(series, {"EdgerunCertificateEnds": [{"exp_labels": labels}]}, tmp_path)


def test_every_alert_is_tried() -> None:
    assert FIRES.keys() == {rule["alert"] for rule in alerts(rendered(EVERYTHING))}


def assert_alerts(series: dict[str, str], expected: dict[str, list[Any]], folder: Path) -> None:
    """That of `expected` these fire after half an hour with these series. The words of alerts are left out of it."""
    rules = [{key: rule[key] for key in rule if key != "annotations"} for rule in alerts(rendered(EVERYTHING))]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "edgerun", "rules": rules}]}))
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": "30m", "alertname": alert, "exp_alerts": found} for alert, found in expected.items()
        ],
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    promtool("test", "rules", folder / "tests.yaml")
