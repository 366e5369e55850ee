"""What the cluster makes of our manifests becomes observations, and what it refuses becomes one too."""

from datetime import UTC, datetime
from typing import Any

from edgerun.api.meta import ObjectKey
from edgerun.errors import InvalidError
from edgerun.infra.kubernetes.applier import TakenError
from edgerun.runtime.observing import Observing
from edgerun.sources.store import Gone, Seen, Store
from edgerun.translate.labels import edge_labels, origin_labels
from edgerun.translate.phases import OriginPhase
from edgerun.translate.world import Edge, FleetObservation

CART = ObjectKey("OriginService", "shop", "cart")
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

    def remove(self, key: ObjectKey) -> None:
        self.store.apply(Gone(key))
        self.observing.look(key)


def of_cart(kind: str = "Deployment") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "cart", "namespace": "shop", "labels": dict(origin_labels("cart"))}}


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
    assert house.store.observations[CART].phase is OriginPhase.PENDING
    house.remove(CART)
    assert house.store.observations == {}
    house.observing.gone(ObjectKey("Deployment", "shop", "cart"))
    assert house.store.observations == {}


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
    said = house.store.observations[CART]
    assert (said.phase, said.reason) == (OriginPhase.FAILED, "NotApplied")
    assert said.message == "the API server does not take Deployment shop/cart: spec.y: bad"
    house.observing.refused(of_cart(), None)
    assert house.store.observations[CART].phase is OriginPhase.PENDING


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
