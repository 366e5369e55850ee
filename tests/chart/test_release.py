"""A release's life in a real API server: installed, upgraded, uninstalled, and installed again.

Trap: nothing runs behind it, so nothing is waited for, and what owners would take with them stays.
"""

import json
from collections.abc import Iterator

import pytest
import yaml

from support import apiserver
from support.apiserver import ApiServer, edge_route
from support.chart import CHART, CRD, NAMESPACE, Object, ask, kubectl, objects, render
from support.poll import eventually_sync

pytestmark = pytest.mark.apiserver

KINDS = "deployments,services,serviceaccounts,configmaps,roles,rolebindings,poddisruptionbudgets,networkpolicies"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that has never heard of Edgerun."""
    if reason := apiserver.missing():
        pytest.skip(f"no release is made in a real API server: {reason}")
    with apiserver.running(tmp_path_factory.mktemp("release")) as running:
        yield running


def helm(server: ApiServer, verb: str, *options: str, values: Object | None = None) -> None:
    chart = () if verb == "uninstall" else (str(CHART), "--values", "-")
    arguments = (verb, "edgerun", *chart, "--namespace", NAMESPACE, *options)
    done = ask(server, "helm", *arguments, stdin=yaml.safe_dump(values or {}))
    assert done.returncode == 0, done.stderr


def there(server: ApiServer, kinds: str) -> set[str]:
    """What the chart has made of these kinds."""
    selector = "app.kubernetes.io/managed-by=Helm"
    return set(kubectl(server, "get", kinds, "-A", "-l", selector, "-o", "name").split())


def test_the_definitions_and_what_users_wrote_outlive_the_release(empty: ApiServer) -> None:
    helm(empty, "install", "--create-namespace")
    definitions = there(empty, "crds")
    assert len(definitions) == len([one for one in objects(render()) if one["kind"] == CRD])
    assert "deployment.apps/edgerun" in there(empty, KINDS)
    kubectl(empty, "apply", "-f", "-", stdin=yaml.safe_dump(edge_route("default", "kept")))

    helm(empty, "upgrade", values={"replicas": 3, "networkPolicy": {"enabled": True}})
    deployment = json.loads(kubectl(empty, "get", "deployment", "edgerun", "-n", NAMESPACE, "-o", "json"))
    assert deployment["spec"]["replicas"] == 3
    assert "networkpolicy.networking.k8s.io/edgerun-edge" in there(empty, KINDS)

    helm(empty, "uninstall")
    assert not there(empty, KINDS)
    assert there(empty, "crds") == definitions
    assert "edgeroute.edgerun.dev/kept" in kubectl(empty, "get", "edgeroutes", "-o", "name")

    helm(empty, "install")
    helm(empty, "upgrade", values={"crds": {"keep": False}})
    helm(empty, "uninstall")
    assert not there(empty, KINDS)
    eventually_sync(lambda: not there(empty, "crds"))  # with a definition go all of its objects, first
