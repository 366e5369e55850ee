"""The main job in its real place: objects are applied, pods start, and requests are answered through the edge."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.cluster import Address
from support.poll import eventually_sync
from support.release import NAMESPACE, Release
from support.shop import Shop, edge_route, origin_service
from support.standalone import fetch

Kubectl = Callable[..., str]

pytestmark = pytest.mark.cluster


@pytest.fixture
def shop(kubectl: Kubectl, release: Release) -> Shop:
    return Shop.of(kubectl)


@pytest.fixture
def served(shop: Shop, image: str, release: Release) -> Iterator[Address]:
    """Where the edge is, with one origin of two replicas behind cart."""
    shop.open(origin_service("cart", image, replicas=2), edge_route("cart", shop.host("cart"), "cart"))
    with release.edge() as edge:
        yield edge


async def test_what_is_applied_becomes_ready_and_serves(shop: Shop, served: Address) -> None:
    answer = await fetch(served.port, "/anything?status=201", address=served.host, host=shop.host("cart"))
    assert (answer.status, answer.header("x-origin")) == (201, "cart")

    def both_have_it() -> bool:  # the route is Ready with the first of the two proxies
        edges = shop.get("edgeroute", "cart")["status"]["edges"]
        assert edges == [{"name": "default", "proxies": 2, "programmed": 2}]
        return True

    eventually_sync(both_have_it, step_s=0.5, what="both proxies programmed")


async def test_an_unknown_host_is_answered_with_404(served: Address) -> None:
    assert (await fetch(served.port, "/", address=served.host, host="nobody.test")).status == 404


def test_objects_of_users_stay_as_they_wrote_them(shop: Shop, served: Address) -> None:
    for kind in ("edgeroute", "originservice"):
        metadata = shop.get(kind, "cart")["metadata"]
        assert "finalizers" not in metadata
        assert set(metadata["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}


def test_an_origin_is_a_deployment_that_goes_with_it(shop: Shop, image: str) -> None:
    shop.open(origin_service("brief", image))
    (owner,) = shop.get("deployment", "brief-00001")["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("OriginService", "brief")
    shop.kubectl("delete", "originservice", "brief", "--wait=true")
    shop.kubectl("wait", "--for=delete", "deployment/brief-00001", "originrevision/brief-00001", "--timeout=60s")


def test_a_pod_that_would_break_out_is_refused_in_the_words_of_admission(shop: Shop, image: str) -> None:
    shop.apply(origin_service("loose", image, hostNetwork=True), edge_route("loose", shop.host("loose"), "loose"))
    refused = shop.until("originservice", "loose", "False", "PodsForbidden")
    assert 'violates PodSecurity "restricted' in refused["message"]
    assert "hostNetwork=true" in refused["message"]
    assert shop.until("edgeroute", "loose", "False", "OriginNotReady")


def test_an_image_that_is_not_there_is_told_and_disturbs_nobody(shop: Shop, image: str, served: Address) -> None:
    shop.apply(origin_service("broken", "edgerun.dev/none:1"))
    assert "edgerun.dev/none:1" in shop.until("originservice", "broken", "False")["message"]
    assert shop.condition("edgeroute", "cart")["status"] == "True"


async def test_a_new_version_that_never_starts_leaves_the_old_one_serving(
    shop: Shop, image: str, served: Address
) -> None:
    shop.apply(origin_service("cart", "edgerun.dev/none:1", replicas=2))
    shop.until("originservice", "cart", "False")
    answer = await fetch(served.port, "/", address=served.host, host=shop.host("cart"))
    assert (answer.status, answer.header("x-origin")) == (200, "cart")
    assert shop.condition("edgeroute", "cart")["status"] == "True"


def test_people_are_told_by_events(shop: Shop, image: str) -> None:
    shop.apply(edge_route("lost", shop.host("lost"), "nowhere"))
    shop.until("edgeroute", "lost", "False", "OriginNotFound")

    def told() -> str:
        events = shop.kubectl("get", "events", "--field-selector=involvedObject.name=lost", "--output=json")
        told = [(event["type"], event["reason"]) for event in json.loads(events)["items"]]
        assert told == [("Warning", "OriginNotFound")]
        return str(json.loads(events)["items"][0]["message"])

    assert 'OriginService "nowhere" not found' in eventually_sync(told)


async def test_a_fleet_of_its_own_serves_what_names_it_and_nothing_else(
    shop: Shop, served: Address, release: Release
) -> None:
    spec = {"replicas": 1, "serviceType": "ClusterIP", "listeners": [{"name": "http", "port": 8080}]}
    fleet = {"apiVersion": "edgerun.dev/v1alpha1", "kind": "EdgeProxy", "metadata": {"name": "inside"}, "spec": spec}
    try:
        shop.open(fleet, edge_route("inner", shop.host("inner"), edge="inside"))
        with release.edge("inside") as inside:
            assert (inside.port, await _status(inside, shop.host("inner"))) == (8080, 200)
            assert await _status(inside, shop.host("cart")) == 404
            assert await _status(served, shop.host("inner")) == 404
    finally:
        shop.kubectl("delete", "edgeproxy", "inside")
    release.kubectl("wait", "--for=delete", "deployment/edge-inside", "service/edge-inside", "--timeout=90s")


def test_edge_pods_are_restricted_and_their_admin_is_no_port(served: Address, release: Release) -> None:
    selector = "--selector=edgerun.dev/edge-proxy=default"
    pods: list[dict[str, Any]] = json.loads(release.kubectl("get", "pods", selector, "--output=json"))["items"]
    assert pods
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert [port["name"] for port in container["ports"]] == ["http", "probes"]
        assert pod["spec"]["automountServiceAccountToken"] is False
    check = ["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted", "--dry-run=server"]
    assert "Warning" not in release.kubectl(*check, "--overwrite")


async def _status(edge: Address, host: str) -> int:
    return (await fetch(edge.port, "/", address=edge.host, host=host)).status
