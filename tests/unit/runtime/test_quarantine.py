"""Who is at fault, when Envoy refuses what many objects shaped."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edgerun.api.edgeroute import EdgeRoute
from edgerun.runtime.quarantine import culprits, suspects
from edgerun.translate.plan import CLUSTER, ROUTES
from edgerun.translate.translator import translate
from edgerun.translate.world import World
from support.objects import edge_route, origin_service, world

WORDS = "Duplicate header"


class Oracle:
    """Refuses every world that has one of the bad routes, and counts how often it was asked."""

    def __init__(self, *bad: str) -> None:
        self.bad = set(bad)
        self.asked = 0

    async def __call__(self, world: World, edge: str) -> str | None:
        self.asked += 1
        return WORDS if self.bad & {route.metadata.name for route in world.routes} else None


def routes(count: int) -> tuple[EdgeRoute, ...]:
    return tuple(edge_route(f"r{number}", rules=[{"respond": {}}]) for number in range(count))


async def test_the_one_bad_route_among_a_thousand_is_found_in_few_questions() -> None:
    found = routes(1000)
    oracle = Oracle("r617")
    assert await culprits(world(*found), "default", found, oracle) == {found[617].key: WORDS}
    assert oracle.asked <= 21


@given(st.integers(1, 12).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1)))))
async def test_exactly_the_bad_ones_are_blamed(case: tuple[int, set[int]]) -> None:
    size, bad = case
    found = routes(size)
    blamed = await culprits(world(*found), "default", found, Oracle(*(f"r{number}" for number in bad)))
    assert blamed.keys() == {found[number].key for number in bad}


async def test_when_each_alone_is_fine_nobody_is_blamed() -> None:
    class OnlyTogether(Oracle):
        async def __call__(self, world: World, edge: str) -> str | None:
            return WORDS if len(world.routes) > 1 else None

    found = routes(4)
    assert await culprits(world(*found), "default", found, OnlyTogether()) == {}


def test_only_versions_that_no_proxy_has_acknowledged_are_suspects() -> None:
    old, new = edge_route("old", rules=[{"respond": {}}]), edge_route("new", rules=[{"respond": {}}])
    here = world(old, new)
    assert suspects(translate(here), here, [("default", ROUTES, "edge")], {old.key: old}) == (new,)


def test_a_cluster_is_shaped_by_its_origin_and_the_routes_that_use_it() -> None:
    cart = origin_service("cart")
    user = edge_route("user", rules=[{"origins": [{"service": {"name": "cart"}}]}])
    other = edge_route("other", rules=[{"respond": {}}])
    here = world(user, other, cart)
    named = suspects(translate(here), here, [("default", CLUSTER, "origin/shop/cart/cart-00001@shop/default")], {})
    assert {found.key for found in named} == {user.key, cart.key}


def test_a_resource_that_no_object_shaped_has_no_suspects() -> None:
    here = world(*itertools.islice(routes(1), 1))
    assert suspects(translate(here), here, [("default", "type.googleapis.com/x", "edge")], {}) == ()
