"""Statuses follow what proxies acknowledged, and transition times move only with the status."""

from edgerun.api.edgeroute import EdgeRouteStatus
from edgerun.api.meta import Condition, ObjectKey
from edgerun.api.originservice import OriginServiceStatus
from edgerun.api.problems import Refusal
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import Verdict
from edgerun.translate.statuses import Progress, origin_status, route_status
from edgerun.translate.translator import translate
from edgerun.translate.world import OriginObservation
from support.objects import edge_route, origin_service, ready, world

NEW = EdgeRouteStatus()
ONE_OF_ONE = Progress("default", 1, 1, 1)


def verdict_of(*objects: object, **others: object) -> Verdict:
    plan = translate(world(*objects, **others))  # type: ignore[arg-type]
    return plan.verdicts[objects[0].key]  # type: ignore[attr-defined]


def conditions(status: EdgeRouteStatus | OriginServiceStatus) -> dict[str, Condition]:
    return {part.type: part for part in status.conditions}


def test_a_route_is_ready_when_every_proxy_has_acknowledged_it() -> None:
    status = route_status(verdict_of(edge_route(rules=[{"respond": {}}])), ONE_OF_ONE, NEW, now="t1")
    assert [(part.type, part.status) for part in status.conditions] == [
        ("Accepted", "True"),
        ("ResolvedRefs", "True"),
        ("Programmed", "True"),
        ("Ready", "True"),
    ]
    assert status.edges[0].programmed == 1


def test_one_proxy_of_three_that_lags_behind_keeps_it_from_ready_and_is_counted() -> None:
    status = route_status(verdict_of(edge_route(rules=[{"respond": {}}])), Progress("default", 3, 2, 2), NEW, now="t1")
    ready_part = conditions(status)["Ready"]
    assert (ready_part.status, ready_part.reason) == ("False", "Pending")
    assert ready_part.message == "2 of 3 proxies of edge default serve generation 1"


def test_without_a_proxy_nothing_is_programmed() -> None:
    status = route_status(verdict_of(edge_route(rules=[{"respond": {}}])), Progress("default", 0, 0, 0), NEW, now="t1")
    assert conditions(status)["Programmed"].reason == "NoProxies"


def test_the_transition_time_moves_with_the_status_and_not_with_the_message() -> None:
    verdict = verdict_of(edge_route(rules=[{"respond": {}}]))
    first = route_status(verdict, Progress("default", 3, 1, 1), NEW, now="t1")
    second = route_status(verdict, Progress("default", 3, 2, 2), first, now="t2")
    third = route_status(verdict, Progress("default", 3, 3, 3), second, now="t3")
    assert conditions(second)["Programmed"].last_transition_time == "t1"
    assert conditions(second)["Programmed"].message != conditions(first)["Programmed"].message
    assert conditions(third)["Programmed"].last_transition_time == "t3"
    assert conditions(third)["Accepted"].last_transition_time == "t1"


def test_a_refused_generation_is_not_programmed_while_the_one_before_serves() -> None:
    route = edge_route(rules=[{"respond": {}}])
    refusal = Refusal(route.key, 2, "Invalid", "spec.rules: Required value")
    status = route_status(verdict_of(route, refusals={route.key: refusal}), ONE_OF_ONE, NEW, now="t1")
    assert status.observed_generation == 2
    assert conditions(status)["Accepted"].message == "spec.rules: Required value (generation 1 keeps serving)"
    assert conditions(status)["Programmed"].reason == "NotAccepted"
    assert conditions(status)["Ready"].reason == "Invalid"


def test_a_route_waits_for_its_origin_and_says_for_which() -> None:
    route = edge_route(rules=[{"origins": [{"service": {"name": "cart"}}]}])
    starting = route_status(verdict_of(route, origin_service("cart")), ONE_OF_ONE, NEW, now="t1")
    assert conditions(starting)["Ready"].reason == "OriginNotReady"
    assert "OriginService shop/cart" in conditions(starting)["Ready"].message
    cart = origin_service("cart")
    serving = verdict_of(route, cart, observations={cart.key: ready()})
    assert conditions(route_status(serving, ONE_OF_ONE, starting, now="t2"))["Ready"].status == "True"


def test_a_route_is_not_ready_before_every_proxy_knows_where_its_origin_is() -> None:
    cart = origin_service("cart")
    route = edge_route(rules=[{"origins": [{"service": {"name": "cart"}}]}])
    verdict = verdict_of(route, cart, observations={cart.key: ready()})
    status = route_status(verdict, Progress("default", 2, 2, 1), NEW, now="t1")
    assert conditions(status)["Programmed"].status == "True"
    assert (conditions(status)["Ready"].status, conditions(status)["Ready"].reason) == ("False", "Pending")
    assert conditions(status)["Ready"].message == "1 of 2 proxies of edge default know where its origins are ready"


def test_an_origin_repeats_the_last_words_of_its_process() -> None:
    cart = origin_service("cart")
    crashed = OriginObservation(OriginPhase.FAILED, (), "CrashLoopBackOff", "exit code 3: no such table")
    verdict = verdict_of(cart, observations={cart.key: crashed})
    status = origin_status(verdict, OriginServiceStatus(), now="t1")
    assert (conditions(status)["Ready"].reason, conditions(status)["Ready"].message) == (
        "CrashLoopBackOff",
        "exit code 3: no such table",
    )


def test_an_origin_that_serves_has_a_url() -> None:
    cart = origin_service("cart")
    status = origin_status(verdict_of(cart, observations={cart.key: ready(9123)}), OriginServiceStatus(), now="t1")
    assert status.url == "http://127.0.0.1:9123"
    assert conditions(status)["Ready"].status == "True"


def test_an_object_of_which_no_version_was_accepted_still_has_a_status() -> None:
    key = ObjectKey("EdgeRoute", "shop", "new")
    plan = translate(world(refusals={key: Refusal(key, 1, "Invalid", "spec.rules: Required value")}))
    status = route_status(plan.verdicts[key], ONE_OF_ONE, NEW, now="t1")
    assert conditions(status)["Ready"].message == "spec.rules: Required value"
