"""Tags of an origin: named by a route, and with hosts of their own."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from envoy.config.route.v3 import route_pb2

from edgerun.api import conditions
from edgerun.api.conditions import ConditionType
from edgerun.api.edgeroute import EdgeRoute
from edgerun.api.meta import Condition, ObjectKey
from edgerun.api.originservice import OriginService, Share, TrafficTarget
from edgerun.translate.names import revision_key
from edgerun.translate.plan import ROUTES, Plan
from edgerun.translate.revisions.follow import Outcome
from edgerun.translate.revisions.memory import Memory, Tagged
from edgerun.translate.revisions.traffic import Assignment
from edgerun.translate.translator import translate
from edgerun.translate.world import World
from support.objects import edge_route, origin_service, ready, world
from support.revisions import revision

CART = origin_service("cart")
OF_CART = {"origins": [{"service": {"name": "cart"}}]}
SPLIT = Assignment(
    (Share(revision_name="cart-00001", percent=90), Share(revision_name="cart-00002", percent=10)),
    (Tagged(tag="blue", revision_name="cart-00001"), Tagged(tag="green", revision_name="cart-00003")),
)


def decided(assigned: Assignment) -> Outcome:
    """That of an origin with three revisions."""
    return Outcome(memory=Memory(number=3), assignment=assigned, revisions=tuple(map(revision, _three("cart"))))


def _three(name: str) -> tuple[str, ...]:
    return tuple(f"{name}-0000{number}" for number in (1, 2, 3))


def tagged_world(*objects: EdgeRoute | OriginService, assigned: Assignment = SPLIT, **others: Any) -> World:
    """`cart` has three revisions, all of which are ready."""
    found = world(*objects, CART, **others)
    observed = {revision_key(CART.key, name): ready() for name in _three("cart")}
    return dataclasses.replace(found, revised={CART.key: decided(assigned)}, observations=observed)


def hosts(plan: Plan) -> Mapping[str, Any]:
    (resource,) = plan.fleets["default"][ROUTES].values()
    return {host.name: host for host in route_pb2.RouteConfiguration.FromString(resource.body).virtual_hosts}


def led_to(route: Any) -> Mapping[str, int]:
    """The revisions, or whatever a cluster is called, and their weights."""
    clusters = route.route.weighted_clusters.clusters
    return {one.name.partition("@")[0].removeprefix("origin/shop/"): one.weight.value for one in clusters}


def condition(plan: Plan, key: ObjectKey, type: ConditionType = ConditionType.RESOLVED_REFS) -> Condition:
    found = conditions.condition(plan.verdicts[key].conditions, type)
    assert found
    return found


def test_a_rule_that_names_a_tag_leads_to_its_revision_alone() -> None:
    route = edge_route(rules=[{"origins": [{"service": {"name": "cart", "tag": "green"}}]}])
    plan = translate(tagged_world(route))
    assert led_to(hosts(plan)["*"].routes[0]) == {"cart/cart-00003": 1}
    assert condition(plan, route.key).status == "True"


def test_a_tag_that_does_not_exist_is_answered_with_500_and_told_with_those_that_there_are() -> None:
    route = edge_route(rules=[{"origins": [{"service": {"name": "cart", "tag": "grene"}}]}])
    plan = translate(tagged_world(route))
    assert hosts(plan)["*"].routes[0].direct_response.status == 500
    found = condition(plan, route.key)
    assert (found.status, found.reason) == ("False", "TagNotFound")
    assert found.message == (
        'spec.rules[0].origins[0].service.tag: OriginService shop/cart has no tag "grene" (tags there: blue; green); '
        "requests for it are answered with 500"
    )


def test_a_tag_that_is_not_in_effect_yet_is_not_said_to_be_missing() -> None:
    wished = dataclasses.replace(
        tagged_world(route := edge_route(rules=[{"origins": [{"service": {"name": "cart", "tag": "new"}}]}])),
        origins=(_with_traffic(CART, TrafficTarget(latest_revision=True, percent=100, tag="new")),),
    )
    found = condition(translate(wished), route.key)
    assert found.reason == "TagNotFound"
    assert 'tag "new" of OriginService shop/cart is not in effect yet' in found.message


def _with_traffic(service: OriginService, *targets: TrafficTarget) -> OriginService:
    return msgspec.structs.replace(service, spec=msgspec.structs.replace(service.spec, traffic=targets))


def test_of_a_split_a_missing_tag_costs_its_own_share() -> None:
    missing = {"service": {"name": "cart", "tag": "no"}}
    route = edge_route(rules=[{"origins": [{"service": {"name": "cart"}, "weight": 3}, missing]}])
    plan = translate(tagged_world(route))
    assert led_to(hosts(plan)["*"].routes[0]) == {"cart/cart-00001": 27, "cart/cart-00002": 3, "missing": 10}
    assert "spec.rules[0].origins[1].service.tag" in condition(plan, route.key).message


def test_each_tag_has_a_host_with_the_rules_of_the_route() -> None:
    rules = [{"matches": [{"path": {"value": "/cart"}}], **OF_CART}, {"respond": {"body": "hello"}}]
    found = hosts(translate(tagged_world(edge_route(hostnames=["shop.example.com", "*.example.com"], rules=rules))))
    assert sorted(found) == ["*.example.com", "blue-shop.example.com", "green-shop.example.com", "shop.example.com"]
    assert led_to(found["shop.example.com"].routes[0]) == {"cart/cart-00001": 9, "cart/cart-00002": 1}
    assert led_to(found["blue-shop.example.com"].routes[0]) == {"cart/cart-00001": 1}
    assert led_to(found["green-shop.example.com"].routes[0]) == {"cart/cart-00003": 1}
    assert [host.routes[1].direct_response.body.inline_string for host in found.values()] == ["hello"] * 4


def test_other_origins_of_a_rule_keep_their_shares() -> None:
    elsewhere = {"url": "http://10.0.0.1", "weight": 3}
    rule = {"origins": [{"service": {"name": "cart"}}, elsewhere, {"service": {"name": "cart", "tag": "blue"}}]}
    found = hosts(translate(tagged_world(edge_route(hostnames=["shop.example.com"], rules=[rule]))))
    assert led_to(found["green-shop.example.com"].routes[0]) == {
        "cart/cart-00003": 1,
        "url/http://10.0.0.1:80": 3,
        "cart/cart-00001": 1,
    }


def test_whoever_shares_the_host_answers_on_that_of_the_tag_as_well() -> None:
    cart = edge_route("cart", hostnames=["shop.test"], rules=[{"matches": [{"path": {"value": "/cart"}}], **OF_CART}])
    pages = edge_route("pages", hostnames=["shop.test"], rules=[{"respond": {"body": "page"}}])
    plan = translate(tagged_world(cart, pages))
    found = hosts(plan)
    assert [route.name for route in found["green-shop.test"].routes] == ["shop/cart/0", "shop/pages/0"]


def test_who_is_shadowed_on_a_host_is_so_on_that_of_the_tag_and_told_once() -> None:
    older = edge_route("older", created="2026-01-01T00:00:00Z", hostnames=["shop.test"], rules=[{"respond": {}}])
    younger = edge_route("younger", created="2026-01-02T00:00:00Z", hostnames=["shop.test"], rules=[OF_CART])
    plan = translate(tagged_world(older, younger))
    assert [route.name for route in hosts(plan)["green-shop.test"].routes] == ["shop/older/0"]
    shadowed = condition(plan, younger.key, ConditionType.SHADOWED)
    assert shadowed.message.count("spec.rules[0].matches[0]") == 1


def test_a_route_that_names_the_host_of_a_tag_has_it() -> None:
    route = edge_route(hostnames=["shop.test"], rules=[OF_CART])
    real = edge_route("real", namespace="team", hostnames=["green-shop.test"], rules=[{"respond": {"status": 204}}])
    plan = translate(tagged_world(route, real))
    assert [one.name for one in hosts(plan)["green-shop.test"].routes] == ["team/real/0"]
    assert [one.url for one in plan.verdicts[CART.key].traffic] == ["", "", "http://blue-shop.test:8080", ""]


def test_the_host_of_a_tag_comes_before_a_wildcard_that_would_cover_it() -> None:
    route = edge_route(hostnames=["shop.test"], rules=[{"matches": [{"path": {"value": "/cart"}}], **OF_CART}])
    wild = edge_route("wild", hostnames=["*.test"], rules=[{"respond": {"body": "any"}}])
    found = hosts(translate(tagged_world(route, wild)))
    assert [one.name for one in found["green-shop.test"].routes] == ["shop/web/0", "shop/wild/0"]


def test_the_status_of_the_origin_has_where_its_tags_are_reached() -> None:
    default = edge_route("all", rules=[OF_CART])
    route = edge_route(hostnames=["*.example.com", "shop.example.com"], rules=[OF_CART])
    traffic = translate(tagged_world(default, route)).verdicts[CART.key].traffic
    assert [(one.revision_name, one.percent, one.tag, one.url) for one in traffic] == [
        ("cart-00001", 90, "", ""),
        ("cart-00002", 10, "", ""),
        ("cart-00001", None, "blue", "http://blue-shop.example.com:8080"),
        ("cart-00003", None, "green", "http://green-shop.example.com:8080"),
    ]


def test_an_origin_that_gets_nothing_of_a_route_has_no_host_of_a_tag() -> None:
    rule = {"origins": [{"service": {"name": "cart"}, "weight": 0}, {"url": "http://10.0.0.1"}]}
    plan = translate(tagged_world(edge_route(hostnames=["shop.test"], rules=[rule])))
    assert sorted(hosts(plan)) == ["shop.test"]


def test_of_two_tags_with_the_same_host_one_has_it_and_only_that_one_says_so() -> None:
    route = edge_route(hostnames=["b-shop.test", "shop.test"], rules=[OF_CART])
    tags = (Tagged(tag="a", revision_name="cart-00001"), Tagged(tag="a-b", revision_name="cart-00003"))
    plan = translate(tagged_world(route, assigned=dataclasses.replace(SPLIT, tags=tags)))
    assert led_to(hosts(plan)["a-b-shop.test"].routes[0]) == {"cart/cart-00001": 1}
    assert [one.url for one in plan.verdicts[CART.key].traffic[2:]] == [
        "http://a-b-shop.test:8080",
        "http://a-b-b-shop.test:8080",
    ]


@pytest.mark.parametrize("invokers", [[{"namespace": "team"}], []])
def test_an_origin_of_another_namespace_shows_its_tags_to_whom_it_lets_in(invokers: list[dict[str, str]]) -> None:
    spec = msgspec.to_builtins(CART.spec) | {"access": {"invokers": invokers}}
    service = msgspec.convert({"metadata": {"name": "cart", "namespace": "shop"}, "spec": spec}, OriginService)
    rule = {"origins": [{"service": {"name": "cart", "namespace": "shop", "tag": "grene"}}]}
    route = edge_route(namespace="team", rules=[rule])
    found = condition(translate(dataclasses.replace(tagged_world(route), origins=(service,))), route.key)
    assert ("blue; green" in found.message) == bool(invokers)
    assert found.reason == ("TagNotFound" if invokers else "OriginNotFound")


def test_a_route_to_a_tag_waits_for_its_revision_and_for_no_other() -> None:
    route = edge_route(rules=[{"origins": [{"service": {"name": "cart", "tag": "green"}}]}])
    full = tagged_world(route)
    others = {key: one for key, one in full.observations.items() if key.name != "cart-00003"}
    waits = translate(dataclasses.replace(full, observations=others)).verdicts[route.key].waits_for
    assert waits
    assert waits.message == (
        'no replica is ready of OriginService shop/cart with the tag "green"; requests for it are answered with 503'
    )
    only = {key: one for key, one in full.observations.items() if key.name == "cart-00003"}
    assert translate(dataclasses.replace(full, observations=only)).verdicts[route.key].waits_for is None


def named_by(route: Any) -> str:
    """The tag that requests of this Envoy route carry in the header."""
    return next((one.string_match.exact for one in route.match.headers if one.name == "knative-serving-tag"), "")


def test_the_header_leads_nowhere_unless_the_route_says_so() -> None:
    (answers,) = hosts(translate(tagged_world(edge_route(rules=[OF_CART])))).values()
    assert [named_by(route) for route in answers.routes] == [""]


def test_with_it_the_same_rule_answers_by_the_revision_that_has_the_tag() -> None:
    matches = [{"path": {"value": "/cart"}, "headers": [{"name": "a", "value": "1"}]}, {"path": {"value": "/"}}]
    rules = [{"matches": matches, **OF_CART}, {"matches": [{"path": {"value": "/cart"}}], "respond": {}}]
    (answers,) = hosts(translate(tagged_world(edge_route(rules=rules, tagHeader=True)))).values()
    assert [(route.match.path_separated_prefix, named_by(route), led_to(route)) for route in answers.routes] == [
        ("/cart", "blue", {"cart/cart-00001": 1}),
        ("/cart", "green", {"cart/cart-00003": 1}),
        ("/cart", "", {"cart/cart-00001": 9, "cart/cart-00002": 1}),
        ("/cart", "", {}),
        ("", "blue", {"cart/cart-00001": 1}),
        ("", "green", {"cart/cart-00003": 1}),
        ("", "", {"cart/cart-00001": 9, "cart/cart-00002": 1}),
    ]


def test_on_the_host_of_a_tag_the_header_says_nothing() -> None:
    found = hosts(translate(tagged_world(edge_route(hostnames=["shop.test"], rules=[OF_CART], tagHeader=True))))
    assert [len(host.routes) for name, host in sorted(found.items())] == [1, 1, 3]
