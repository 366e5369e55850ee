"""What the cluster makes of our manifests becomes observations, and what it refuses becomes one too."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from edgerun.api.meta import ObjectKey
from edgerun.api.originrevision import OriginRevision
from edgerun.errors import InvalidError
from edgerun.infra.kubernetes.applier import TakenError
from edgerun.runtime.observing import Observing
from edgerun.sources.store import Gone, Seen, Store
from edgerun.translate.labels import edge_labels, origin_labels, revision_labels
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.world import Edge, FleetObservation

CART = ObjectKey("OriginService", "shop", "cart")
FIRST, SECOND = revision_key(CART, "cart-00001"), revision_key(CART, "cart-00002")
BLUE = ObjectKey("EdgeProxy", "", "blue")


class House:
    def __init__(self) -> None:
        self.store = Store(Edge(), lambda: datetime(2026, 1, 1, tzinfo=UTC), lambda *, urgent: None)
        self.observing = Observing(self.store)

    def apply(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        namespace = {"namespace": "shop"} if kind == "OriginService" else {}
        metadata = {"name": name, "uid": "u1", **namespace}
        raw = {"apiVersion": "edgerun.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
        self.store.apply(Seen(raw))
        self.observing.look(ObjectKey(kind, metadata.get("namespace", ""), name))

    def cart(self) -> None:
        self.apply("OriginService", "cart", {"template": {"spec": {"containers": [{"image": "cart:1"}]}}})

    def blue(self) -> None:
        self.apply("EdgeProxy", "blue", {})

    def revise(self, number: int) -> None:
        """A revision is there."""
        name = f"cart-{number:05}"
        template = {"spec": {"containers": [{"image": f"cart:{number}"}]}}
        metadata = {"name": name, "namespace": "shop", "uid": name, "labels": dict(revision_labels("cart", name))}
        raw = {"metadata": metadata, "spec": {"template": template, "number": number}}
        revision = msgspec.convert(raw, OriginRevision)
        self.observing.revise(revision.key, revision)

    def remove(self, key: ObjectKey) -> None:
        self.store.apply(Gone(key))
        self.observing.look(key)


def of_cart(revision: str = "cart-00001", *, replicas: int = 1) -> dict[str, Any]:
    """The Deployment of a revision, or that of before there were any."""
    labels = dict(revision_labels("cart", revision) if revision else origin_labels("cart"))
    metadata = {"name": revision or "cart", "namespace": "shop", "labels": labels}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}


def pod(name: str, revision: str = "cart-00001", *, address: str = "10.0.0.1", ready: bool = True) -> dict[str, Any]:
    labels = dict(revision_labels("cart", revision) if revision else origin_labels("cart"))
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {},
        "status": {"podIP": address, "conditions": conditions},
    }


def addresses(house: "House", key: ObjectKey) -> Sequence[str]:
    return [endpoint.address for endpoint in house.store.observations[key].endpoints]


def of_blue(kind: str, **content: Any) -> dict[str, Any]:
    metadata = {"name": "edge-blue", "namespace": "edgerun", "labels": dict(edge_labels("blue"))}
    return {"kind": kind, "metadata": metadata, **content}


def service(address: str) -> dict[str, Any]:
    return of_blue("Service", spec={"type": "ClusterIP", "clusterIP": address, "ports": [{"port": 80}]})


def test_an_origin_is_observed_from_when_it_is_there_until_it_is_gone() -> None:
    house = House()
    house.observing.see(of_cart())
    assert house.store.observations == {}
    house.cart()
    assert house.store.observations[FIRST].phase is OriginPhase.STARTING
    house.remove(CART)
    assert house.store.observations == {}
    house.observing.gone(ObjectKey("Deployment", "shop", "cart-00001"))
    assert house.store.observations == {}


def test_each_revision_is_observed_from_when_it_is_there_until_it_is_gone() -> None:
    house = House()
    house.cart()
    for number in (1, 2):
        house.revise(number)
    house.observing.see(of_cart())
    house.observing.see(pod("a"))
    house.observing.see(pod("b", "cart-00002", address="10.0.0.2"))
    seen = house.store.observations
    assert (seen[FIRST].phase, seen[SECOND].phase) == (OriginPhase.READY, OriginPhase.PENDING)
    assert (addresses(house, FIRST), addresses(house, SECOND)) == (["10.0.0.1"], ["10.0.0.2"])
    house.observing.revise(FIRST, None)
    assert seen.keys() == house.store.revisions.keys() == {SECOND}
    house.remove(CART)
    assert seen == {}


def test_pods_of_before_there_were_revisions_are_those_of_the_oldest_from_the_first_moment_on() -> None:
    house = House()
    house.observing.see(of_cart("", replicas=3))
    house.observing.see(pod("old", "", address="10.0.0.9"))
    house.cart()
    first = house.store.observations[FIRST]
    assert (first.phase, first.replicas, addresses(house, FIRST)) == (OriginPhase.READY, 3, ["10.0.0.9"])
    house.revise(2)
    house.revise(1)
    assert addresses(house, FIRST) == ["10.0.0.9"]
    assert addresses(house, SECOND) == []
    house.observing.see(of_cart(replicas=2))
    house.observing.see(pod("new"))
    assert addresses(house, FIRST) == ["10.0.0.1", "10.0.0.9"]
    assert house.store.observations[FIRST].replicas == 2


def test_the_deployment_of_before_is_relieved_when_its_heir_has_as_many_replicas_of_its_own() -> None:
    house = House()
    house.observing.see(of_cart(""))
    house.observing.see(pod("old", "", address="10.0.0.9"))
    assert house.observing.relieved() == frozenset()
    house.cart()
    house.revise(1)
    assert house.observing.relieved() == frozenset()
    house.observing.see(of_cart(replicas=2))
    house.observing.see(pod("a"))
    house.observing.see(pod("b", address="10.0.0.2", ready=False))
    assert house.observing.relieved() == frozenset()
    house.observing.see(pod("b", address="10.0.0.2"))
    assert house.observing.relieved() == {CART}
    house.observing.gone(ObjectKey("Deployment", "shop", "cart"))
    assert house.observing.relieved() == frozenset()


def test_a_fleet_is_observed_from_when_it_is_there_until_it_is_gone() -> None:
    house = House()
    house.observing.see(service("10.0.0.1"))
    assert house.store.fleets == {}
    house.blue()
    assert house.store.fleets == {"blue": FleetObservation()}
    house.observing.see(of_blue("Deployment", spec={"replicas": 2}))
    assert house.store.fleets["blue"].replicas == 2
    assert house.store.fleets["blue"].addresses == ("10.0.0.1",)
    assert not house.observing.fleets_ready
    house.observing.gone(ObjectKey("Service", "edgerun", "edge-blue"))
    assert not house.store.fleets["blue"].addresses
    house.remove(BLUE)
    assert house.store.fleets == {}
    assert house.observing.fleets_ready


def test_a_refusal_is_told_in_the_servers_words_until_it_is_over() -> None:
    house = House()
    house.cart()
    house.observing.refused(of_cart(), InvalidError("PATCH /apis/apps/v1/x: spec.y: bad", status=422))
    said = house.store.observations[FIRST]
    assert (said.phase, said.reason) == (OriginPhase.FAILED, "NotApplied")
    assert said.message == "the API server does not take Deployment shop/cart-00001: spec.y: bad"
    house.observing.refused(of_cart(), None)
    assert house.store.observations[FIRST].phase is OriginPhase.PENDING


def test_what_is_refused_of_one_revision_is_not_told_of_another() -> None:
    house = House()
    house.cart()
    house.revise(1)
    house.observing.refused(of_cart("cart-00002"), InvalidError("PATCH /x: exceeded quota"))
    phases = {key: one.phase for key, one in house.store.observations.items()}
    assert phases == {FIRST: OriginPhase.PENDING, SECOND: OriginPhase.FAILED}, "also of one that is not there yet"
    house.observing.refused(of_cart("cart-00002"), None)
    assert house.store.observations.keys() == {FIRST}
    shared = {**of_cart(""), "kind": "ConfigMap"}
    house.revise(2)
    house.observing.refused(shared, InvalidError("PATCH /x: exceeded quota"))
    assert {one.phase for one in house.store.observations.values()} == {OriginPhase.FAILED}


def test_a_name_that_is_taken_is_a_reason_of_its_own() -> None:
    house = House()
    house.blue()
    house.observing.refused(of_blue("ConfigMap"), TakenError("taken", status=409))
    house.observing.refused(of_blue("Service"), None)
    assert (house.store.fleets["blue"].reason, house.store.fleets["blue"].message) == ("NameTaken", "taken")


def test_what_belongs_to_nobody_is_left_aside() -> None:
    house = House()
    raw = {"kind": "EndpointSlice", "metadata": {"name": "edgerun-xds-leader", "namespace": "edgerun"}}
    house.observing.refused(raw, InvalidError("no"))
    house.observing.see(raw)
    assert (house.store.fleets, house.store.observations) == ({}, {})
