"""What the ledger makes of a watch and a LIST that tell the same story out of step."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.sources.ledger import Corrections, Ledger
from edgerun.sources.store import Change, Gone, Seen

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"


def route(uid: str, version: int = 1, *, name: str = "web", born: str = EARLY, **metadata: Any) -> Mapping[str, Any]:
    about = {"name": name, "namespace": "shop", "uid": uid, "resourceVersion": str(version), "creationTimestamp": born}
    return {"kind": "EdgeRoute", "metadata": {**about, **metadata}, "spec": {"of": uid}}


class Told:
    """A ledger, its clock, and what it has fed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.changes: list[Change] = []
        self.ledger = Ledger(self._take, lambda: self.now)
        self.there: dict[str, str] = {}

    def _take(self, change: Change) -> None:
        self.changes.append(change)
        match change:
            case Seen():
                self.there[change.raw["metadata"]["name"]] = change.raw["metadata"]["uid"]
            case Gone():
                del self.there[change.key.name]


@pytest.fixture
def told() -> Told:
    return Told()


def test_what_only_the_server_counts_is_not_fed(told: Told) -> None:
    told.ledger.see(route("1", managedFields=[{"manager": "kubectl"}], labels={"a": "b"}))
    (seen,) = told.changes
    assert isinstance(seen, Seen)
    assert set(seen.raw["metadata"]) == {"name", "namespace", "uid", "creationTimestamp", "labels"}


@pytest.mark.parametrize("late", [route("1", 5), route("1", 6, deletionTimestamp=LATE)], ids=["seen", "deleting"])
def test_late_news_of_the_dead_do_not_disturb_their_successor(told: Told, late: Mapping[str, Any]) -> None:
    told.ledger.see(route("1"))
    told.ledger.see(route("2", 7, born=EARLY))
    told.ledger.see(late)
    told.ledger.bury(route("1", 6))
    assert told.there == {"web": "2"}


def test_an_object_that_is_being_deleted_is_gone(told: Told) -> None:
    told.ledger.see(route("1"))
    told.ledger.see(route("1", 2, deletionTimestamp=LATE, finalizers=["somebody.example/waits"]))
    assert told.there == {}
    told.ledger.compare("EdgeRoute", [route("1", 2, deletionTimestamp=LATE)], began=1)
    assert told.there == {}


def test_a_list_finds_ghosts_and_what_was_missed(told: Told) -> None:
    told.ledger.see(route("1", name="ghost"))
    told.ledger.see(route("2", name="same"))
    told.ledger.see(route("3", 3, name="changed"))
    told.ledger.see(route("4", name="replaced"))
    told.now = 1
    listed = [
        route("2", name="same"),
        route("3", 4, name="changed"),
        route("5", 5, name="replaced", born=LATE),
        route("6", name="new"),
    ]
    assert told.ledger.compare("EdgeRoute", listed, began=1) == Corrections(ghosts=1, missed=3)
    assert told.there == {"same": "2", "changed": "3", "replaced": "5", "new": "6"}
    assert told.ledger.compare("EdgeRoute", listed, began=1) == Corrections()


def test_a_list_does_not_bring_back_what_was_deleted_while_it_was_on_its_way(told: Told) -> None:
    told.ledger.see(route("1"))
    told.now = 1
    told.ledger.bury(route("1"))
    assert not told.ledger.compare("EdgeRoute", [route("1")], began=0.5)
    assert told.there == {}


def test_what_the_watch_told_after_the_list_began_counts_for_more(told: Told) -> None:
    told.now = 1
    told.ledger.see(route("1", 9, name="newer"))
    told.ledger.see(route("2", 10, name="not-listed"))
    assert not told.ledger.compare("EdgeRoute", [route("1", 8, name="newer")], began=0.5)
    assert told.there == {"newer": "1", "not-listed": "2"}


def test_a_list_of_one_kind_says_nothing_of_another(told: Told) -> None:
    told.ledger.see(route("1"))
    assert not told.ledger.compare("OriginService", [], began=1)
    assert told.there == {"web": "1"}


def test_the_dead_are_forgotten_in_time(told: Told) -> None:
    told.ledger.see(route("1"))
    told.ledger.bury(route("1"))
    told.ledger.forget(before=0)
    assert len(told.ledger._buried) == 1
    told.ledger.forget(before=1)
    assert not told.ledger._buried


@given(st.permutations([("see", 1), ("see", 2), ("bury", 2), ("see", 3), ("see", 4), ("bury", 4), ("see", 5)]))
def test_events_in_any_order_leave_the_one_that_lives(events: list[tuple[str, int]]) -> None:
    """Versions 1 and 2 are of the first uid, 3 and 4 of the second, 5 of the third, all within one second."""
    told = Told()
    uids = {1: "a", 2: "a", 3: "b", 4: "b", 5: "c"}
    for verb, version in events:
        getattr(told.ledger, verb)(route(uids[version], version))
    assert told.there == {"web": "c"}
