"""Revisions from one plan to the next: made, waited for, given requests, taken away; on a clock that the test turns."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from edgerun.api.meta import ObjectKey
from edgerun.runtime.controller import Controller
from edgerun.runtime.revising import Revising
from edgerun.sources.store import Gone, Seen
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.revisions.follow import Outcome
from edgerun.translate.world import Edge, Endpoint, OriginObservation, World
from edgerun.xds.server import Proxy

CART = ObjectKey("OriginService", "shop", "cart")


@dataclass
class Shop:
    """A control plane of the standalone mode, without its processes and with one proxy that acknowledges when told."""

    now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)
    acked: int = 0
    changes: int = 0
    local: bool = True
    statuses: dict[ObjectKey, Any] = field(default_factory=dict)
    controller: Controller = field(init=False)
    revising: Revising = field(init=False)

    def __post_init__(self) -> None:
        self.controller = Controller(Edge(), lambda plan: None, lambda keys: None, _takes_all, clock=lambda: self.now)
        self.controller.store.changed = self.changed
        self.controller.crew.connected = lambda: [Proxy("one", "default", self.now, self.acked)]
        self.revising = Revising(self.controller, local=self.local, shown=lambda key: self.statuses.get(key, {}))

    def changed(self, *, urgent: bool) -> None:
        self.changes += 1

    def has(self, image: str = "one", **spec: Any) -> None:
        template = {"spec": {"containers": [{"image": image}]}} | spec.pop("template", {})
        self.controller.store.apply(
            Seen(
                {
                    "apiVersion": "edgerun.dev/v1alpha1",
                    "kind": "OriginService",
                    "metadata": {"namespace": "shop", "name": "cart", "annotations": spec.pop("annotations", {})},
                    "spec": {"template": template} | spec,
                }
            )
        )

    def rebuilds(self) -> Outcome:
        """One plan more, that nobody has acknowledged yet."""
        self.controller.rebuild()
        return self.outcome

    def acknowledges(self) -> Outcome:
        """The proxy serves the newest plan, and what follows from that."""
        assert self.controller.published
        self.acked = self.controller.published.serial
        before = self.changes
        self.revising.heard()
        return self.rebuilds() if self.changes > before else self.outcome

    def rests(self) -> Outcome:
        for _ in range(4):
            self.rebuilds()
            self.acknowledges()
        return self.outcome

    def runs(self, name: str, phase: OriginPhase = OriginPhase.READY) -> None:
        endpoints = (Endpoint("10.0.0.1", int(name[-1])),) if phase is OriginPhase.READY else ()
        self.controller.store.observe(revision_key(CART, name), OriginObservation(phase, endpoints, replicas=1))

    @property
    def world(self) -> World:
        assert self.controller.published
        return self.controller.published.world

    @property
    def outcome(self) -> Outcome:
        return self.world.revised[CART]

    @property
    def traffic(self) -> list[str]:
        return [f"{one.revision_name} {one.percent}" for one in self.outcome.assignment.weights]

    @property
    def there(self) -> list[str]:
        return [key.name for key in self.controller.store.revisions]


async def _takes_all(world: World, edge: str) -> None:
    return None


def shop(image: str = "one", **spec: Any) -> Shop:
    """With one revision that is ready."""
    found = Shop()
    found.has(image, **spec)
    found.rebuilds()
    found.runs("cart-00001")
    found.rests()
    return found


def test_a_new_template_is_a_revision_that_gets_requests_once_it_is_ready() -> None:
    cart = shop()
    cart.has("two")
    cart.rests()
    assert cart.there == ["cart-00001", "cart-00002"]
    assert cart.traffic == ["cart-00001 100"]
    cart.runs("cart-00002", OriginPhase.FAILED)
    cart.rests()
    assert cart.traffic == ["cart-00001 100"]
    cart.runs("cart-00002")
    cart.rebuilds()
    assert cart.traffic == ["cart-00002 100"]


def test_whoever_loses_its_requests_is_there_until_every_proxy_has_heard() -> None:
    cart = shop()
    cart.has("two")
    cart.rebuilds()
    cart.runs("cart-00002")
    assert cart.rebuilds().draining == {"cart-00001"}
    assert cart.rebuilds().draining == {"cart-00001"}
    assert cart.acknowledges().draining == set()


def test_a_look_at_rest_changes_nothing() -> None:
    cart = shop()
    before, outcome = cart.changes, cart.outcome
    cart.now += timedelta(days=9)
    for _ in range(3):
        cart.rebuilds()
        cart.acknowledges()
        assert cart.outcome is outcome
    assert cart.changes == before


def test_revisions_end_with_their_service() -> None:
    cart = shop()
    cart.controller.store.apply(Gone(CART))
    cart.controller.rebuild()
    assert cart.there == []
