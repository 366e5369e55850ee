"""Whose a Deployment, a Service or a pod is, and whether this operator made it."""

from typing import Any

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.sources.workloads import UNREVISED, Workloads, made_by, owner_of
from edgerun.translate.labels import edge_labels, origin_labels, revision_labels
from edgerun.translate.world import Installation

PLACE = Installation(namespace="edgerun", name="edgerun", uid="u1")
CART, BLUE = ObjectKey("OriginService", "shop", "cart"), ObjectKey("EdgeProxy", "", "blue")


def raw(
    kind: str, name: str, namespace: str, labels: Any = None, owner: str = "", controller: str = ""
) -> dict[str, Any]:
    owners: list[dict[str, Any]] = (
        [{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": "u"}] if owner else []
    )
    owners += [{"apiVersion": controller, "kind": "Any", "name": "x", "controller": True}] if controller else []
    metadata = {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": owners}
    return {"kind": kind, "metadata": metadata}


def of_cart(kind: str, name: str = "cart", **others: Any) -> dict[str, Any]:
    return raw(kind, name, "shop", dict(origin_labels("cart")), **others)


def of_revision(kind: str, name: str = "cart-00001", revision: str = "cart-00001", **others: Any) -> dict[str, Any]:
    return raw(kind, name, "shop", dict(revision_labels("cart", revision)), **others)


def of_blue(kind: str, name: str = "edge-blue", namespace: str = "edgerun", **others: Any) -> dict[str, Any]:
    return raw(kind, name, namespace, dict(edge_labels("blue")), **others)


def test_labels_say_whose_it_is() -> None:
    assert owner_of(of_cart("Pod")) == CART
    assert owner_of(of_blue("Service")) == BLUE
    assert owner_of(raw("Service", "a", "b")) is None


def test_whoever_cares_is_told_whose_has_changed() -> None:
    told: list[ObjectKey] = []
    workloads = Workloads(told.append)
    workloads.see(of_cart("Deployment"))
    workloads.see(of_cart("Pod", "cart-1"))
    workloads.see(of_blue("Service"))
    workloads.see(raw("Service", "a", "b"))
    assert told == [CART, CART, BLUE]
    assert [pod["metadata"]["name"] for pod in workloads.of(CART).pods] == ["cart-1"]
    assert workloads.of(CART).deployment
    assert not workloads.of(CART).service
    workloads.gone(ObjectKey("Pod", "shop", "cart-1"))
    workloads.gone(ObjectKey("Pod", "shop", "cart-1"))
    assert told == [CART, CART, BLUE, CART]
    assert workloads.of(CART).pods == ()


def test_a_copy_that_somebody_made_is_not_taken_for_it() -> None:
    workloads = Workloads(lambda key: None)
    workloads.see(of_revision("Deployment", "a-copy"))
    assert workloads.of(CART, "cart-00001").deployment is None
    workloads.see(of_revision("Deployment"))
    found = workloads.of(CART, "cart-00001").deployment
    assert found
    assert found["metadata"]["name"] == "cart-00001"


def test_each_revision_has_its_own_and_what_was_there_before_them_has_its_own_too() -> None:
    workloads = Workloads(lambda key: None)
    for one in (of_cart("Deployment"), of_revision("Deployment"), of_revision("Deployment", "cart-b", "cart-b")):
        workloads.see(one)
    for one in (of_cart("Pod", "old"), of_revision("Pod", "new"), of_revision("Pod", "b", "cart-b")):
        workloads.see(one)
    names = {}
    for revision in (UNREVISED, "cart-00001", "cart-b"):
        found = workloads.of(CART, revision)
        assert found.deployment
        names[found.deployment["metadata"]["name"]] = [pod["metadata"]["name"] for pod in found.pods]
    assert names == {"cart": ["old"], "cart-00001": ["new"], "cart-b": ["b"]}
    assert len(workloads.of(CART).pods) == 3
    assert workloads.owners(UNREVISED) == (CART,)
    workloads.gone(ObjectKey("Deployment", "shop", "cart"))
    assert workloads.owners(UNREVISED) == ()


def test_an_object_that_changes_hands_is_told_of_on_both_sides() -> None:
    told: list[ObjectKey] = []
    workloads = Workloads(told.append)
    workloads.see(raw("Pod", "p", "shop", dict(origin_labels("cart"))))
    workloads.see(raw("Pod", "p", "shop", dict(origin_labels("web"))))
    assert told == [CART, CART, ObjectKey("OriginService", "shop", "web")]
    workloads.see(raw("Pod", "p", "shop"))
    assert workloads.of(told[-1]).pods == ()


@pytest.mark.parametrize(
    "one",
    [
        of_cart("Deployment", controller="edgerun.dev/v1alpha1"),
        of_cart("Deployment"),
        of_revision("Deployment", controller="edgerun.dev/v1alpha1"),
        of_revision("Deployment", "cart-blue", "cart-blue"),
        of_revision("OriginRevision", controller="edgerun.dev/v1alpha1"),
        of_cart("ConfigMap", "cart-guard", controller="edgerun.dev/v1alpha1"),
        of_cart("NetworkPolicy", "edgerun-cart", controller="edgerun.dev/v1alpha1"),
        of_blue("Deployment", owner="edgerun"),
        of_blue("Deployment"),
        raw("EndpointSlice", "edgerun-xds-leader", "edgerun", {"app.kubernetes.io/managed-by": "edgerun"}),
    ],
)
def test_what_this_operator_makes_is_its_own_also_when_its_owner_was_lost(one: Any) -> None:
    assert made_by(one, PLACE)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (raw("Deployment", "cart", "shop"), "no labels"),
        (raw("Deployment", "cart", "shop", {"app.kubernetes.io/managed-by": "Helm"}), "another manager"),
        (of_cart("Deployment", "copy-of-cart"), "somebody copied it"),
        (of_revision("Deployment", "cart-00002"), "somebody copied it"),
        (of_revision("Deployment", "cart"), "somebody copied it"),
        (of_revision("OriginRevision", "cart-00002"), "somebody copied it"),
        (of_revision("ConfigMap"), "the app's own, with labels of its Deployment"),
        (of_cart("ConfigMap"), "the app's own, with labels of its Deployment"),
        (of_cart("NetworkPolicy"), "the app's own, with labels of its Deployment"),
        (of_blue("Service", "copy"), "somebody copied it"),
        (of_blue("Deployment", namespace="edgerun-2"), "of an operator elsewhere"),
        (of_blue("Deployment", owner="edgerun-2"), "of another operator in the same namespace"),
        (of_blue("EndpointSlice", controller="v1"), "a controller passes a Service's labels on"),
    ],
)
def test_what_others_make_is_not(one: Any, why: str) -> None:
    assert not made_by(one, PLACE), why
