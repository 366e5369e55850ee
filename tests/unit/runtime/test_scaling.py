"""Revisions are scaled by their load, second by second, on a clock that the test turns."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from edgerun.api.meta import ObjectKey
from edgerun.runtime.scaling import Loads, Scaled, Scaling
from edgerun.sources.store import Gone, Seen, Store
from edgerun.translate.names import revision_key, revision_of
from edgerun.translate.phases import OriginPhase
from edgerun.translate.revisions.replicas import Need, Role
from edgerun.translate.revisions.wishes import first_look
from edgerun.translate.translator import translate
from edgerun.translate.world import Edge, Endpoint, Epoch, OriginObservation, Sleep, World
from edgerun.vitals import Scale
from edgerun.xds import loads as xds

SERVICE = ObjectKey("OriginService", "shop", "cart")
CART = revision_key(SERVICE, "cart-00001")


class Load(NamedTuple):
    concurrency: float
    requests: float = 0.0


@dataclass
class Shop:
    """One origin with one revision, whose replicas are ready as soon as they are wanted."""

    changes: int = 0
    scaled: list[Scaled] = field(default_factory=list)
    rests: list[ObjectKey] = field(default_factory=list)
    role: Role = Role.ROUTED
    complete: bool = True
    second: int = 1000
    store: Store = field(init=False)
    scaling: Scaling = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(Edge(), lambda: datetime.now(UTC), self.changed)
        self.scaling = Scaling(
            self.store,
            xds.Loads(revision_of),
            local=False,
            told=self.scaled.append,
            world=self.world,
            rest=lambda key, service: self.rests.append(key),
        )

    def changed(self, *, urgent: bool) -> None:
        self.changes += 1

    def has(self, *, uid: str = "1", **scaling: Any) -> None:
        spec = {"scaling": scaling, "template": {"spec": {"containers": [{"image": "cart"}]}}}
        metadata = {"namespace": "shop", "name": "cart", "uid": uid}
        self.store.apply(
            Seen({"apiVersion": "edgerun.dev/v1alpha1", "kind": "OriginService", "metadata": metadata, "spec": spec})
        )

    def runs(self, replicas: int, ready: int | None = None) -> None:
        endpoints = tuple(Endpoint("10.0.0.1", port) for port in range(replicas if ready is None else ready))
        self.store.observe(CART, OriginObservation(OriginPhase.READY, endpoints, replicas=replicas))

    def world(self) -> World:
        """As it is, with a revision to which requests lead."""
        world = self.store.snapshot()
        looked = {}
        for service in world.origins:
            least = (
                min(1, service.spec.scaling.min_scale) if self.role is Role.TAGGED else service.spec.scaling.min_scale
            )
            need = Need(CART.name, self.role, least, reachable=self.role is not Role.STARTING)
            looked[service.key] = replace(first_look(service), needs=(need,))
        return replace(world, revised=looked)

    @property
    def wanted(self) -> int:
        (run,) = translate(self.world()).running
        return run.replicas

    def passes(self, seconds: int, load: float | None = 0.0, *, rps: float = 0.0) -> list[int]:
        """How many were wanted, each time that changed."""
        seen = [self.wanted]
        for _ in range(seconds):
            self.second += 1
            loads: Loads | None = None if load is None else {CART: Load(load, rps)}
            self.scaling.second(self.second, loads, complete=self.complete)
            if self.wanted != seen[-1]:
                seen.append(self.wanted)
                self.runs(self.wanted)
        return seen


def shop(**scaling: Any) -> Shop:
    made = Shop()
    made.has(**({"maxScale": 9} | scaling))
    return made


def test_a_burst_is_followed_within_its_window_and_down_again_after_the_window() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(60)
    assert cart.passes(6, 340.0)[-1] == 5
    assert cart.passes(59, 0.0)[-1] == 5, "in panic nothing is taken away"
    assert cart.passes(20) == [5, 2, 1]
    assert str(cart.scaled[0]) == "Scaled cart-00001 from 1 to 2: 113 concurrent requests, target 70 a replica"


def test_what_was_decided_is_written_once() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(4)
    before = cart.changes
    cart.passes(600)
    assert cart.changes == before
    cart.passes(2, 10_000.0)
    assert cart.wanted == 9
    cart.passes(600, 10_000.0)
    assert [one.after for one in cart.scaled] == [9]
    assert cart.scaled[0].why.endswith("would be needed, and 9 are the most")


def test_an_operator_that_begins_anew_takes_nothing_away() -> None:
    cart = shop()
    cart.runs(8)
    assert cart.wanted == 8, "before anything is decided"
    assert cart.passes(60, 0.0) == [8]
    assert cart.passes(12, 0.0) == [8, 4, 2, 1]


def test_replicas_that_are_not_ready_yet_stay_when_the_operator_begins_anew() -> None:
    cart = shop()
    cart.runs(8, ready=3)
    assert cart.passes(60, 0.0) == [8]


def test_silence_is_no_load_of_zero() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(90, 340.0)
    assert cart.wanted == 5
    assert cart.passes(1000, None) == [5]
    assert cart.passes(60, 0.0) == [5], "what was before the silence says nothing of now"
    assert cart.passes(10, 0.0)[-1] == 1


def test_a_report_that_comes_late_thins_no_average() -> None:
    cart = shop()
    cart.runs(1)
    for _ in range(100):
        cart.passes(2, None)
        cart.passes(1, 340.0)
    assert cart.passes(1, 340.0) == [5]


def test_while_an_edge_is_missing_nothing_is_taken_away() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(90, 340.0)
    cart.complete = False
    assert cart.passes(200, 0.0) == [5]
    assert cart.passes(4, 10_000.0)[-1] == 9
    cart.complete = True
    assert cart.passes(59, 0.0) == [9]
    assert cart.passes(20, 0.0)[-1] == 1


def test_an_edge_that_is_missing_for_a_moment_changes_nothing() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(90, 340.0)
    for _ in range(30):
        cart.complete = not cart.complete
        cart.passes(2, 0.0)
    cart.complete = True
    assert cart.passes(10, 0.0)[-1] < 5


def test_a_change_of_the_bounds_counts_at_once_and_without_any_report() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(10)
    cart.has(minScale=3)
    assert cart.wanted == 3
    assert cart.passes(1, None) == [3]
    cart.has(minScale=2, maxScale=2)
    assert cart.wanted == 2
    cart.passes(1, None)
    cart.has(minScale=1, maxScale=9)
    assert cart.wanted == 2, "what is fixed is where it goes on from"


def test_with_as_many_at_least_as_at_most_nothing_is_scaled() -> None:
    cart = shop(minScale=4, maxScale=4)
    assert cart.passes(10, 10_000.0) == [4]
    assert cart.passes(200, 0.0) == [4]
    assert cart.scaled == []


def test_a_new_origin_begins_with_its_initial_scale_until_that_was_ready() -> None:
    cart = shop(initialScale=3)
    assert cart.wanted == 3
    cart.runs(3, ready=0)
    assert cart.passes(120, 0.0) == [3]
    cart.runs(3)
    assert cart.passes(120, 0.0)[-1] == 1


def test_requests_per_second_are_a_load_too() -> None:
    cart = shop(metric="rps", target=10, targetUtilization=100)
    cart.runs(1)
    assert cart.passes(60, 500.0, rps=40.0)[-1] == 4
    assert cart.scaled[0].why == "40 requests per second, target 10 a replica"


def test_another_metric_begins_anew_and_another_window_does_not() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(120, 340.0)
    cart.has(maxScale=9, window="30s")
    assert cart.passes(4, 340.0) == [5]
    cart.has(maxScale=9, metric="rps")
    assert cart.passes(59, 340.0) == [5]
    assert cart.passes(30, 340.0)[-1] == 1


def test_another_object_of_the_same_name_is_another_one() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(90, 340.0)
    cart.store.observe(CART, None)
    cart.store.scale(CART, None)
    cart.store.apply(Gone(SERVICE))
    cart.has(uid="2", maxScale=9)
    assert cart.wanted == 1
    assert cart.passes(10) == [1]


def test_who_leads_no_more_wants_what_runs() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(90, 340.0)
    cart.scaling.forget()
    cart.runs(7)
    assert cart.wanted == 7
    assert cart.passes(4, 0.0) == [7]


def test_it_tells_what_is_known() -> None:
    cart = shop()
    cart.runs(1)
    cart.passes(60, 35.0)
    (scale,) = cart.scaling.scales().values()
    assert scale == Scale(desired=1, ready=1, load=35.0, panics=False)
    cart.passes(6, 340.0)
    assert cart.scaling.scales()[CART].panics


def test_a_revision_that_nobody_can_reach_is_not_scaled() -> None:
    cart = shop()
    cart.runs(1)
    cart.role = Role.STARTING
    assert cart.passes(90, 340.0) == [1]
    assert cart.scaling.scales() == {}


def test_a_revision_that_answers_its_last_requests_keeps_all_replicas_for_them() -> None:
    cart = shop()
    cart.runs(4)
    assert cart.passes(10, 280.0)[-1] == 4
    cart.role = Role.LINGERING
    assert cart.passes(200, 1.0)[-1] == 4
    assert cart.scaling.scales() == {}


def test_a_revision_that_only_a_tag_leads_to_needs_no_more_than_one() -> None:
    cart = shop(minScale=3)
    cart.runs(3)
    assert cart.passes(90) == [3]
    cart.role = Role.TAGGED
    assert cart.passes(10)[-1] == 1
    assert cart.passes(90, 340.0)[-1] == 5


def test_the_last_replica_goes_by_going_to_sleep() -> None:
    cart = shop(minScale=0)
    cart.runs(4)
    assert cart.passes(66) == [4, 2, 1]
    assert not cart.rests
    cart.passes(2)
    assert cart.rests == [CART]
    assert cart.wanted == 1


def test_while_an_edge_is_missing_nothing_goes_to_sleep() -> None:
    cart = shop(minScale=0)
    cart.runs(1)
    cart.complete = False
    cart.passes(200)
    assert not cart.rests


def test_what_sleeps_is_not_scaled_and_what_wakes_begins_with_what_was_started() -> None:
    cart = shop(minScale=0, activationScale=3)
    cart.runs(1)
    cart.passes(200)
    cart.store.sleep(CART, Epoch(7, Sleep.ASLEEP))
    cart.store.scale(CART, 0)
    cart.runs(0)
    assert cart.passes(100) == [0]
    cart.store.sleep(CART, Epoch(7, Sleep.WAKING))
    cart.store.scale(CART, 3)
    assert cart.passes(100) == [3]
    cart.store.sleep(CART, Epoch(7))
    cart.runs(3)
    rests = len(cart.rests)
    assert cart.passes(58, 1.0) == [3]
    assert cart.passes(200, 0.0) == [3, 1]
    assert len(cart.rests) > rests
