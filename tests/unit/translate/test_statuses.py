"""Statuses follow what proxies acknowledged, and transition times move only with the status."""

import dataclasses
from typing import Any

import msgspec

from edgerun.api.edgeroute import EdgeRouteStatus
from edgerun.api.meta import Condition, ObjectKey
from edgerun.api.originrevision import OriginRevisionStatus
from edgerun.api.originservice import OriginService, OriginServiceStatus, Rejected, Replicas, Rollout
from edgerun.api.problems import Refusal
from edgerun.translate.names import revision_key
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import Verdict
from edgerun.translate.revisions.follow import follow
from edgerun.translate.revisions.memory import Memory
from edgerun.translate.revisions.revision import Revision
from edgerun.translate.revisions.wishes import wish
from edgerun.translate.statuses import Progress, origin_status, revision_status, route_status
from edgerun.translate.translator import translate
from edgerun.translate.world import Endpoint, Epoch, OriginObservation, Sleep
from support.objects import edge_route, origin_service, ready, world
from support.revisions import FAILED, SERVICE, START, STARTING, facts, revision, shares

NEW = EdgeRouteStatus()
FRESH, UNTOLD = Memory(), OriginRevisionStatus()
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


class Cart:
    """An OriginService with revisions, as `follow` decides of them."""

    def __init__(self, *found: Revision, memory: Memory = FRESH, **wished: Any) -> None:
        spec = {"template": msgspec.to_builtins(found[-1].template)} | wished
        metadata = {"name": SERVICE, "namespace": "shop"}
        self.service = msgspec.convert({"metadata": metadata, "spec": spec}, OriginService)
        self.outcome = follow(wish(self.service), facts(*found), memory)
        self.world = world(
            self.service,
            revised={self.service.key: self.outcome},
            observations={
                revision_key(self.service.key, one.name): OriginObservation(
                    one.phase, (Endpoint("10.0.0.1", one.number),) if one.ready else (), one.reason, one.message
                )
                for one in found
            },
        )

    def says(self) -> dict[str, str]:
        verdict = translate(self.world).verdicts[self.service.key]
        return said(origin_status(verdict, OriginServiceStatus(), now="t1").conditions)

    def says_of(self, name: str, before: OriginRevisionStatus = UNTOLD) -> OriginRevisionStatus:
        verdict = translate(self.world).verdicts[revision_key(self.service.key, name)]
        return revision_status(verdict, before, now="t1")


def said(found: tuple[Condition, ...]) -> dict[str, str]:
    return {part.type: f"{part.status} {part.reason} {part.message}".rstrip() for part in found}


def test_a_revision_that_fails_keeps_its_service_from_ready_and_says_who_serves() -> None:
    crashed = revision("cart-00002", phase=FAILED, reason="CrashLoopBackOff", message="exit code 1")
    one = Cart(revision("cart-00001"), crashed)
    words = 'False CrashLoopBackOff exit code 1; revision "cart-00001" keeps its traffic'
    assert one.says()["Ready"] == one.says()["ContainerHealthy"] == words
    assert said(one.says_of("cart-00001").conditions)["Ready"] == "True Ready"
    assert said(one.says_of("cart-00002").conditions)["Ready"] == "False CrashLoopBackOff exit code 1"


def test_a_revision_that_has_nothing_to_say_yet_leaves_the_word_to_who_serves() -> None:
    one = Cart(revision("cart-00001"), revision("cart-00002", phase=STARTING))
    assert one.says()["Ready"] == 'Unknown Starting revision "cart-00001" keeps its traffic'


def test_a_revision_that_is_not_tried_any_more_keeps_its_last_words() -> None:
    crashed = revision("cart-00002", phase=FAILED, reason="CrashLoopBackOff", message="exit code 1")
    before = Cart(revision("cart-00001"), crashed).says_of("cart-00002")
    after = Cart(revision("cart-00001"), crashed, revision("cart-00003")).says_of("cart-00002", before)
    assert (after.replicas, after.conditions) == (Replicas(desired=0, ready=0), before.conditions)


def test_a_revision_that_was_ready_and_has_no_use_is_well() -> None:
    idle = revision("cart-00001", phase=STARTING, proven=True)
    found = Cart(idle, revision("cart-00002")).says_of("cart-00001")
    assert said(found.conditions)["ContainerHealthy"] == "True Idle it has no replica, for no request leads to it"
    assert said(found.conditions)["Ready"] == "True Ready"
    assert found.last_active == START


def test_while_requests_move_the_service_is_not_said_to_be_ready_yet() -> None:
    policy: dict[str, Any] = {"rollout": {"duration": "100s"}}
    memory = Cart(revision("cart-00001"), **policy).outcome.memory
    one = Cart(revision("cart-00001"), revision("cart-00002"), memory=memory, **policy)
    moves = 'requests move from revision "cart-00001" to "cart-00002"; status.traffic tells how far they are'
    assert one.says()["Ready"] == f"Unknown RolloutInProgress {moves}"


def test_a_service_whose_newest_revision_was_rolled_back_says_so_and_why() -> None:
    rejected = Rejected(revision_name="cart-00002", message='revision "cart-00002" was undone by hand', at=START)
    memory = Memory(
        number=2,
        latest_created_revision_name="cart-00002",
        latest_ready_revision_name="cart-00002",
        rollout=Rollout(goal="cart-00001", shares=shares("cart-00001 100"), rejected=(rejected,)),
    )
    one = Cart(revision("cart-00001"), revision("cart-00002"), memory=memory)
    why = 'revision "cart-00002" was undone by hand; revision "cart-00001" serves instead'
    assert one.says()["RolledBack"] == f"True RolledBack {why}"
    assert one.says()["Ready"] == f"False RolledBack {why}"


def test_traffic_that_cannot_be_assigned_leaves_the_requests_where_they_are_and_says_so() -> None:
    one = Cart(revision("cart-00001"), traffic=[{"revisionName": "cart-00007", "percent": 100}])
    assert one.says()["AllTrafficAssigned"].startswith("False RevisionMissing")
    assert one.says()["Ready"].startswith("False RevisionMissing")


def test_a_service_that_sleeps_is_ready() -> None:
    one = Cart(revision("cart-00001"), scaling={"minScale": 0})
    key = revision_key(one.service.key, "cart-00001")
    one.world = dataclasses.replace(one.world, epochs={key: Epoch(1, Sleep.ASLEEP)}, observations={})
    assert one.says()["ContainerHealthy"] == "True Asleep it has no replica until a request comes"
    assert one.says()["Ready"] == "True Ready"
