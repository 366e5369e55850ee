"""A revision that has lost its requests stays for those that are under way, but not for ever; in virtual time."""

from datetime import timedelta

import pytest

from edgerun.sources.store import Seen
from edgerun.translate.names import called_by, revision_cluster, revision_key
from edgerun.translate.plan import CLUSTER
from edgerun.translate.world import Epoch, FleetObservation, Sleep
from support.revising import CART, Shop, shop

FIRST = revision_key(CART, "cart-00001")


def cluster(revision: str = "cart-00001", epoch: int = 0) -> str:
    """As the route calls it."""
    return called_by(revision_cluster(CART, revision, epoch), "shop", "default")


def clusters(cart: Shop) -> set[str]:
    assert cart.controller.published
    return set(cart.controller.published.plan.fleets["default"][CLUSTER])


def busy(template: dict[str, object] | None = None) -> Shop:
    """Four replicas with a request under way, when all new ones go to another revision."""
    cart = shop(template=template) if template else shop()
    cart.controller.store.scale(FIRST, 4)
    cart.runs("cart-00001", ready=4, replicas=4)
    cart.reports(cluster())
    cart.reports(cluster())
    cart.has("two", **({"template": template} if template else {}))
    moved(cart)
    return cart


def moved(cart: Shop) -> None:
    """To the second, and every proxy knows it."""
    cart.rests()
    cart.runs("cart-00002", ready=4, replicas=4)
    cart.rests()
    assert cart.traffic == ["cart-00002 100"]


def stays(cart: Shop) -> bool:
    there = cart.outcome.draining == {"cart-00001"}
    assert there == (cluster() in clusters(cart))
    assert cart.replicas["cart-00001"] == (4 if there else 0)
    return there


def test_it_keeps_its_cluster_and_all_of_its_replicas_while_a_request_is_under_way() -> None:
    cart = busy()
    for _ in range(60):
        cart.reports(cluster(), cluster("cart-00002"))
        assert stays(cart)
    cart.reports(cluster("cart-00002"))
    assert not stays(cart)


def test_it_goes_with_the_first_report_of_an_interval_that_began_later_and_had_nothing() -> None:
    cart = busy()
    cart.now -= timedelta(seconds=0.5)
    cart.reports()
    cart.reports()
    assert not stays(cart)


def test_what_a_proxy_had_before_it_heard_of_the_move_says_nothing() -> None:
    cart = shop()
    cart.controller.store.scale(FIRST, 4)
    cart.runs("cart-00001", ready=4, replicas=4)
    cart.reports()
    cart.reports()
    cart.has("two")
    moved(cart)
    assert stays(cart)


def test_after_five_minutes_it_goes_whatever_is_under_way() -> None:
    cart = busy()
    for _ in range(299):
        cart.reports(cluster())
    assert stays(cart)
    cart.reports(cluster())
    assert not stays(cart)


def test_a_proxy_that_never_reports_holds_it_for_no_longer() -> None:
    cart = shop()
    cart.controller.store.scale(FIRST, 4)
    cart.runs("cart-00001", ready=4, replicas=4)
    cart.controller.store.observe_fleet("default", FleetObservation(1, ("one",)))
    cart.has("two")
    moved(cart)
    cart.passes_until(cart.now + timedelta(seconds=299))
    assert stays(cart)
    cart.passes_until(cart.now + timedelta(seconds=1))
    assert not stays(cart)


def test_every_proxy_has_to_be_without_requests() -> None:
    cart = busy()
    cart.reports(cluster(), name="two")
    for _ in range(3):
        cart.reports()
        cart.reports(cluster(), name="two")
        assert stays(cart)
    cart.reports()
    cart.reports(name="two")
    assert not stays(cart)


@pytest.mark.parametrize("by", ["the template", "a rule"])
def test_who_allows_requests_more_time_has_it_waited_for(by: str) -> None:
    spec = {"spec": {"containers": [{"image": "one"}], "terminationGracePeriodSeconds": 3600}}
    cart = shop(template=spec if by == "the template" else {})
    if by == "a rule":
        rule = {"origins": [{"service": {"name": "cart"}}], "timeouts": {"request": "1h"}}
        metadata = {"namespace": "shop", "name": "patient"}
        cart.controller.store.apply(
            Seen(
                {
                    "apiVersion": "edgerun.dev/v1alpha1",
                    "kind": "EdgeRoute",
                    "metadata": metadata,
                    "spec": {"rules": [rule]},
                }
            )
        )
    cart.controller.store.scale(FIRST, 4)
    cart.runs("cart-00001", ready=4, replicas=4)
    cart.reports(cluster())
    cart.has("two")
    moved(cart)
    began = cart.now
    cart.passes_until(began + timedelta(seconds=3599))
    assert stays(cart)
    cart.passes_until(began + timedelta(seconds=3600))
    assert not stays(cart)


def test_who_gets_requests_again_meanwhile_begins_anew_when_it_loses_them_again() -> None:
    cart = busy()
    for _ in range(200):
        cart.reports(cluster())
    cart.has("two", traffic=[{"revisionName": "cart-00001", "percent": 100}])
    cart.rests()
    assert cart.traffic == ["cart-00001 100"]
    cart.has("two")
    cart.rests()
    assert cart.traffic == ["cart-00002 100"]
    for _ in range(200):
        cart.reports(cluster())
    assert stays(cart)


def test_whoever_begins_to_lead_waits_anew_for_what_is_under_way() -> None:
    cart = busy()
    cart.runs("cart-00001", ready=4, replicas=4)
    cart.revising.gained()
    cart.rests()
    for _ in range(5):
        cart.reports(cluster())
        assert stays(cart)
    cart.reports()
    assert not stays(cart)


def test_a_request_that_is_held_for_it_is_waited_for_and_then_answered() -> None:
    cart = shop(scaling={"minScale": 0})
    cart.controller.store.sleep(FIRST, Epoch(7, Sleep.WAKING))
    cart.reporting.asked[cluster(epoch=7)] = 1
    cart.reports()
    cart.has("two", scaling={"minScale": 0})
    cart.rests()
    cart.runs("cart-00002")
    cart.rests()
    cart.reports()
    cart.reports()
    assert cart.outcome.draining == {"cart-00001"}
    cart.controller.store.sleep(FIRST, Epoch(7))
    cart.rebuilds()
    cart.reporting.asked.clear()
    cart.acknowledges()
    for under_way in ((), *[(cluster(epoch=7),)] * 9):
        cart.reports(*under_way)
        assert cluster(epoch=7) in clusters(cart)
    cart.reports()
    assert cart.outcome.draining == set()
    assert cluster(epoch=7) not in clusters(cart)


def test_one_that_sleeps_is_not_waited_for() -> None:
    cart = shop(scaling={"minScale": 0})
    cart.reports()
    cart.controller.store.sleep(FIRST, Epoch(7, Sleep.ASLEEP))
    cart.has("two", scaling={"minScale": 0})
    cart.rests()
    cart.runs("cart-00002")
    cart.rests()
    assert cart.traffic == ["cart-00002 100"]
    assert cart.outcome.draining == set()
