"""That the chart installs and goes without a trace, and that what the tests of a release stand on holds."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.cluster import reached
from support.pods import PORT, origin, origin_program
from support.release import NAMESPACE, installed, leftovers
from support.standalone import fetch

Kubectl = Callable[..., str]

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "cart"},
    "spec": {"selector": {"app": "cart"}, "ports": [{"name": "http", "port": 80, "targetPort": PORT}]},
}

pytestmark = pytest.mark.cluster


def test_the_chart_is_installed_and_leaves_nothing_behind(cluster: Path, image: str) -> None:
    with installed(cluster, image, {"replicas": "0"}) as release:
        assert release.kubectl("get", "deployment/edgerun", "--output=jsonpath={..image}") == image
        assert {"deployment.apps/edgerun", "clusterrole.rbac.authorization.k8s.io/edgerun"} <= leftovers()
        assert f"namespace/{NAMESPACE}" in release.kubectl("get", "namespaces", "--output=name").split()
    assert not leftovers()


async def test_a_service_is_reached_from_the_host(cluster: Path, image: str, kubectl: Kubectl) -> None:
    pod = {"metadata": {"labels": {"app": "cart"}}, "spec": origin(image, NAME="cart")}
    spec = {"selector": {"matchLabels": {"app": "cart"}}, "template": pod}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"}, "spec": spec}
    for manifest in (origin_program(), SERVICE, deployment):
        kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
    kubectl("rollout", "status", "deployment/cart", "--timeout=60s")
    namespace = kubectl("get", "service/cart", "--output=jsonpath={.metadata.namespace}")
    with reached(cluster, namespace, "cart") as (address, port):
        answer = await fetch(port, "/?status=201", address=address, host="cart")
    assert (answer.status, answer.header("x-origin")) == (201, "cart")
