"""The whole of it, one look after the other, as whoever wires it would call it."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from edgerun.translate.phases import OriginPhase
from edgerun.translate.revisions.follow import Outcome, Wish, follow
from edgerun.translate.revisions.judgement import Order, Verb
from edgerun.translate.revisions.memory import Memory, Tagged
from edgerun.translate.revisions.replicas import Role
from edgerun.translate.revisions.revision import Revision
from edgerun.translate.revisions.trial import Tally, counted
from support.revisions import FAILED, READY, START, STARTING, facts, latest, pinned, revision, wish, written

MINUTE = timedelta(minutes=1)


@dataclass
class Life:
    """An OriginService that lives: what `follow` wants is done at once, and remembered."""

    there: dict[str, Revision] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    seconds: float = 0.0

    def look(self, wanted: Wish, after: float = 0.0, **others: Any) -> Outcome:
        self.seconds += after
        found = follow(wanted, facts(*self.there.values(), after=self.seconds, **others), self.memory)
        self.memory = found.memory
        self.there = {one.name: one for one in found.revisions if one.name not in found.collected}
        if found.made:
            self.there[found.made.name] = found.made
        return found

    def becomes(self, name: str, phase: OriginPhase) -> None:
        self.there[name] = replace(self.there[name], phase=phase, reason="CrashLoopBackOff", message="exit code 1")

    def deploy(self, wanted: Wish) -> Outcome:
        """Until the new revision is ready, and has what it gets at once."""
        made = self.look(wanted).made
        assert made
        self.becomes(made.name, READY)
        return self.look(wanted)


def roles(found: Outcome) -> dict[str, tuple[str, int]]:
    return {one.revision_name: (str(one.role), one.least) for one in found.needs}


def test_a_first_revision_is_made_started_and_given_all_traffic_when_it_is_ready() -> None:
    life, wanted = Life(), wish("one")
    found = life.look(wanted)
    assert found.made
    assert (found.made.name, found.made.number) == ("cart-00001", 1)
    assert (found.assignment.weights, found.memory.number) == ((), 0)
    found = life.look(wanted)
    assert found.made is None
    assert roles(found) == {"cart-00001": (Role.STARTING, 1)}
    assert found.routed
    assert not found.routed.failed
    life.becomes("cart-00001", READY)
    found = life.look(wanted)
    assert written(found.assignment.weights) == ["cart-00001 100"]
    assert (found.routed, found.problems, roles(found)["cart-00001"]) == (None, (), (Role.ROUTED, 1))


def test_a_revision_that_fails_never_takes_traffic() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.look(wish("bad"))
    life.becomes("cart-00002", FAILED)
    found = life.look(wish("bad"))
    assert written(found.assignment.weights) == ["cart-00001 100"]
    assert roles(found) == {"cart-00001": (Role.ROUTED, 1), "cart-00002": (Role.STARTING, 1)}
    life.deploy(wish("good"))
    found = life.look(wish("good"))
    assert written(found.assignment.weights) == ["cart-00003 100"]
    assert roles(found)["cart-00002"] == (Role.IDLE, 0)


def test_only_the_template_makes_a_revision() -> None:
    life = Life()
    life.deploy(wish("one"))
    for changed in (wish("one", min_scale=3), wish("one", duration=MINUTE), wish("one", targets=(latest(100, "now"),))):
        assert life.look(changed).made is None


def test_a_rollback_is_one_edit_of_traffic_and_waits_for_the_old_revision() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.deploy(wish("two"))
    life.becomes("cart-00001", STARTING)  # it has no replica any more
    back = wish("two", targets=(pinned("cart-00001", 100),))
    found = life.look(back)
    assert written(found.assignment.weights) == ["cart-00002 100"]
    assert found.routed
    assert found.routed.reason == "RevisionNotReady"
    assert roles(found) == {"cart-00001": (Role.STARTING, 1), "cart-00002": (Role.ROUTED, 1)}
    life.becomes("cart-00001", READY)
    found = life.look(back, draining={"cart-00002"})
    assert written(found.assignment.weights) == ["cart-00001 100"]
    assert roles(found) == {"cart-00001": (Role.ROUTED, 1), "cart-00002": (Role.DRAINING, 1)}
    assert roles(life.look(back))["cart-00002"] == (Role.IDLE, 0)


@pytest.mark.parametrize(
    "targets", [(pinned("cart-00009", 100),), (latest(99),), (latest(50), pinned("cart-00003", 50, "next"))]
)
def test_traffic_that_cannot_be_put_into_effect_leaves_it_as_it_was(targets: Any) -> None:
    life, split = Life(), (latest(90), pinned("cart-00001", 10, "stable"))
    life.deploy(wish("one"))
    life.deploy(wish("two"))
    before = life.look(wish("two", targets=split))
    life.look(wish("three", targets=split))
    assert "cart-00003" in life.there
    life.becomes("cart-00003", STARTING if len(targets) == 2 else READY)
    found = life.look(wish("three", targets=targets))
    assert found.assignment == before.assignment
    assert found.routed or found.problems
    assert found.memory.traffic == split


def test_a_rollout_goes_from_one_percent_to_all_and_keeps_the_old_replicas_for_its_trial() -> None:
    life = Life()
    careful = {"duration": MINUTE, "max_error_percent": 1.0}
    life.deploy(wish("one", **careful))
    found = life.deploy(wish("two", **careful))
    assert written(found.assignment.weights) == ["cart-00001 99", "cart-00002 1"]
    while life.memory.rollout.rolling:
        found = life.look(wish("two", **careful), after=1)
    assert written(found.assignment.weights) == ["cart-00002 100"]
    assert roles(found)["cart-00001"] == (Role.RESERVE, 1)
    assert found.again == START + timedelta(seconds=life.seconds) + timedelta(minutes=5)
    assert roles(life.look(wish("two", **careful), after=300))["cart-00001"] == (Role.IDLE, 0)


def test_too_many_errors_roll_back_and_the_revision_gets_nothing_until_the_next_one() -> None:
    life = Life()
    careful = {"duration": MINUTE, "max_error_percent": 1.0}
    life.deploy(wish("one", **careful))
    life.deploy(wish("two", **careful))
    found = life.look(wish("two", **careful), window=counted((), START, {"cart-00002": Tally(100, 50)}))
    assert written(found.assignment.weights) == ["cart-00001 100"]
    assert found.rolled_back
    assert found.memory.latest_ready_revision_name == "cart-00002"
    found = life.look(wish("two", **careful), after=3_600)
    assert written(found.assignment.weights) == ["cart-00001 100"]
    assert found.rolled_back
    found = life.deploy(wish("three", **careful))
    assert written(found.assignment.weights) == ["cart-00001 99", "cart-00003 1"]
    assert found.rolled_back is None


def test_it_rolls_back_also_while_a_new_traffic_cannot_be_put_into_effect() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.deploy(wish("two", duration=MINUTE))
    order = Order(Verb.UNDO, "cart-00002")
    found = life.look(wish("two", targets=(pinned("cart-00009", 100),), order=order))
    assert written(found.assignment.weights) == ["cart-00001 100"]


def test_a_promotion_is_at_once() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.deploy(wish("two", duration=MINUTE))
    promoting = wish("two", duration=MINUTE, order=Order(Verb.PROMOTE, "cart-00002"))
    assert written(life.look(promoting).assignment.weights) == ["cart-00002 100"]
    assert life.look(promoting, after=60).assignment.weights == life.look(promoting).assignment.weights


def test_a_revision_that_was_undone_is_promoted_as_soon_as_it_can_take_the_traffic() -> None:
    life, name = Life(), "cart-00002"
    life.deploy(wish("one"))
    life.deploy(wish("two"))
    life.look(wish("two", order=Order(Verb.UNDO, name)))
    life.becomes(name, STARTING)
    promote = wish("two", order=Order(Verb.PROMOTE, name))
    found = life.look(promote)
    assert roles(found)[name] == (Role.STARTING, 1)
    assert written(found.assignment.weights) == ["cart-00001 100"]
    life.becomes(name, READY)
    assert written(life.look(promote).assignment.weights) == ["cart-00002 100"]
    assert roles(life.look(promote))[name] == (Role.ROUTED, 1)


def test_a_revision_is_undone_as_soon_as_the_one_before_can_take_its_traffic() -> None:
    life, undo = Life(), wish("two", order=Order(Verb.UNDO, "cart-00002"))
    life.deploy(wish("one"))
    life.deploy(wish("two"))
    assert roles(life.look(wish("two")))["cart-00001"] == (Role.IDLE, 0)
    life.becomes("cart-00001", STARTING)
    found = life.look(undo)
    assert written(found.assignment.weights) == ["cart-00002 100"]
    assert roles(found)["cart-00001"] == (Role.STARTING, 1)
    life.becomes("cart-00001", READY)
    assert written(life.look(undo).assignment.weights) == ["cart-00001 100"]


def test_undo_after_an_undo_goes_to_the_newest_of_those_before_that_was_ready_once() -> None:
    life = Life()
    life.deploy(wish("zero"))
    life.deploy(wish("one"))
    life.look(wish("bad"))  # never ready
    life.deploy(wish("two"))
    life.deploy(wish("three"))
    life.look(wish("three", order=Order(Verb.UNDO, "cart-00005")))
    life.becomes("cart-00002", STARTING)
    again = wish("three", order=Order(Verb.UNDO, "cart-00004"))
    found = life.look(again)
    assert written(found.assignment.weights) == ["cart-00004 100"]
    assert roles(found)["cart-00002"] == (Role.STARTING, 1)
    life.becomes("cart-00002", READY)
    assert written(life.look(again).assignment.weights) == ["cart-00002 100"]
    assert written(life.look(again).assignment.weights) == ["cart-00002 100"]


def test_traffic_that_comes_back_to_the_latest_revision_waits_for_it() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.deploy(wish("two"))
    life.look(wish("two", targets=(pinned("cart-00001", 100),)))
    life.becomes("cart-00002", STARTING)  # it has no replica any more
    found = life.look(wish("two"))
    assert written(found.assignment.weights) == ["cart-00001 100"]
    assert roles(found)["cart-00002"] == (Role.STARTING, 1)
    life.becomes("cart-00002", READY)
    assert written(life.look(wish("two")).assignment.weights) == ["cart-00002 100"]


def test_a_tag_of_the_latest_revision_leads_to_it_at_once_though_it_sleeps_and_another_had_all_traffic() -> None:
    life = Life()
    life.deploy(wish("one"))
    lost = wish("two", targets=(pinned("cart-00009", 50), latest(50)))
    life.deploy(lost)
    life.becomes("cart-00002", STARTING)  # it has no replica any more
    assert written(life.look(lost).assignment.weights) == ["cart-00001 100"]
    found = life.look(wish("two", targets=(pinned("cart-00001", 100), latest(0, "green"))))
    assert found.assignment.tags == (Tagged(tag="green", revision_name="cart-00002"),)
    assert roles(found)["cart-00002"] == (Role.TAGGED, 1)


def test_the_part_of_a_deleted_revision_goes_to_the_latest_ready_one() -> None:
    life, split = Life(), (latest(90), pinned("cart-00001", 10, "stable"))
    life.deploy(wish("one"))
    life.deploy(wish("two"))
    life.look(wish("two", targets=split))
    del life.there["cart-00001"]
    found = life.look(wish("two", targets=split))
    assert written(found.assignment.weights) == ["cart-00002 100"]
    assert found.assignment.tags == ()
    assert found.routed
    assert found.routed.reason == "RevisionMissing"


def test_a_deleted_latest_revision_is_made_anew_under_the_next_name_and_a_successor_serves() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.deploy(wish("two"))
    del life.there["cart-00002"]
    found = life.look(wish("two"))
    assert written(found.assignment.weights) == ["cart-00001 100"]
    assert found.made
    assert found.made.name == "cart-00003"


def test_when_all_revisions_are_deleted_nothing_dangles() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.there.clear()
    found = life.look(wish("one"))
    assert (found.assignment.weights, found.assignment.tags) == ((), ())
    assert found.made
    assert found.made.name == "cart-00002"


def test_a_given_name_whose_template_comes_back_when_nobody_runs_it_any_more_is_started_before_it_gets_traffic() -> (
    None
):
    life, blue = Life(), wish("one", name="cart-blue")
    life.deploy(blue)
    life.deploy(wish("two", name="cart-green"))
    life.becomes("cart-blue", OriginPhase.PENDING)
    found = life.look(blue)
    assert written(found.assignment.weights) == ["cart-green 100"]
    assert roles(found)["cart-blue"] == (Role.STARTING, 1)
    life.becomes("cart-blue", READY)
    assert written(life.look(blue).assignment.weights) == ["cart-blue 100"]


def test_a_revision_of_a_given_name_that_is_made_again_has_to_become_ready_again() -> None:
    life, blue = Life(), wish("one", name="cart-blue", targets=(pinned("cart-blue", 100),))
    life.deploy(blue)
    del life.there["cart-blue"]
    found = life.look(blue)
    assert (found.made, found.again) == (None, START)  # before what it had is forgotten
    found = life.look(blue)
    assert found.made
    assert found.made.name == "cart-blue"
    found = life.look(blue)
    assert found.assignment.weights == ()
    assert not life.there["cart-blue"].proven


def test_what_was_routed_counts_as_proven_though_nobody_wrote_it_down() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.there["cart-00001"] = replace(life.there["cart-00001"], proven=False, phase=STARTING)
    found = life.look(wish("one"))
    assert written(found.assignment.weights) == ["cart-00001 100"]
    assert found.revisions[0].proven


def test_since_when_a_revision_is_idle_is_noted_once_and_forgotten_when_it_is_used_again() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.deploy(wish("two", order=Order(Verb.PROMOTE, "cart-00002")))
    promoted = wish("two", order=Order(Verb.PROMOTE, "cart-00002"))
    life.look(promoted, after=5)
    idle_since = life.there["cart-00001"].last_active
    assert idle_since
    life.look(promoted, after=50)
    assert life.there["cart-00001"].last_active == idle_since
    life.look(wish("two", targets=(latest(), pinned("cart-00001", 0, "old"))))
    assert life.there["cart-00001"].last_active is None


def test_what_is_old_and_idle_is_collected_and_its_number_is_not_given_out_again() -> None:
    life = Life()
    for number in range(30):
        life.deploy(wish(f"image-{number}"))
    for _ in range(3):
        life.look(wish("image-29"), after=3 * 86_400)
    assert len(life.there) == 21
    assert "cart-00030" in life.there
    life.there = {"cart-00030": life.there["cart-00030"]}
    assert life.deploy(wish("next")).memory.latest_ready_revision_name == "cart-00031"


def test_a_mistake_in_the_name_changes_nothing() -> None:
    life = Life()
    life.deploy(wish("one", name="cart-blue"))
    before = life.look(wish("one", name="cart-blue"))
    found = life.look(wish("two", name="cart-blue"))
    assert [one.field for one in found.problems] == ["spec.template.metadata.name"]
    assert replace(found, problems=()) == before


def test_the_memory_survives_being_written_as_json() -> None:
    life = Life()
    life.deploy(wish("one"))
    life.deploy(wish("two", duration=MINUTE))
    life.look(wish("two", duration=MINUTE), after=1.25)
    document = msgspec.json.encode(life.memory)
    assert msgspec.json.decode(document, type=Memory) == life.memory
    assert b'"nextStep":"2026-01-01T12:00:0' in document


def test_another_order_of_what_there_is_makes_no_difference() -> None:
    there = [revision("cart-00001", image="one"), revision("cart-00002", image="two"), revision("cart-blue", number=3)]
    wanted, memory = wish("two", targets=(latest(50, "a"), pinned("cart-blue", 50, "b"))), Memory(number=3)
    one, other = facts(*there), replace(facts(*there), revisions=tuple(reversed(facts(*there).revisions)))
    assert follow(wanted, one, memory) == follow(wanted, other, memory)
