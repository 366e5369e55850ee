"""Frames are made once, shared by everybody, and parse as what they were made from."""

from envoy.service.discovery.v3 import discovery_pb2

from edgerun.translate.plan import CLUSTER, ENDPOINTS
from edgerun.xds.snapshot import Response, snapshot
from support.xds import assignment, cluster, resources, served


def test_a_response_is_its_head_and_its_frames() -> None:
    a, b = cluster("a"), cluster("b")
    found = snapshot(7, resources(a, b)).of(CLUSTER)
    response = Response(CLUSTER, "n", 7, {}, tuple(one.frame for one in found.values()))
    parsed = discovery_pb2.DeltaDiscoveryResponse.FromString(response.payload())
    assert (parsed.type_url, parsed.nonce, parsed.system_version_info) == (CLUSTER, "n", "7")
    assert [(one.name, one.version, one.resource.value) for one in parsed.resources] == [
        ("a", a.version, a.body),
        ("b", b.version, b.body),
    ]


def test_a_removal_has_names_and_no_resources() -> None:
    payload = Response(CLUSTER, "n", 1, {}, removed=("a", "b")).payload()
    parsed = discovery_pb2.DeltaDiscoveryResponse.FromString(payload)
    assert (list(parsed.removed_resources), list(parsed.resources)) == (["a", "b"], [])


def test_a_resource_that_did_not_change_keeps_its_frame() -> None:
    first = snapshot(1, resources(cluster("a"), cluster("b")))
    second = snapshot(2, resources(cluster("a"), cluster("b", 2)), first)
    assert second.of(CLUSTER)["a"] is first.of(CLUSTER)["a"]
    assert second.of(CLUSTER)["b"] is not first.of(CLUSTER)["b"]


def test_a_type_that_did_not_change_keeps_its_whole_mapping() -> None:
    first = snapshot(1, resources(*served("a")))
    second = snapshot(2, resources(*served("a"), assignment("a", 2)), first)
    assert second.of(CLUSTER) is first.of(CLUSTER)
    assert second.of(ENDPOINTS) is not first.of(ENDPOINTS)


def test_a_type_that_lost_or_swapped_a_name_is_another_mapping() -> None:
    first = snapshot(1, resources(cluster("a"), cluster("b")))
    assert set(snapshot(2, resources(cluster("a")), first).of(CLUSTER)) == {"a"}
    assert set(snapshot(2, resources(cluster("a"), cluster("c")), first).of(CLUSTER)) == {"a", "c"}


def test_a_cluster_knows_the_name_of_its_endpoints() -> None:
    found = snapshot(1, resources(cluster("a"), cluster("b", endpoints="b@2"))).of(CLUSTER)
    assert {name: one.endpoints for name, one in found.items()} == {"a": "a", "b": "b@2"}
