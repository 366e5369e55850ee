"""Revisions that go to sleep and wake, through every order of requests, proxies, pods, reports and control planes.

The edges are models of what was measured of Envoy: each asks for a name once in its life, repeats all of them when it
comes back, takes what is published in the order in which the session sends it, holds what it has no cluster for, and
reports nothing of a cluster that is gone, whatever is still under way to it. All else is real. Nothing may be lost: a
request is answered by a pod that is there, now or later.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_pb2
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgerun.api.meta import ObjectKey
from edgerun.api.originservice import OriginServiceStatus
from edgerun.runtime.board import as_document
from edgerun.runtime.controller import Controller, Published
from edgerun.runtime.passage import Passage
from edgerun.runtime.revising import Revising
from edgerun.runtime.scaling import Scaled, Scaling
from edgerun.runtime.waking import Waking
from edgerun.sources.store import Seen
from edgerun.translate.names import called, revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import CLUSTER, ENDPOINTS, ROUTES, Plan
from edgerun.translate.statuses import origin_status
from edgerun.translate.world import AWAKE, Edge, Endpoint, Epoch, FleetObservation, OriginObservation, Sleep, World
from edgerun.xds.loads import ClusterReport, Counts, Report
from edgerun.xds.server import Proxy
from edgerun.xds.snapshot import Snapshot, snapshot
from support.handouts import secrets

SERVICE = ObjectKey("OriginService", "shop", "cart")
CART = revision_key(SERVICE, "cart-00001")
FLEET = "default"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOW_S = 6
LOST_REPORTS_S = 6  # after which Envoy reports again


def _object(kind: str, name: str, **spec: Any) -> Seen:
    metadata = {"namespace": "shop", "name": name, "uid": "1"}
    return Seen({"apiVersion": "edgerun.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})


@dataclass(frozen=True, slots=True)
class Told:
    """What a proxy is sent: clusters with their ports, and where the route leads."""

    snapshot: Snapshot
    clusters: Mapping[str, tuple[int, ...]]
    target: str

    @property
    def serial(self) -> int:
        return self.snapshot.serial


def told(plan: Plan, of: Snapshot) -> Told:
    fleet = plan.fleets[FLEET]
    there = {name: fleet[ENDPOINTS][name].body for name in of.of(CLUSTER)}
    route = route_pb2.RouteConfiguration.FromString(fleet[ROUTES]["edge"].body).virtual_hosts[0].routes[0].route
    return Told(of, {name: _ports(body) for name, body in there.items()}, route.weighted_clusters.clusters[0].name)


def _ports(body: bytes) -> tuple[int, ...]:
    localities = endpoint_pb2.ClusterLoadAssignment.FromString(body).endpoints
    return tuple(one.endpoint.address.socket_address.port_value for here in localities for one in here.lb_endpoints)


@dataclass(slots=True, eq=False)
class Envoy:
    """One proxy. `under_way` are requests by the cluster and port that have them, `held` those by name."""

    name: str
    clusters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    target: str = ""
    taking: Told | None = None
    stage: int = 0
    acked: int = 0
    connected: bool = True
    asked: list[str] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    under_way: Counter[tuple[str, int]] = field(default_factory=Counter)
    issued: Counter[str] = field(default_factory=Counter)
    reports_at: float = 0.0
    streams: int = 0

    def takes(self, newest: Told | None) -> None:
        """One step on the way to the newest: what is new, then the routes, then what is over."""
        if self.taking is None or self.stage == 0:
            self.taking = newest if newest and newest.serial > self.acked else None
        if self.taking is None or not self.connected:
            return
        if self.stage == 0:
            self.clusters |= self.taking.clusters
        elif self.stage == 1:
            self.target = self.taking.target
        else:
            self.clusters, self.acked = dict(self.taking.clusters), self.taking.serial
        self.stage = (self.stage + 1) % 3

    def leaves(self) -> None:
        self.connected, self.stage, self.taking, self.acked = False, 0, None, 0

    def comes_back(self, now: float) -> None:
        self.connected, self.reports_at, self.streams = True, now + LOST_REPORTS_S, self.streams + 1

    def report(self) -> Report:
        names = ({name for name, _ in self.under_way} | set(self.issued)) & self.clusters.keys()
        parts = []
        for name in names:
            now = sum(count for (cluster, _), count in self.under_way.items() if cluster == name)
            counts = Counts(now, self.issued[name])
            if counts:
                parts.append(ClusterReport(name, 1.0, {}, counts))
        self.issued.clear()
        return Report(self.name, FLEET, tuple(parts))


class Plane:
    """A control plane, as both modes have it, which goes on from what statuses tell of what one `before` it decided."""

    def __init__(self, shop: "Shop", before: "Plane | None" = None) -> None:
        self.shop, self.dirty, self.changes = shop, True, 0
        self.newest: Told | None = None
        self.controller = Controller(
            Edge(), self._act, lambda keys: None, _takes_all, clock=shop.date, secrets=secrets, sent=self._sent
        )
        self.controller.store.changed = self._changed
        self.controller.store.observe_fleet(FLEET, FleetObservation(ready=tuple(one.name for one in shop.envoys)))
        self.controller.crew.connected = self.proxies
        statuses = before.statuses() if before else {}
        self.revising = Revising(self.controller, local=before is None, shown=lambda key: statuses.get(key, {}))
        self.waking = Waking(
            self.controller.store,
            Passage(self.controller.store, self, self.controller.loads, lambda: self.controller.published),
            shop.scaled.append,
            clock=lambda: shop.now,
            stamp=lambda: int(shop.now * 1000),
        )
        self.scaling = Scaling(
            self.controller.store,
            self.controller.loads,
            local=True,
            told=shop.scaled.append,
            world=self.controller.world,
            rest=self.waking.rest,
        )
        scaling = {"minScale": 0, "maxScale": 1, "window": f"{WINDOW_S}s"} | shop.scales
        template = {"spec": {"containers": [{"image": "cart"}]}}
        self.controller.store.apply(_object("OriginService", "cart", scaling=scaling, template=template))
        self.controller.store.apply(_object("EdgeRoute", "web", rules=[{"origins": [{"service": {"name": "cart"}}]}]))
        if before:
            self.controller.store.revisions.update(before.controller.store.revisions)
            self.revising.gained()
            self.waking.forget()

    def statuses(self) -> Mapping[ObjectKey, Any]:
        assert self.controller.published
        verdict = self.controller.published.plan.verdicts[SERVICE]
        made = as_document(origin_status(verdict, OriginServiceStatus(), now="2026-01-01T00:00:00Z"))
        return {SERVICE: made, CART: {"proven": True}}

    def proxies(self) -> list[Proxy]:
        return [Proxy(one.name, FLEET, START, one.acked) for one in self.shop.envoys if one.connected]

    def demand(self) -> Mapping[str, int]:
        cold = self.newest.snapshot.cold if self.newest else frozenset()
        return Counter(name for one in self.shop.envoys if one.connected for name in {*one.asked} & cold)

    async def demand_other_than(self, seen: Mapping[str, int]) -> Mapping[str, int]:
        return seen

    def settle(self) -> None:
        """Build as long as something changes."""
        while self.dirty:
            self.dirty = False
            self.controller.rebuild()

    def _changed(self, *, urgent: bool) -> None:
        self.dirty = True

    def _act(self, plan: Plan) -> None:
        for run in plan.running:
            self.shop.noted = Deployment(run.replicas, run.epoch, run.before)

    def _sent(self, published: Published) -> None:
        fleet = published.plan.fleets[FLEET]
        before = self.newest.snapshot if self.newest else None
        self.newest = told(published.plan, snapshot(published.serial, fleet, before, published.plan.cold[FLEET]))


async def _takes_all(world: World, edge: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Deployment:
    replicas: int | None = None
    epoch: int = 0
    before: int | None = None


@dataclass(slots=True)
class Shop:
    """The Deployment as it is `noted` in the newest plan, and as it is `written`, which alone is there when the control
    plane is not; `pods` are those that are there, by port, and which are ready. An API server may refuse writing."""

    scales: dict[str, Any] = field(default_factory=dict)
    now: float = 1_000.0
    envoys: list[Envoy] = field(default_factory=lambda: [Envoy("one"), Envoy("two")])
    scaled: list[Scaled] = field(default_factory=list)
    noted: Deployment = Deployment()
    written: Deployment = Deployment()
    refuses: bool = False
    pods: dict[int, bool] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    answered: int = 0
    starts: bool = True
    reports: bool = True
    ports: Iterator[int] = field(default_factory=lambda: count(20_000))
    plane: Plane = field(init=False)

    def __post_init__(self) -> None:
        self.plane = Plane(self)
        self.plane.settle()
        self.goes_on(3)
        assert all(one.target for one in self.envoys)

    def date(self) -> datetime:
        return START + timedelta(seconds=self.now)

    @property
    def epoch(self) -> Epoch:
        return self.plane.controller.store.epochs.get(CART, AWAKE)

    def looks(self) -> None:
        """The control plane looks at what there is, and at what follows."""
        self.plane.waking.look()
        self.plane.settle()

    def writes(self) -> None:
        if not self.refuses:
            self.written = self.noted

    def deploys(self) -> None:
        """What is written is carried out. Pods that are told to go must not have anything to do any more."""
        wanted = self.written.replicas or 0
        for port in list(self.pods)[wanted:]:
            del self.pods[port]
            busy = [one.name for one in self.envoys for (_, at), count in one.under_way.items() if at == port and count]
            self.lost += [f"{name} had a request to {port}" for name in busy]
        while len(self.pods) < wanted:
            self.pods[next(self.ports)] = False

    def starts_pods(self) -> None:
        self.pods = dict.fromkeys(self.pods, self.starts)

    def observes(self) -> None:
        ready = tuple(Endpoint("10.0.0.1", port) for port, is_ready in self.pods.items() if is_ready)
        phase = OriginPhase.READY if ready and self.pods else OriginPhase.PENDING
        there = self.written
        found = OriginObservation(phase, ready, replicas=there.replicas, epoch=there.epoch, before=there.before)
        self.plane.waking.observe(CART, found)
        self.plane.settle()

    def takes(self, one: Envoy) -> None:
        one.takes(self.plane.newest)
        self.serves(one)

    def serves(self, one: Envoy) -> None:
        """What was held goes on, or ends, as far as the proxy knows."""
        for name in list(+one.held):
            if one.clusters.get(name):
                for _ in range(one.held.pop(name)):
                    self.sends(one, name)
            elif one.connected and self.plane.newest and self.denied(name):
                self.lost += [f"{one.name} was denied {name}"] * one.held.pop(name)

    def denied(self, name: str) -> bool:
        newest = self.plane.newest
        return newest is not None and name not in newest.snapshot.cold and name not in newest.clusters

    def asks(self, one: Envoy) -> None:
        """A request comes."""
        if one.target in one.clusters:
            self.sends(one, one.target)
            return
        one.held[one.target] += 1
        if one.target not in one.asked:
            one.asked.append(one.target)
        self.serves(one)

    def sends(self, one: Envoy, cluster: str) -> None:
        one.issued[cluster] += 1
        ports = [port for port in one.clusters[cluster] if self.pods.get(port)]
        if ports:
            one.under_way[cluster, ports[0]] += 1
        else:
            self.lost.append(f"{one.name} found nobody in {cluster}, which has {one.clusters[cluster]}")

    def answers(self, one: Envoy) -> None:
        """All that is under way."""
        self.answered += one.under_way.total()
        one.under_way.clear()

    def passes(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.now += 1
            loads = self.plane.controller.loads
            for one in self.envoys:
                if one.connected and self.reports and self.now >= one.reports_at:
                    loads.heard((one.name, one.streams), one.report(), self.now)
            who = loads.reporting(self.now)
            complete = {one.name for one in self.envoys} <= who
            self.plane.scaling.second(int(self.now), loads.read(self.now) if who else None, complete=complete)
            self.looks()

    def goes_on(self, seconds: int) -> None:
        """All do what they do."""
        for _ in range(seconds):
            self.passes()
            for _ in range(3):
                self.writes()
                self.deploys()
                self.starts_pods()
                self.observes()
                for one in self.envoys:
                    self.takes(one)
                self.looks()

    def restarts(self) -> None:
        """Another control plane, that knows what is observed and no more: what was noted and not written is lost."""
        for one in self.envoys:
            if one.connected:
                one.leaves()
        self.plane = Plane(self, self.plane)
        self.observes()
        self.plane.settle()

    def until(self, sleep: Sleep, seconds: int = 60) -> None:
        for _ in range(seconds):
            if self.epoch.sleep is sleep:
                return
            self.goes_on(1)
        raise AssertionError(f"{self.epoch} after {seconds} s")


def closing(**scales: Any) -> Shop:
    """No proxy has heard of it yet."""
    shop = Shop(scales)
    while shop.epoch.sleep is Sleep.AWAKE:
        shop.passes()
        shop.writes()
        shop.observes()
    return shop


def prepared(**scales: Any) -> Shop:
    """The next name is noted, and not written yet."""
    shop = Shop(scales)
    while not shop.epoch.next:
        shop.passes()
    return shop


def asleep(**scales: Any) -> Shop:
    shop = Shop(scales)
    shop.until(Sleep.ASLEEP)
    shop.goes_on(2)
    assert not shop.pods
    return shop


def test_without_requests_it_goes_to_sleep_after_its_window_and_the_first_one_wakes_it() -> None:
    shop = asleep()
    assert [str(one) for one in shop.scaled] == ["Scaled cart-00001 from 1 to 0: no request within 6s"]
    one, _ = shop.envoys
    shop.asks(one)
    assert one.held.total() == 1
    shop.goes_on(1)
    assert (one.held.total(), one.under_way.total(), shop.lost) == (0, 1, [])
    assert str(shop.scaled[-1]) == "Scaled cart-00001 from 0 to 1: a request waits for it"


def test_many_wait_and_one_decision_is_made() -> None:
    shop = asleep(activationScale=2, maxScale=3)
    for one in shop.envoys * 50:
        shop.asks(one)
    shop.goes_on(1)
    assert [one.after for one in shop.scaled] == [0, 2]
    assert (sum(one.under_way.total() for one in shop.envoys), shop.lost) == (100, [])


def test_while_it_is_used_it_stays_awake() -> None:
    shop = Shop()
    for _ in range(60):
        shop.asks(shop.envoys[0])
        shop.answers(shop.envoys[0])
        shop.goes_on(1)
    assert shop.epoch == AWAKE


def test_a_request_that_lasts_keeps_it_awake() -> None:
    shop = Shop()
    shop.asks(shop.envoys[0])
    shop.goes_on(60)
    assert shop.epoch == AWAKE
    shop.answers(shop.envoys[0])
    shop.until(Sleep.ASLEEP)
    assert not shop.lost


def test_it_is_kept_for_as_long_as_its_retention_says() -> None:
    shop = closing(scaleToZeroRetention="30s")
    shop.goes_on(28)
    assert (shop.epoch.sleep, len(shop.pods)) == (Sleep.CLOSING, 1)
    shop.until(Sleep.ASLEEP)


def test_a_request_that_comes_while_it_closes_finds_the_replica_that_is_still_there() -> None:
    shop = closing()
    ports = set(shop.pods)
    shop.takes(shop.envoys[0])
    shop.takes(shop.envoys[0])
    shop.takes(shop.envoys[0])
    shop.asks(shop.envoys[0])
    shop.looks()
    assert shop.epoch.sleep is Sleep.AWAKE
    shop.goes_on(1)
    assert (set(shop.pods), shop.envoys[0].under_way.total(), shop.lost) == (ports, 1, [])


def test_what_is_under_way_to_the_cluster_of_before_keeps_it_beside_the_new_one() -> None:
    shop = closing()
    slow, quick = shop.envoys
    shop.asks(slow)  # it has not heard yet
    for _ in range(3):
        shop.takes(quick)
    shop.asks(quick)
    shop.looks()
    shop.goes_on(3)
    assert (shop.epoch.sleep, shop.epoch.before) == (Sleep.AWAKE, 0)
    shop.answers(quick)
    shop.goes_on(60)
    assert shop.epoch.sleep is Sleep.AWAKE
    shop.answers(slow)
    shop.until(Sleep.ASLEEP)
    assert not shop.lost


def test_a_proxy_that_is_stuck_keeps_the_replica() -> None:
    shop = closing()
    well, stuck = shop.envoys
    for _ in range(100):
        shop.passes()
        shop.takes(well)
    assert (shop.epoch.sleep, len(shop.pods)) == (Sleep.CLOSING, 1)
    shop.asks(stuck)
    shop.answers(stuck)
    shop.takes(stuck)
    shop.until(Sleep.ASLEEP)
    assert not shop.lost


def test_without_reports_it_does_not_go_to_sleep() -> None:
    shop = closing()
    shop.reports = False
    shop.goes_on(100)
    assert shop.epoch.sleep is Sleep.CLOSING
    shop.reports = True
    shop.until(Sleep.ASLEEP)


def test_a_replica_that_has_yet_to_go_is_not_taken_for_one_that_was_woken() -> None:
    shop = Shop()
    one, other = shop.envoys
    while shop.epoch.sleep is not Sleep.ASLEEP:
        shop.passes()
        shop.writes()
        shop.observes()
        for _ in range(3):
            shop.takes(one)
            shop.takes(other)
    shop.asks(one)
    shop.observes()
    shop.passes(3)
    assert (shop.epoch.sleep, one.held.total()) == (Sleep.ASLEEP, 1)
    ports = set(shop.pods)
    shop.goes_on(2)
    assert (shop.epoch.sleep, one.under_way.total(), shop.lost) == (Sleep.AWAKE, 1, [])
    assert not ports & set(shop.pods)


def test_what_cannot_start_goes_back_to_sleep_under_another_name() -> None:
    shop = asleep()
    number, shop.starts = shop.epoch.number, False
    shop.asks(shop.envoys[0])
    shop.until(Sleep.WAKING)
    shop.goes_on(620)
    assert shop.epoch.sleep is Sleep.WAKING
    shop.until(Sleep.ASLEEP)
    assert shop.epoch.number > number
    assert str(shop.scaled[-1]) == "Scaled cart-00001 from 1 to 0: it did not start within 631 s"


def test_who_may_not_sleep_any_more_wakes_without_a_request() -> None:
    shop = asleep()
    shop.scales = {"minScale": 1}
    template = {"spec": {"containers": [{"image": "cart"}]}}
    shop.plane.controller.store.apply(_object("OriginService", "cart", scaling=shop.scales, template=template))
    shop.plane.settle()
    shop.goes_on(3)
    assert (shop.epoch.sleep, len(shop.pods)) == (Sleep.AWAKE, 1)


def test_a_control_plane_that_begins_anew_goes_on_from_where_another_stopped() -> None:
    shop = asleep()
    shop.asks(shop.envoys[0])
    number = shop.epoch.number
    shop.restarts()
    assert shop.epoch == Epoch(number, Sleep.ASLEEP)
    for one in shop.envoys:
        one.comes_back(shop.now)
    shop.goes_on(2)
    assert (shop.epoch.sleep, shop.envoys[0].under_way.total(), shop.lost) == (Sleep.AWAKE, 1, [])


def test_no_proxy_hears_of_a_name_before_it_is_written() -> None:
    shop = prepared()
    name, shop.refuses = shop.epoch.next, True
    shop.goes_on(100)
    assert shop.epoch == Epoch(0, next=name)
    assert all(one.target in one.clusters for one in shop.envoys)
    shop.refuses = False
    shop.until(Sleep.ASLEEP)
    assert shop.epoch == Epoch(name, Sleep.ASLEEP)


def test_load_that_comes_back_before_the_name_is_written_keeps_it_awake() -> None:
    shop = prepared()
    name = shop.epoch.next
    shop.asks(shop.envoys[0])
    shop.goes_on(60)
    assert (shop.epoch, shop.written.epoch) == (Epoch(0, next=name), name)
    shop.answers(shop.envoys[0])
    shop.until(Sleep.ASLEEP)
    assert (shop.epoch.number, shop.lost) == (name, [])


@pytest.mark.parametrize("written", [False, True])
def test_a_control_plane_that_ends_when_a_name_was_noted_loses_nothing(written: bool) -> None:
    shop = prepared()
    name = shop.epoch.next
    shop.asks(shop.envoys[0])
    if written:
        shop.writes()
    shop.restarts()
    assert shop.epoch == (Epoch(name, before=0) if written else AWAKE)
    for one in shop.envoys:
        one.comes_back(shop.now)
    shop.goes_on(60)
    assert shop.epoch == (Epoch(name, before=0) if written else Epoch(0, next=shop.epoch.next))
    shop.answers(shop.envoys[0])
    shop.until(Sleep.ASLEEP)
    assert not shop.lost


def test_what_is_under_way_to_the_cluster_of_before_keeps_its_replica_under_another_control_plane() -> None:
    shop = closing()
    shop.asks(shop.envoys[0])  # it has not heard yet
    shop.restarts()
    for one in shop.envoys:
        one.comes_back(shop.now)
    shop.goes_on(60)
    assert (shop.epoch.sleep, shop.epoch.before, len(shop.pods)) == (Sleep.AWAKE, 0, 1)
    shop.answers(shop.envoys[0])
    shop.until(Sleep.ASLEEP)
    assert not shop.lost


def test_a_control_plane_that_finds_nothing_running_asks_for_a_name_that_nobody_knows() -> None:
    shop = asleep()
    number, shop.written = shop.epoch.number, Deployment(0)
    shop.restarts()
    shop.until(Sleep.ASLEEP)
    assert shop.epoch.number > number
    assert not shop.pods


@pytest.mark.parametrize("written", [False, True])
def test_what_cannot_start_goes_back_to_sleep_under_a_name_that_the_next_control_plane_knows(written: bool) -> None:
    shop = asleep()
    number, shop.starts = shop.epoch.number, False
    shop.asks(shop.envoys[0])
    shop.goes_on(2)
    shop.envoys[0].held.clear()
    while not shop.epoch.next:
        shop.passes()
    name = shop.epoch.next
    if written:
        shop.writes()
    shop.restarts()
    assert shop.epoch == Epoch(name if written else number, Sleep.WAKING)
    shop.starts = True
    for one in shop.envoys:
        one.comes_back(shop.now)
        for _ in range(6):
            shop.takes(one)
        shop.asks(one)
    shop.goes_on(2)
    assert (shop.epoch.sleep, sum(one.under_way.total() for one in shop.envoys), shop.lost) == (Sleep.AWAKE, 2, [])


@pytest.mark.parametrize("written", [False, True])
def test_a_control_plane_that_finds_nothing_running_holds_no_request_for_a_name_before_it_is_written(
    written: bool,
) -> None:
    shop = asleep()
    shop.written = Deployment(0)
    shop.restarts()
    assert shop.epoch == Epoch(0, next=shop.epoch.next)
    assert shop.noted == Deployment(0, shop.epoch.next, before=0)
    if written:
        shop.writes()
    shop.restarts()
    assert shop.epoch.sleep is (Sleep.ASLEEP if written else Sleep.AWAKE)
    for one in shop.envoys:
        one.comes_back(shop.now)
    shop.goes_on(2)
    assert (shop.epoch.sleep, shop.pods) == (Sleep.ASLEEP, {})
    shop.asks(shop.envoys[0])
    shop.goes_on(2)
    assert (shop.envoys[0].under_way.total(), shop.lost) == (1, [])


class Nights(RuleBasedStateMachine):
    """Two proxies, one revision; each rule is something that happens to one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop()

    def envoy(self, which: int) -> Envoy:
        return self.shop.envoys[which]

    @initialize(begins_asleep=st.booleans())
    def begin(self, begins_asleep: bool) -> None:
        if begins_asleep:
            self.shop.until(Sleep.ASLEEP)

    @rule(which=st.integers(0, 1))
    def a_request_comes(self, which: int) -> None:
        self.shop.asks(self.envoy(which))

    @rule(which=st.integers(0, 1))
    def requests_end(self, which: int) -> None:
        self.shop.answers(self.envoy(which))

    @rule(which=st.integers(0, 1))
    def clients_leave(self, which: int) -> None:
        self.envoy(which).held.clear()

    @rule(which=st.integers(0, 1))
    def a_proxy_takes_something(self, which: int) -> None:
        self.shop.takes(self.envoy(which))

    @rule(which=st.integers(0, 1))
    def a_proxy_takes_everything(self, which: int) -> None:
        for _ in range(6):
            self.shop.takes(self.envoy(which))

    @rule(which=st.integers(0, 1))
    def a_proxy_loses_its_streams(self, which: int) -> None:
        if self.envoy(which).connected:
            self.shop.plane.controller.loads.left((self.envoy(which).name, self.envoy(which).streams))
            self.envoy(which).leaves()

    @rule(which=st.integers(0, 1))
    def a_proxy_comes_back(self, which: int) -> None:
        if not self.envoy(which).connected:
            self.envoy(which).comes_back(self.shop.now)
            self.shop.serves(self.envoy(which))

    @rule()
    def the_control_plane_looks(self) -> None:
        self.shop.looks()

    @rule()
    def what_is_noted_is_written(self) -> None:
        self.shop.writes()

    @rule()
    def what_is_written_is_carried_out(self) -> None:
        self.shop.deploys()

    @rule()
    def pods_start(self) -> None:
        self.shop.starts_pods()

    @rule()
    def the_cluster_is_observed(self) -> None:
        self.shop.observes()

    @rule(seconds=st.integers(1, 4))
    def time_passes(self, seconds: int) -> None:
        self.shop.passes(seconds)

    @rule(seconds=st.integers(1, 12))
    def all_goes_on(self, seconds: int) -> None:
        self.shop.goes_on(seconds)

    @rule(steps=st.integers(0, 7), asleep=st.booleans())
    def all_requests_end_and_it_goes_to_rest(self, steps: int, asleep: bool) -> None:
        """Right to where it is decisive: nobody has heard yet that it closes, or nothing is carried out yet."""
        for one in self.shop.envoys:
            self.shop.answers(one)
        for _ in range(20):
            if self.shop.epoch.sleep is (Sleep.ASLEEP if asleep else Sleep.CLOSING):
                break
            for one in self.shop.envoys if asleep or self.shop.epoch.sleep is not Sleep.CLOSING else ():
                for _ in range(3):
                    self.shop.takes(one)
            self.shop.passes()
            self.shop.writes()
            self.shop.observes()
        for step in range(steps):
            self.shop.takes(self.envoy(step % 2))

    @rule()
    def the_control_plane_begins_anew(self) -> None:
        self.shop.restarts()

    @invariant()
    def whoever_leads_next_knows_the_names_that_requests_are_held_for(self) -> None:
        held = {called(name) for one in self.shop.envoys for name in +one.held}
        known = {self.shop.written.epoch, self.shop.written.before}
        assert {one.epoch for one in held if one} <= known, (held, self.shop.written, self.shop.epoch)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert not self.shop.lost, (self.shop.lost, self.shop.epoch)

    def teardown(self) -> None:
        """In the end all that waits is answered, and then all sleeps."""
        shop = self.shop
        for one in shop.envoys:
            if not one.connected:
                one.comes_back(shop.now)
        shop.goes_on(10)
        assert not any(one.held.total() for one in shop.envoys), (shop.epoch, shop.envoys)
        for one in shop.envoys:
            shop.answers(one)
        shop.until(Sleep.ASLEEP)
        shop.goes_on(3)
        assert not shop.pods
        assert not shop.lost


Nights.TestCase.settings = settings(
    max_examples=250,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestNights = Nights.TestCase
