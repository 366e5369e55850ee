"""What a real Prometheus makes of the control plane's metrics."""

import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edgerun.metrics import Metrics
from edgerun.runtime.http import pages, serving
from edgerun.vitals import Vitals
from support.poll import eventually
from support.prometheus import STARTS_S, lint, prometheus

LOOPBACK = "127.0.0.1"
LEADING = Vitals(
    uptime_s=60,
    leading=True,
    synced=True,
    sweep_age_s=3.0,
    listening=True,
    objects={"EdgeRoute": 5, "OriginService": 2},
    ready={("EdgeRoute", "True"): 4, ("EdgeRoute", "False"): 1},
    proxies={"default": 2},
    behind={"default": 0},
    expiries={"ca": time.time() + 86400},
)
VALUES = {
    "sum(edgerun_store_objects)": 7,
    'edgerun_objects_ready{status="False"}': 1,
    "leader_election_master_status": 1,
    "edgerun_xds_streams": 2,
    'edgerun_rebuild_total{result="success"}': 3,
    "edgerun_rebuild_duration_seconds_count": 3,
    'rest_client_requests_total{code="<error>"}': 1,
    'edgerun_apply_total{kind="Deployment",result="changed"}': 1,
    'edgerun_xds_authentication_refused_total{reason="audience"}': 1,
    'workqueue_longest_running_processor_seconds{name="events"} > bool 0': 1,
    "edgerun_credential_expiry_timestamp_seconds - time() > bool 86000": 1,
    "process_resident_memory_bytes > bool 10e6": 1,
}


class Operator:
    """As much of one as its metrics need."""

    def __init__(self) -> None:
        self.vitals = LEADING
        self.metrics = Metrics(lambda: self.vitals, lease="edgerun")


@pytest.fixture
def operator() -> Operator:
    return Operator()


def busy(metrics: Metrics) -> None:
    for _ in range(3):
        with metrics.rebuilding():
            pass
    metrics.requested("PATCH", 200, 0.02)
    metrics.requested("GET", 0, 10.0)
    metrics.applied("Deployment", "changed")
    metrics.pushed("type.googleapis.com/envoy.config.cluster.v3.Cluster")
    metrics.turned_away("audience")
    queue = metrics.queue("events")
    queue.added("a")
    queue.taken("a")


async def test_promtool_finds_nothing_to_complain_of(operator: Operator) -> None:
    busy(operator.metrics)
    text, _ = operator.metrics.exposition("")
    assert await lint(text) == (0, "")


async def test_its_queries_give_what_is_true_and_see_when_nobody_answers(operator: Operator, directory: Path) -> None:
    busy(operator.metrics)
    async with AsyncExitStack() as life:
        serves = serving(pages(operator.metrics, lambda: operator.vitals), port=0, address=LOOPBACK)
        port = await life.enter_async_context(serves)
        async with prometheus(directory, {"operator": port}) as asked:
            await eventually(lambda: asked.value("up == 1"), within_s=STARTS_S)
            assert await asked.targets() == {"operator": ""}
            for query, value in VALUES.items():
                assert await asked.value(query) == value, query
            operator.vitals = replace(LEADING, leading=False, proxies={}, behind={})
            await eventually(lambda: asked.query("leader_election_master_status == 0"))
            assert await asked.query("edgerun_objects_ready or edgerun_xds_streams") == []
            operator.metrics.nacked("type.googleapis.com/envoy.config.cluster.v3.Cluster")
            await eventually(lambda: asked.value('increase(edgerun_xds_nacks_total{type="Cluster"}[1m]) > 0'))
            await life.aclose()
            await eventually(lambda: asked.query("up == 0"))
            assert "connection refused" in (await asked.targets())["operator"]
            assert await asked.query("edgerun_store_objects") == []
