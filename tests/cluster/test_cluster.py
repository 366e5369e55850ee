"""What a cluster must do for the other tests to mean something: run pods, Services and DNS as a real one does."""

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.poll import eventually_sync

Kubectl = Callable[..., str]

MODULES = Path(__file__).parents[2] / "tools" / "cluster" / "go"
WEB = Path(__file__).with_name("web.yaml")
READY_WITHIN = "--timeout=60s"

pytestmark = pytest.mark.cluster


@pytest.fixture
def web(kubectl: Kubectl, probe: str) -> Kubectl:
    """kubectl in a namespace where two restricted pods are ready behind the Service web."""
    kubectl("apply", f"--filename={WEB}")
    kubectl("rollout", "status", "deployment/web", READY_WITHIN)
    return kubectl


def listed(kubectl: Kubectl, *what: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(kubectl("get", *what, "--output=json"))["items"]
    return items


def pod_names(kubectl: Kubectl) -> set[str]:
    return {pod["metadata"]["name"] for pod in listed(kubectl, "pods", "--selector=app=web")}


def address(kubectl: Kubectl) -> str:
    return kubectl("get", "service", "web", "--output=jsonpath={.spec.clusterIP}")


def answer(url: str) -> str:
    """What the URL answers, asked from the host and past any proxy."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=5) as response:
        return str(response.read().decode())


def test_the_node_is_ready_and_of_the_version_that_the_modules_name(kubectl: Kubectl, own_cluster: None) -> None:
    version = re.search(r"k8s.io/kubernetes (v\S+)", (MODULES / "kubernetes" / "go.mod").read_text())
    assert version
    (node,) = listed(kubectl, "nodes")
    conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == version[1]
    assert json.loads(kubectl("version", "--output=json"))["serverVersion"]["gitVersion"] == version[1]


def test_a_deployment_of_restricted_pods_becomes_ready(web: Kubectl) -> None:
    pods = listed(web, "pods")
    assert len(pods) == 2
    assert all(pod["status"]["containerStatuses"][0]["ready"] for pod in pods)


def test_a_pod_that_is_not_restricted_is_refused(kubectl: Kubectl) -> None:
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        kubectl("run", "loose", "--image=edgerun.dev/probe:1", "--image-pull-policy=Never")


def test_a_service_answers_the_host_from_every_pod(web: Kubectl, own_cluster: None) -> None:
    names, url = pod_names(web), f"http://{address(web)}/"
    eventually_sync(lambda: {answer(url) for _ in range(20)} == names)


def test_a_service_answers_pods_by_name_also_the_pod_behind_it(web: Kubectl) -> None:
    names, asking = pod_names(web), pod_names(web).pop()
    inside = ("exec", asking, "--", "/probe", "get", "http://web/")
    eventually_sync(lambda: {web(*inside) for _ in range(10)} == names)


def test_the_name_of_a_service_resolves_and_no_name_outside_does(web: Kubectl, own_cluster: None) -> None:
    resolve = ("exec", "deployment/web", "--", "/probe", "resolve")
    assert web(*resolve, "web").split() == [address(web)]
    with pytest.raises(AssertionError, match="no such host"):
        web(*resolve, "example.com")


def test_logs_and_exec_reach_the_pod(web: Kubectl) -> None:
    name = pod_names(web).pop()
    assert web("logs", name).startswith(f"serving as {name}\n")
    assert web("exec", name, "--", "/probe", "get", "http://127.0.0.1:8080/") == name


def test_a_process_that_uses_more_than_its_pod_may_is_killed(web: Kubectl) -> None:
    fill = ("exec", "deployment/web", "--", "/probe", "fill")
    assert web(*fill, "16") == "used 16777216 bytes\n"
    with pytest.raises(AssertionError, match="exit code 137"):
        web(*fill, "256")


def test_a_deleted_pod_is_replaced_and_the_service_follows(web: Kubectl) -> None:
    before = pod_names(web)
    web("delete", "pod", "--selector=app=web", "--wait=true", "--grace-period=1")
    web("rollout", "status", "deployment/web", READY_WITHIN)
    inside = ("exec", "deployment/web", "--", "/probe", "get", "http://web/")
    assert not pod_names(web) & before
    eventually_sync(lambda: web(*inside) in pod_names(web))
