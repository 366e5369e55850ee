"""What goes over the streams is counted, with the registry that Prometheus reads."""

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgerun.metrics import Metrics
from edgerun.translate.plan import CLUSTER
from edgerun.vitals import Vitals
from edgerun.xds.server import Server
from support.poll import eventually
from support.xds import Witness, cluster, connected, fleet, nack


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(lambda: Vitals(uptime_s=1), lease="edgerun")


@pytest.fixture
async def address(metrics: Metrics) -> AsyncIterator[str]:
    """Of a server that has two clusters to give."""
    server = Server(observer=Witness(), traffic=metrics)
    with TemporaryDirectory() as directory:
        where = f"unix:{Path(directory) / 'x' / 'xds.sock'}"
        await server.start(where)
        server.publish(fleet(cluster("a"), cluster("b")))
        try:
            yield where
        finally:
            await server.stop(grace_s=0.2)


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    text = metrics.exposition("")[0].decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {
        (sample.name, sample.labels["type"]): sample.value
        for sample in samples
        if "type" in sample.labels and sample.value
    }


async def test_responses_and_refusals_are_counted_by_type(address: str, metrics: Metrics) -> None:
    async with connected(address) as client:
        await client.subscribe(CLUSTER, node="one")
        await client.say(nack(await client.hear(), "something is wrong with one of them"))
        await client.say(nack(await client.hear(), "cluster a is"))
        await eventually(lambda: counted(metrics).get(("edgerun_xds_nacks_total", "Cluster")) == 2)
    assert counted(metrics)["edgerun_xds_pushes_total", "Cluster"] >= 2
    assert {type for _, type in counted(metrics)} == {"Cluster"}
