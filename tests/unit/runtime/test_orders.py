"""Orders that a process was given, and the annotation: whichever was said last."""

import msgspec

from edgerun.api.originservice import OriginService
from edgerun.runtime.orders import Orders
from edgerun.translate.revisions.judgement import Order, Verb
from edgerun.translate.revisions.wishes import ORDER, wish
from support.objects import origin_service

UNDO = Order(Verb.UNDO, "cart-00002")


def annotated(written: str) -> OriginService:
    service = origin_service("cart")
    metadata = msgspec.structs.replace(service.metadata, annotations={ORDER: written})
    return msgspec.structs.replace(service, metadata=metadata)


def test_without_an_order_what_is_written_counts() -> None:
    orders = Orders()
    assert wish(orders.annotated(origin_service("cart"))).order is None
    assert wish(orders.annotated(annotated("undo/cart-00002"))).order == UNDO


def test_an_order_counts_until_something_else_is_written() -> None:
    orders, before = Orders(), annotated("promote/cart-00001")
    orders.give(before, UNDO)
    assert wish(orders.annotated(before)).order == UNDO
    assert wish(orders.annotated(annotated("promote/cart-00003"))).order == Order(Verb.PROMOTE, "cart-00003")
    assert wish(orders.annotated(origin_service("cart"))).order is None, (
        "it was taken away, which is something else, too"
    )


def test_an_order_is_for_one_service_and_ends_with_it() -> None:
    orders, cart, shop = Orders(), origin_service("cart"), origin_service("shop")
    orders.give(cart, UNDO)
    assert wish(orders.annotated(shop)).order is None
    orders.forget(shop.key)
    assert wish(orders.annotated(cart)).order == UNDO
    orders.forget(cart.key)
    assert wish(orders.annotated(cart)).order is None
