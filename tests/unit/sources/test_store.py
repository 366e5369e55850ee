"""The store serves the newest good version of each object, and never disturbs it for a bad one."""

from datetime import UTC, datetime
from typing import Any

from edgerun.api.meta import ObjectKey
from edgerun.api.problems import Refusal
from edgerun.sources.store import Gone, Seen, Store
from edgerun.translate.world import Edge, World
from support.objects import ready

WEB = ObjectKey("EdgeRoute", "shop", "web")
CART = ObjectKey("OriginService", "shop", "cart")


class Wishes:
    """Collects what the store says about changes."""

    def __init__(self) -> None:
        self.urgent: list[bool] = []

    def __call__(self, *, urgent: bool) -> None:
        self.urgent.append(urgent)


def store(wishes: Wishes | None = None, *, trusts_status: bool = False) -> Store:
    return Store(Edge(), lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), wishes or Wishes(), trusts_status)


def web(body: str = "hello", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "edgerun.dev/v1alpha1",
        "kind": "EdgeRoute",
        "metadata": {"name": "web", "namespace": "shop"} | metadata,
        "spec": {"rules": [{"respond": {"body": body}}]},
    }


BAD_FIELD = web() | {"spec": {"ruls": []}}
BAD_REGEX = web() | {
    "spec": {"rules": [{"matches": [{"path": {"type": "RegularExpression", "value": "/(a"}}], "respond": {}}]}
}


def body(world: World) -> str:
    (route,) = world.routes
    assert route.spec.rules[0].respond
    return route.spec.rules[0].respond.body


def test_a_version_that_is_seen_serves() -> None:
    here = store()
    here.apply(Seen(web()))
    (route,) = here.snapshot().routes
    assert route.metadata.generation == 1
    assert route.metadata.creation_timestamp == "2026-01-02T03:04:05Z"


def test_each_change_of_the_object_is_a_generation_and_seeing_it_again_is_not() -> None:
    wishes = Wishes()
    here = store(wishes)
    for version in (web(), web(), web("other"), web("other") | {"status": {"anything": 1}}):
        here.apply(Seen(version))
    assert here.entries[WEB].generation == 2
    assert wishes.urgent == [False, False]


def test_a_generation_and_an_age_that_a_cluster_gives_are_kept() -> None:
    here = store()
    here.apply(Seen(web(generation=7, creationTimestamp="2020-01-01T00:00:00Z")))
    (route,) = here.snapshot().routes
    assert (route.metadata.generation, route.metadata.creation_timestamp) == (7, "2020-01-01T00:00:00Z")


def test_a_version_that_is_not_well_formed_leaves_the_one_before_serving() -> None:
    here = store()
    here.apply(Seen(web()))
    here.apply(Seen(BAD_FIELD))
    world = here.snapshot()
    assert body(world) == "hello"
    assert (world.refusals[WEB].generation, world.refusals[WEB].reason) == (2, "Invalid")
    assert 'unknown field "spec.ruls"' in world.refusals[WEB].message


def test_what_envoy_could_not_run_is_told_from_what_is_not_well_formed() -> None:
    here = store()
    here.apply(Seen(BAD_REGEX))
    world = here.snapshot()
    assert world.routes == ()
    assert world.refusals[WEB].reason == "UnsupportedValue"


def test_a_mended_version_serves_and_nothing_is_held_against_it() -> None:
    here = store()
    for version in (web(), BAD_FIELD, web("mended")):
        here.apply(Seen(version))
    world = here.snapshot()
    assert (body(world), world.refusals) == ("mended", {})


def test_an_object_that_is_gone_is_gone_and_comes_back_as_new() -> None:
    here = store()
    here.apply(Seen(web()))
    here.apply(Gone(WEB))
    here.apply(Gone(WEB))
    assert here.snapshot().routes == ()
    here.apply(Seen(web("again")))
    assert here.entries[WEB].generation == 1


def test_a_version_that_a_proxy_refused_gives_way_to_the_proven_one() -> None:
    here = store()
    here.apply(Seen(web("proven")))
    here.prove(here.snapshot().routes[0])
    here.apply(Seen(web("bad")))
    here.quarantine(here.snapshot().routes[0], "envoy said no")
    world = here.snapshot()
    assert body(world) == "proven"
    assert (world.refusals[WEB].reason, world.refusals[WEB].generation) == ("RejectedByProxy", 2)


def test_a_version_that_was_never_proven_is_no_refuge() -> None:
    here = store()
    here.apply(Seen(web("accepted, never acknowledged")))
    here.apply(Seen(web("bad")))
    here.quarantine(here.snapshot().routes[0], "envoy said no")
    assert here.snapshot().routes == ()


def test_a_refusal_of_a_version_that_is_no_longer_the_newest_comes_too_late() -> None:
    here = store()
    here.apply(Seen(web("old")))
    old = here.snapshot().routes[0]
    here.apply(Seen(web("new")))
    here.quarantine(old, "envoy said no")
    here.prove(old)
    assert body(here.snapshot()) == "new"
    assert here.entries[WEB].proven is None


def test_a_change_lifts_the_quarantine() -> None:
    here = store()
    here.apply(Seen(web("bad")))
    here.quarantine(here.snapshot().routes[0], "envoy said no")
    here.apply(Seen(web("good")))
    assert (body(here.snapshot()), here.snapshot().refusals) == ("good", {})


def test_what_requests_depend_on_is_urgent_and_the_same_observation_twice_is_nothing() -> None:
    wishes = Wishes()
    here = store(wishes)
    here.observe(CART, ready())
    here.observe(CART, ready())
    here.observe(CART, None)
    here.observe(CART, None)
    assert wishes.urgent == [True, True]
    assert here.snapshot().observations == {}


def test_a_world_does_not_change_after_it_was_taken() -> None:
    here = store()
    here.observe(CART, ready())
    world = here.snapshot()
    here.observe(CART, None)
    here.apply(Seen(web()))
    assert world.observations == {CART: ready()}
    assert world.routes == ()


def test_a_document_without_a_name_is_left_to_the_source() -> None:
    here = store()
    for raw in ({}, {"kind": "EdgeRoute"}, web() | {"metadata": "web"}, web() | {"kind": ["EdgeRoute"]}):
        here.apply(Seen(raw))
    assert here.entries == {}


def stored(spec: dict[str, Any], *, generation: int, reason: str, serving: dict[str, Any] | None) -> Seen:
    """An EdgeRoute as an API server has it whose newest version was refused, and an older one may serve."""
    message = "Duplicate header (generation 1 keeps serving)" if serving else "Duplicate header"
    accepted = {"type": "Accepted", "status": "False", "reason": reason, "message": message}
    status: dict[str, Any] = {"conditions": [accepted | {"observedGeneration": generation}]}
    if serving:
        status["serving"] = {"generation": 1, "spec": serving}
    metadata = {"name": "web", "namespace": "shop", "generation": generation}
    return Seen(
        {
            "apiVersion": "edgerun.dev/v1alpha1",
            "kind": "EdgeRoute",
            "metadata": metadata,
            "spec": spec,
            "status": status,
        }
    )


GOOD: dict[str, Any] = {"rules": [{"name": "old", "respond": {"status": 200}}]}
NEWER: dict[str, Any] = {"rules": [{"name": "new", "respond": {"status": 200}}]}


def test_what_served_before_a_restart_serves_after_it_while_the_newest_version_is_refused() -> None:
    here = store(trusts_status=True)
    here.apply(stored(BAD_REGEX["spec"], generation=2, reason="UnsupportedValue", serving=GOOD))
    (route,) = here.snapshot().routes
    assert (route.metadata.generation, route.spec.rules[0].name) == (1, "old")
    assert here.snapshot().refusals[WEB].generation == 2


def test_what_a_proxy_refused_before_a_restart_is_not_tried_on_it_again() -> None:
    here = store(trusts_status=True)
    here.apply(stored(NEWER, generation=2, reason="RejectedByProxy", serving=GOOD))
    (route,) = here.snapshot().routes
    assert route.spec.rules[0].name == "old"
    assert here.snapshot().refusals[WEB] == Refusal(WEB, 2, "RejectedByProxy", "Duplicate header")


def test_a_version_that_came_while_nobody_looked_is_taken_though_the_one_before_was_refused() -> None:
    here = store(trusts_status=True)
    refused = stored(NEWER, generation=2, reason="RejectedByProxy", serving=GOOD)
    here.apply(Seen({**refused.raw, "metadata": {**refused.raw["metadata"], "generation": 3}}))
    (route,) = here.snapshot().routes
    assert (route.metadata.generation, route.spec.rules[0].name) == (3, "new")


def test_a_status_in_a_file_is_nobodys_word() -> None:
    here = store()
    here.apply(stored(BAD_REGEX["spec"], generation=2, reason="UnsupportedValue", serving=GOOD))
    assert not here.snapshot().routes


def test_a_scale_is_told_once_and_taken_back() -> None:
    told: list[bool] = []

    def changed(*, urgent: bool) -> None:
        told.append(urgent)

    here, key = Store(Edge(), lambda: datetime.now(UTC), changed), ObjectKey("OriginRevision", "shop", "cart-00001")
    here.scale(key, 3)
    here.scale(key, 3)
    assert (told, here.snapshot().scales) == ([True], {key: 3})
    here.scale(key, None)
    here.scale(key, None)
    assert (told, here.snapshot().scales) == ([True, True], {})
