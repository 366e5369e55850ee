"""A control plane without its processes, and with one proxy that acknowledges when the test says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from edgerun.api.meta import ObjectKey
from edgerun.runtime.controller import Controller
from edgerun.runtime.passage import Passage
from edgerun.runtime.revising import Revising
from edgerun.sources.store import Seen
from edgerun.translate.names import revision_cluster, revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import Verdict
from edgerun.translate.revisions.follow import Outcome
from edgerun.translate.world import Edge, Endpoint, OriginObservation, World
from edgerun.xds.loads import ClusterReport, Counts, Report
from edgerun.xds.server import Proxy

CART = ObjectKey("OriginService", "shop", "cart")
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Reporting:
    """The proxies that report, and what they ask for."""

    here: list[Proxy] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)

    def proxies(self) -> list[Proxy]:
        return self.here

    def demand(self) -> dict[str, int]:
        return self.asked

    async def demand_other_than(self, seen: Mapping[str, int]) -> dict[str, int]:
        raise NotImplementedError("nobody waits here")


@dataclass
class Shop:
    """Of the standalone mode, unless it is not `local`; `statuses` are then what an API server has. No proxy has
    anything under way before it `reports`."""

    now: datetime = START
    acked: int = 0
    changes: int = 0
    local: bool = True
    edges: tuple[str, ...] = ("default",)
    statuses: dict[ObjectKey, Any] = field(default_factory=dict)
    reporting: Reporting = field(default_factory=Reporting)
    controller: Controller = field(init=False)
    revising: Revising = field(init=False)

    def __post_init__(self) -> None:
        self.controller = Controller(Edge(), lambda plan: None, lambda keys: None, _takes_all, clock=lambda: self.now)
        self.controller.store.changed = self.changed
        self.controller.crew.connected = lambda: [Proxy("one", "default", self.now, self.acked)]
        for edge in self.edges:
            self.controller.store.apply(_routed(edge))
        store, loads = self.controller.store, self.controller.loads
        self.revising = Revising(
            self.controller,
            local=self.local,
            shown=lambda key: self.statuses.get(key, {}),
            passage=Passage(store, self.reporting, loads, lambda: self.controller.published),
            clock=self.seconds,
        )

    def seconds(self) -> float:
        return (self.now - START).total_seconds()

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

    def passes_until(self, moment: datetime | None) -> None:
        """Time passes, and the proxy keeps up with what comes of it."""
        assert moment
        self.now = max(self.now, moment)
        before = self.changes
        self.revising.tick()
        if self.changes > before:
            self.rebuilds()
            self.acknowledges()

    def answers(self, revision: str, requests: int, errors: int) -> None:
        """A proxy reports that so many requests have ended, and what follows."""
        cluster = revision_cluster(CART, revision)
        total = Counts(issued=requests, succeeded=requests - errors, errors=errors)
        report = Report("one", "default", (ClusterReport(cluster, 1.0, {}, total),))
        self.controller.loads.heard("one", report, 0.0)
        self.passes_until(self.now + timedelta(seconds=1))

    def reports(self, *under_way: str, name: str = "one") -> Outcome:
        """A second later the proxy says to which clusters requests are under way, and what follows."""
        if name not in (one.id for one in self.reporting.here):
            self.reporting.here.append(Proxy(name, "default", self.now, self.acked))
        clusters = tuple(ClusterReport(cluster, 1.0, {}, Counts(in_progress=1)) for cluster in under_way)
        self.now += timedelta(seconds=1)
        self.controller.loads.heard(name, Report(name, "default", clusters), self.seconds())
        self.passes_until(self.now)
        return self.outcome

    def rests(self) -> Outcome:
        for _ in range(4):
            self.rebuilds()
            self.acknowledges()
        return self.outcome

    def runs(
        self, name: str, phase: OriginPhase = OriginPhase.READY, *, ready: int = 1, replicas: int = 1, reason: str = ""
    ) -> None:
        addresses = (f"10.0.{name[-1]}.{number}" for number in range(ready if phase is OriginPhase.READY else 0))
        endpoints = tuple(Endpoint(address, 8080) for address in addresses)
        observed = OriginObservation(phase, endpoints, reason, replicas=replicas)
        self.controller.store.observe(revision_key(CART, name), observed)

    @property
    def world(self) -> World:
        assert self.controller.published
        return self.controller.published.world

    @property
    def outcome(self) -> Outcome:
        return self.world.revised[CART]

    @property
    def verdict(self) -> Verdict:
        assert self.controller.published
        return self.controller.published.plan.verdicts[CART]

    @property
    def traffic(self) -> list[str]:
        return [f"{one.revision_name} {one.percent}" for one in self.outcome.assignment.weights]

    @property
    def replicas(self) -> dict[str, int]:
        assert self.controller.published
        return {one.key.name: one.replicas for one in self.controller.published.plan.running}

    @property
    def there(self) -> list[str]:
        return [key.name for key in self.controller.store.revisions]


def _routed(edge: str) -> Seen:
    """A route to it, of that edge."""
    spec = {"edge": edge, "rules": [{"origins": [{"service": {"name": "cart"}}]}]}
    metadata = {"namespace": "shop", "name": edge}
    return Seen({"apiVersion": "edgerun.dev/v1alpha1", "kind": "EdgeRoute", "metadata": metadata, "spec": spec})


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
