"""A real Prometheus scrapes the operator and the edge pods of a release, where the chart says that they are."""

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import prometheus
from support.cluster import Address
from support.poll import eventually
from support.release import Release
from support.shop import Shop, edge_route, origin_service
from support.standalone import fetch

Kubectl = Callable[..., str]
REQUESTS = 25

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("own_cluster")]


@pytest.fixture
def shop(kubectl: Kubectl, release: Release, image: str) -> Shop:
    if reason := prometheus.missing():
        pytest.skip(f"nobody scrapes: {reason}")
    shop = Shop.of(kubectl)
    shop.open(origin_service("cart", image), edge_route("cart", shop.host("cart"), "cart"))
    return shop


@pytest.fixture
def edge(shop: Shop, release: Release) -> Iterator[Address]:
    with release.edge() as address:
        yield address


def pods(release: Release, selector: str, port: str) -> dict[str, int | str]:
    """Of each pod that does not end, where it tells its metrics."""
    listed: list[dict[str, Any]] = json.loads(
        release.kubectl("get", "pods", f"--selector={selector}", "--output=json")
    )["items"]
    return {
        pod["metadata"]["name"]: f"{pod['status']['podIP']}:{one['containerPort']}"
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
        for one in pod["spec"]["containers"][0]["ports"]
        if one["name"] == port
    }


async def test_prometheus_sees_the_operator_and_every_edge_pod(
    shop: Shop, edge: Address, release: Release, tmp_path: Path
) -> None:
    operators = pods(release, "app.kubernetes.io/component=operator", "http")
    proxies = pods(release, "edgerun.dev/edge-proxy=default", "probes")
    assert (len(operators), len(proxies)) == (2, 2)
    for _ in range(REQUESTS):
        assert (await fetch(edge.port, "/", address=edge.host, host=shop.host("cart"))).status == 200
    cluster = f"origin/{shop.namespace}/cart/cart-00001@{shop.namespace}/default"
    async with prometheus.prometheus(tmp_path, {**operators, **proxies}) as server:
        wanted = {
            "sum(up)": 4,
            "sum(leader_election_master_status)": 1,
            "sum(edgerun_xds_streams{fleet='default'})": 2,
            "sum(edgerun_source_synced)": 2,
            f"sum(envoy_cluster_upstream_rq_total{{envoy_cluster_name='{cluster}'}})": REQUESTS,
        }
        for query, value in wanted.items():
            await eventually(functools.partial(_is, server, query, value), what=query)


async def _is(server: prometheus.Prometheus, query: str, value: float) -> bool:
    return await server.value(query) == value
