"""What a rule whose origin has session affinity is to Envoy."""

from typing import Any

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.route.v3 import route_pb2

from edgerun.api.originservice import OriginService
from edgerun.translate.plan import CLUSTER, ROUTES, Plan
from edgerun.translate.translator import translate
from support.objects import edge_route, origin_service, ready, world

OF_CART = {"service": {"name": "cart"}}


def affine(name: str = "cart") -> OriginService:
    service = origin_service(name)
    return msgspec.structs.replace(service, spec=msgspec.structs.replace(service.spec, session_affinity=True))


def routes(plan: Plan) -> list[Any]:
    (resource,) = plan.fleets["default"][ROUTES].values()
    return [
        route for host in route_pb2.RouteConfiguration.FromString(resource.body).virtual_hosts for route in host.routes
    ]


def balancing(plan: Plan) -> dict[str, str]:
    found = [cluster_pb2.Cluster.FromString(one.body) for one in plan.fleets["default"][CLUSTER].values()]
    return {one.name.partition("@")[0]: cluster_pb2.Cluster.LbPolicy.Name(one.lb_policy) for one in found}


def cookies(route: Any) -> list[str]:
    return [
        one.header.value.partition("=")[0] for one in route.response_headers_to_add if one.header.key == "set-cookie"
    ]


def test_who_brings_the_cookie_is_hashed_by_it_and_who_does_not_is_given_one() -> None:
    brought, first = routes(translate(world(affine(), edge_route(rules=[{"origins": [OF_CART]}]))))
    assert [one.name for one in brought.match.headers] == ["cookie"]
    assert [one.name for one in first.match.headers] == []
    assert (cookies(brought), cookies(first)) == ([], ["edgerun-session"])
    assert brought.route == first.route
    assert brought.route.weighted_clusters.use_hash_policy.value


def test_the_users_own_headers_of_the_answer_stay() -> None:
    rule = {"origins": [OF_CART], "responseHeaders": {"set": {"set-cookie": "a=b"}}}
    _, first = routes(translate(world(affine(), edge_route(rules=[rule]))))
    assert cookies(first) == ["a", "edgerun-session"]


def test_the_weights_sum_to_the_same_however_they_are_split() -> None:
    rule = {"origins": [OF_CART | {"weight": 3}, {"service": {"name": "pay"}}]}
    first, *_ = routes(translate(world(affine(), origin_service("pay"), edge_route(rules=[rule]))))
    assert [one.weight.value for one in first.route.weighted_clusters.clusters] == [300, 100]


def test_only_the_origin_that_has_sessions_is_balanced_by_them() -> None:
    route = edge_route(rules=[{"origins": [OF_CART, {"service": {"name": "pay"}}]}])
    services = affine(), origin_service("pay")
    plan = translate(world(*services, route, observations={one.key: ready() for one in services}))
    assert balancing(plan) == {
        "origin/shop/cart/cart-00001": "MAGLEV",
        "origin/shop/pay/pay-00001": "LEAST_REQUEST",
    }


def test_a_share_of_nothing_gives_no_session() -> None:
    rule = {"origins": [OF_CART | {"weight": 0}, {"service": {"name": "pay"}}]}
    (only,) = routes(translate(world(affine(), origin_service("pay"), edge_route(rules=[rule]))))
    assert not only.route.hash_policy
