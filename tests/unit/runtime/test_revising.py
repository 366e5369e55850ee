"""Revisions from one plan to the next: made, waited for, given requests, taken away; on a clock that the test turns."""

from datetime import timedelta

from edgerun.api.meta import ObjectMeta
from edgerun.api.originrevision import OriginRevision, OriginRevisionSpec
from edgerun.api.originservice import OriginServiceStatus
from edgerun.runtime.board import as_document
from edgerun.sources.store import Gone
from edgerun.translate.labels import ORIGIN_SERVICE
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.revisions.judgement import Order, Verb
from edgerun.translate.statuses import origin_status
from edgerun.translate.world import Epoch, OriginObservation, Sleep
from support.revising import CART, START, Shop, shop
from support.revisions import template


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


def test_who_takes_over_at_once_begins_with_as_many_replicas_and_waits_for_all_that_come() -> None:
    cart = shop()
    cart.controller.store.scale(revision_key(CART, "cart-00001"), 4)
    cart.has("two")
    cart.rests()
    assert cart.replicas == {"cart-00001": 4, "cart-00002": 4}
    cart.runs("cart-00002", ready=1, replicas=4)
    cart.rests()
    assert cart.traffic == ["cart-00001 100"]
    cart.runs("cart-00002", ready=4, replicas=4)
    cart.rests()
    assert cart.traffic == ["cart-00002 100"]


def test_who_takes_over_does_not_wait_for_replicas_that_cannot_come() -> None:
    cart = shop()
    cart.has("two")
    cart.rests()
    cart.runs("cart-00002", ready=3, replicas=4, reason="Unschedulable")
    cart.rests()
    assert cart.traffic == ["cart-00002 100"]


def test_who_takes_over_gradually_begins_small() -> None:
    cart = shop(rollout={"duration": "60s"})
    cart.controller.store.scale(revision_key(CART, "cart-00001"), 4)
    cart.has("two", rollout={"duration": "60s"})
    cart.rests()
    assert cart.replicas == {"cart-00001": 4, "cart-00002": 1}


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


def test_what_is_asked_for_by_name_is_started_and_gets_its_part_when_it_is_ready() -> None:
    cart = shop()
    cart.has("two")
    cart.rebuilds()
    cart.runs("cart-00002")
    cart.rests()
    cart.runs("cart-00001", OriginPhase.PENDING)
    cart.has("two", traffic=[{"revisionName": "cart-00001", "percent": 100}])
    cart.rests()
    assert cart.traffic == ["cart-00002 100"]
    assert next((one.revision_name, one.role, one.least) for one in cart.outcome.needs) == ("cart-00001", "Starting", 1)
    cart.runs("cart-00001")
    cart.rests()
    assert cart.traffic == ["cart-00001 100"]


def test_a_revision_that_sleeps_and_was_ready_once_can_be_given_requests() -> None:
    cart = shop()
    cart.has("two")
    cart.rebuilds()
    cart.runs("cart-00002")
    cart.rests()
    cart.controller.store.observe(revision_key(CART, "cart-00001"), OriginObservation(OriginPhase.PENDING))
    cart.controller.store.sleep(revision_key(CART, "cart-00001"), Epoch(1, Sleep.ASLEEP))
    cart.has("two", traffic=[{"revisionName": "cart-00001", "percent": 100}])
    cart.rests()
    assert cart.traffic == ["cart-00001 100"]


def test_the_first_step_of_a_rollout_waits_for_the_proxies_and_the_others_for_their_time() -> None:
    cart = shop(rollout={"duration": "100s"})
    cart.has("two", rollout={"duration": "100s"})
    cart.rebuilds()
    cart.runs("cart-00002")
    cart.rebuilds()
    assert cart.traffic == ["cart-00001 99", "cart-00002 1"]
    cart.now += timedelta(seconds=1)
    cart.rebuilds()
    assert cart.outcome.again is None
    cart.acknowledges()
    assert cart.outcome.again
    seen = {tuple(cart.traffic)}
    while cart.outcome.memory.rollout.rolling:
        cart.passes_until(cart.outcome.again)
        seen.add(tuple(cart.traffic))
    assert len(seen) > 50
    assert cart.traffic == ["cart-00002 100"]
    assert timedelta(seconds=90) < cart.now - START < timedelta(seconds=110)


def test_a_revision_that_fails_too_often_loses_its_requests_by_itself() -> None:
    policy = {"duration": "100s", "maxErrorPercent": 1}
    cart = shop(rollout=policy)
    cart.has("two", rollout=policy)
    cart.rebuilds()
    cart.runs("cart-00002")
    cart.rebuilds()
    cart.acknowledges()
    cart.answers("cart-00002", 100, errors=1)
    assert len(cart.traffic) == 2
    cart.answers("cart-00002", 100, errors=50)
    assert cart.traffic == ["cart-00001 100"]
    assert cart.outcome.rolled_back
    assert "failed 51 of the last 200 requests" in cart.outcome.rolled_back.message


def test_who_begins_to_lead_goes_on_where_the_statuses_left_it() -> None:
    before = shop()
    before.has("two")
    before.rebuilds()
    before.runs("cart-00002")
    before.rests()
    after = Shop(local=False)
    after.controller.store.revisions.update(before.controller.store.revisions)
    after.controller.store.observations.update(before.controller.store.observations)
    after.has("two")
    after.statuses = {
        CART: as_document(origin_status(before.verdict, OriginServiceStatus(), now="2026-01-01T00:00:00Z"))
    }
    assert after.rebuilds().memory == before.outcome.memory
    assert after.outcome.made is None
    after.revising.gained()
    after.rebuilds()
    assert after.traffic == ["cart-00002 100"]
    assert after.outcome.draining == {"cart-00001"}, "its replicas may get requests of proxies of the leader before"
    assert after.acknowledges().draining == set()


def test_who_does_not_lead_follows_what_the_statuses_tell() -> None:
    cart = Shop(local=False)
    cart.has("one")
    assert cart.rebuilds().memory.number == 0
    cart.statuses[CART] = {"revisionNumber": 7}
    made = cart.rebuilds().made
    assert made
    assert made.name == "cart-00008"
    assert cart.there == []


def test_a_version_that_proxies_refuse_brings_no_revision_of_the_version_before() -> None:
    cart = shop()
    cart.acknowledges()
    for one in cart.world.origins:
        cart.controller.store.prove(one)
    cart.has("two")
    cart.rebuilds()
    cart.runs("cart-00002")
    cart.rebuilds()
    assert cart.traffic == ["cart-00002 100"]
    cart.controller.store.quarantine(cart.world.origins[0], "no")
    cart.rests()
    assert cart.traffic == ["cart-00001 100"]
    assert cart.there == ["cart-00001", "cart-00002"]
    cart.has("three")
    cart.rests()
    assert cart.there == ["cart-00001", "cart-00002", "cart-00003"]


def test_the_name_of_another_services_revision_is_passed_over() -> None:
    cart = Shop()
    cart.controller.store.revise(
        revision_key(CART, "cart-00001"),
        OriginRevision(
            metadata=ObjectMeta(name="cart-00001", namespace="shop", labels={ORIGIN_SERVICE: "other"}),
            spec=OriginRevisionSpec(template=template(), number=1),
        ),
    )
    cart.has("one")
    assert [one.name for one in cart.rebuilds().present] == ["cart-00002"]


def test_an_order_that_was_given_to_the_process_is_followed() -> None:
    cart = shop()
    cart.has("two")
    cart.rebuilds()
    cart.runs("cart-00002")
    cart.rests()
    cart.revising.orders.give(cart.world.origins[0], Order(Verb.UNDO, "cart-00002"))
    cart.rests()
    assert cart.traffic == ["cart-00001 100"]


def test_nobody_waits_for_proxies_of_an_edge_that_leads_no_requests_there() -> None:
    cart = Shop(edges=())
    cart.has("one")
    cart.rebuilds()
    cart.runs("cart-00001")
    cart.rebuilds()
    cart.has("two")
    cart.rebuilds()
    cart.runs("cart-00002")
    assert cart.rebuilds().draining == {"cart-00001"}
    cart.revising.tick()
    assert cart.rebuilds().draining == set()
