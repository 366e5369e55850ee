"""What is told of an object follows its stored status first, and what was seen since."""

from typing import Any

import msgspec

from edgerun.api.meta import Condition
from edgerun.runtime.witness import Witness

READY = Condition(type="Ready", status="True", reason="Ready", observed_generation=1)
DOWN = Condition(type="Ready", status="False", reason="OriginNotReady", message="cart", observed_generation=1)
PENDING = Condition(type="Ready", status="False", reason="Pending", observed_generation=1)


def said(*conditions: Condition) -> dict[str, Any]:
    return {"conditions": msgspec.to_builtins(conditions)} if conditions else {}


def stored(*conditions: Condition, uid: str = "1") -> dict[str, Any]:
    return {"kind": "EdgeRoute", "metadata": {"name": "web", "uid": uid}, "status": said(*conditions)}


def test_a_new_leader_tells_nothing_that_the_stored_status_says_already() -> None:
    told: list[str] = []
    witness = Witness(lambda raw, occurrence: told.append(occurrence.reason))
    witness.changed(stored(DOWN), said(DOWN))
    witness.changed(stored(READY, uid="2"), said(PENDING))
    witness.changed(stored(PENDING, uid="2"), said(READY))
    assert told == []


def test_changes_are_compared_with_what_was_seen_and_not_with_a_status_that_lags_behind() -> None:
    told: list[str] = []
    witness = Witness(lambda raw, occurrence: told.append(occurrence.reason))
    witness.changed(stored(READY), said(DOWN))
    witness.changed(stored(READY), said(DOWN))
    witness.changed(stored(READY), said(READY))
    assert told == ["OriginNotReady", "Ready"]


def test_an_object_that_was_made_anew_is_another_one() -> None:
    told: list[str] = []
    witness = Witness(lambda raw, occurrence: told.append(occurrence.reason))
    witness.changed(stored(), said(DOWN))
    witness.gone("1")
    witness.changed(stored(uid="2"), said(DOWN))
    assert told == ["OriginNotReady"] * 2


def test_a_status_that_nobody_can_read_counts_as_none() -> None:
    told: list[str] = []
    raw = {
        "kind": "EdgeRoute",
        "metadata": {"uid": "1"},
        "status": {"conditions": [{"type": "Ready", "status": "Perhaps"}]},
    }
    Witness(lambda raw, occurrence: told.append(occurrence.reason)).changed(raw, said(READY))
    assert told == ["Ready"]


def test_what_becomes_of_the_revisions_of_an_origin_is_told_once() -> None:
    told: list[str] = []
    witness = Witness(lambda raw, occurrence: told.append(occurrence.reason))
    cart = stored() | {"kind": "OriginService"}
    for _ in range(2):
        witness.changed(cart, {"latestCreatedRevisionName": "cart-00001"})
    witness.changed(cart, {"latestCreatedRevisionName": "cart-00001", "latestReadyRevisionName": "cart-00001"})
    assert told == ["RevisionCreated", "RevisionReady"]
