"""What a running instance answers about a rollout, and the orders that it takes."""

import pytest

from edgerun.runtime.rollout_desk import Desk
from edgerun.sources.store import Seen
from edgerun.translate.revisions.wishes import ORDER
from support.revising import CART, Shop
from support.revising import shop as shop_of_one

ONE, TWO = "cart-00001", "cart-00002"


@pytest.fixture
def shop() -> Shop:
    """With one OriginService, whose first revision is ready."""
    return shop_of_one()


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop.controller, shop.revising.orders)


def test_it_tells_of_a_service_and_its_revisions_as_documents(desk: Desk) -> None:
    reply = desk.answer(["status", "shop/cart"])
    assert reply.problem == ""
    assert reply.service["status"]["latestReadyRevisionName"] == ONE
    assert [one["metadata"]["name"] for one in reply.revisions] == [ONE]
    assert reply.revisions[0]["status"]["replicas"] == {"desired": 1, "ready": 1}
    assert reply.revisions[0]["spec"]["number"] == 1


def test_an_order_is_taken_as_if_it_were_written_and_looked_at(desk: Desk, shop: Shop) -> None:
    shop.has("two")
    shop.rebuilds()
    before = shop.changes
    reply = desk.answer(["undo", "shop/cart", TWO])
    assert reply.service["metadata"]["annotations"][ORDER] == f"undo/{TWO}"
    assert shop.changes == before + 1
    shop.rebuilds()
    assert [one.revision_name for one in shop.outcome.memory.rollout.rejected] == [TWO]


def test_an_order_ends_with_what_it_was_given_for(desk: Desk, shop: Shop) -> None:
    desk.answer(["promote", "shop/cart", ONE])
    entry = shop.controller.store.entries.pop(CART)
    shop.controller.rebuild()
    shop.controller.store.entries[CART] = entry
    shop.controller.rebuild()
    assert "annotations" not in desk.answer(["status", "shop/cart"]).service["metadata"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["status", "cart"], "there is no OriginService cart; there are: shop/cart. Name its namespace"),
        (["status", "shop/card"], "there is no OriginService shop/card; there are: shop/cart."),
        (["burn", "shop/cart"], "'burn shop/cart' is no question; ask status NAMESPACE/NAME, or undo or promote"),
        (["undo", "shop/cart"], "'undo shop/cart' is no question"),
        ([], "'' is no question"),
    ],
)
def test_what_cannot_be_is_answered_with_what_can(desk: Desk, words: list[str], problem: str) -> None:
    assert desk.answer(words).problem.startswith(problem)


def test_a_service_that_is_not_valid_is_told_to_be_so(desk: Desk, shop: Shop) -> None:
    raw = {"apiVersion": "edgerun.dev/v1alpha1", "kind": "OriginService", "metadata": {"name": "bad"}, "spec": {}}
    shop.controller.store.apply(Seen({**raw, "metadata": {"name": "bad", "namespace": "shop"}}))
    assert "has no version that can be served; `edgerun status` says why" in desk.answer(["status", "shop/bad"]).problem
