"""Which guards take requests, and which keys they trust, as far as anybody knows."""

import json
from datetime import UTC, datetime
from typing import Any

from edgerun.api.meta import ObjectKey
from edgerun.api.originservice import GUARD_CONTAINER
from edgerun.runtime.guard_pods import GuardPods
from edgerun.runtime.verifiers import REMEMBERED, Verifiers
from edgerun.xds.server import Proxy

CART, PAY = (ObjectKey("OriginService", "shop", name) for name in ("cart", "pay"))
BORN = datetime(2026, 1, 1, tzinfo=UTC)


def pod(name: str, *, ready: bool = True, guarded: bool = True) -> dict[str, Any]:
    containers = [{"name": GUARD_CONTAINER}] if guarded else []
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name}, "spec": {"initContainers": containers}, "status": {"conditions": conditions}}


def jwks(*kids: str) -> str:
    return json.dumps({"keys": [{"kid": kid} for kid in kids]})


def guard(name: str, serial: int, fleet: str = "guard/shop/cart") -> Proxy:
    return Proxy(name, fleet, BORN, serial)


class Street:
    """Guards that are there, and those that ought to be."""

    def __init__(self, *expected: str) -> None:
        self.here: list[Proxy] = []
        self.expected = [("guard/shop/cart", name) for name in expected]
        self.verifiers = Verifiers(lambda: self.here, lambda: self.expected)

    def acknowledges(self, name: str, serial: int) -> None:
        self.here = [*(one for one in self.here if one.id != name), guard(name, serial)]
        self.verifiers.heard(guard(name, serial))

    @property
    def known(self) -> dict[str, set[str]]:
        return {name: set(kids) for (_, name), kids in self.verifiers.trusting().items()}


def test_ready_pods_with_a_guard_are_expected_and_no_others() -> None:
    pods = GuardPods(lambda key: None)
    pods.look(CART, [pod("c2"), pod("c1"), pod("c3", ready=False), pod("c4", guarded=False)])
    pods.look(PAY, [pod("p1")])
    assert pods.ready() == (("guard/shop/cart", "c1"), ("guard/shop/cart", "c2"), ("guard/shop/pay", "p1"))
    pods.look(CART, [])
    pods.look(CART, [])
    assert pods.ready() == (("guard/shop/pay", "p1"),)


def test_a_guard_trusts_what_was_sent_up_to_what_it_has_acknowledged() -> None:
    street = Street("c1", "c2")
    for serial, kids in ((1, "a"), (2, "a"), (4, "ab"), (6, "b")):
        street.verifiers.sent(serial, jwks(*kids))
    for serial, kids in ((0, ""), (1, "a"), (3, "a"), (4, "ab"), (5, "ab"), (6, "b"), (9, "b")):
        street.acknowledges("c1", serial)
        assert street.known == {"c1": set(kids), "c2": set()}


def test_who_comes_back_is_believed_to_trust_what_it_said_until_it_says_something_else() -> None:
    street = Street("c1")
    street.verifiers.sent(1, jwks("a"))
    street.acknowledges("c1", 1)
    street.here = []
    assert street.known == {"c1": {"a"}}
    street.here = [guard("c1", 0)]
    assert street.known == {"c1": {"a"}}


def test_who_is_gone_is_forgotten_and_one_of_the_same_name_begins_anew() -> None:
    street = Street("c1")
    street.verifiers.sent(1, jwks("a"))
    street.acknowledges("c1", 1)
    street.here, street.expected = [], []
    assert street.known == {}
    street.here = [guard("c1", 0)]
    assert street.known == {"c1": set()}


def test_who_is_connected_counts_also_when_nobody_expects_it_and_edges_do_not() -> None:
    street = Street()
    street.here = [guard("c1", 0), guard("edge-1", 0, fleet="default")]
    assert street.known == {"c1": set()}


def test_who_is_far_behind_is_taken_to_trust_nothing() -> None:
    street = Street("c1")
    for serial in range(1, REMEMBERED + 2):
        street.verifiers.sent(serial, jwks(str(serial)))
    street.acknowledges("c1", 1)
    assert street.known == {"c1": set()}
    street.acknowledges("c1", 2)
    assert street.known == {"c1": {"2"}}
