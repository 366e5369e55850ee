"""What is told of an object follows its stored status first, and what was seen since."""

from typing import Any

import msgspec

from edgerun.api.meta import Condition
from edgerun.runtime.witness import Witness

READY = Condition(type="Ready", status="True", reason="Ready", observed_generation=1)
DOWN = Condition(type="Ready", status="False", reason="OriginNotReady", message="cart", observed_generation=1)
PENDING = Condition(type="Ready", status="False", reason="Pending", observed_generation=1)


def stored(*conditions: Condition, uid: str = "1") -> dict[str, Any]:
    status = {"conditions": msgspec.to_builtins(conditions)} if conditions else {}
    return {"metadata": {"name": "web", "uid": uid}, "status": status}


def test_a_new_leader_tells_nothing_that_the_stored_status_says_already() -> None:
    told: list[str] = []
    witness = Witness(lambda raw, occurrence: told.append(occurrence.reason))
    witness.changed(stored(DOWN), [DOWN])
    witness.changed(stored(READY, uid="2"), [PENDING])
    witness.changed(stored(PENDING, uid="2"), [READY])
    assert told == []


def test_changes_are_compared_with_what_was_seen_and_not_with_a_status_that_lags_behind() -> None:
    told: list[str] = []
    witness = Witness(lambda raw, occurrence: told.append(occurrence.reason))
    witness.changed(stored(READY), [DOWN])
    witness.changed(stored(READY), [DOWN])
    witness.changed(stored(READY), [READY])
    assert told == ["OriginNotReady", "Ready"]


def test_an_object_that_was_made_anew_is_another_one() -> None:
    told: list[str] = []
    witness = Witness(lambda raw, occurrence: told.append(occurrence.reason))
    witness.changed(stored(), [DOWN])
    witness.gone("1")
    witness.changed(stored(uid="2"), [DOWN])
    assert told == ["OriginNotReady"] * 2


def test_a_status_that_nobody_can_read_counts_as_none() -> None:
    told: list[str] = []
    raw = {"metadata": {"uid": "1"}, "status": {"conditions": [{"type": "Ready", "status": "Perhaps"}]}}
    Witness(lambda raw, occurrence: told.append(occurrence.reason)).changed(raw, [READY])
    assert told == ["Ready"]
