"""Where the traffic of the latest revision is, look by look; `knative.json` has the answers of Knative's own code."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgerun.api.originservice import Rejected, Rollout
from edgerun.translate.revisions.revision import Revisions
from edgerun.translate.revisions.rollout import (
    TRIAL,
    Look,
    advanced,
    aim,
    due,
    on_trial,
    promoted,
    pruned,
    rolled_back,
)
from edgerun.translate.revisions.shares import Pace, pace
from support.revisions import START, STARTING, revision, revisions, shares, written

RECORDED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("knative.json").read_bytes())
MINUTE = timedelta(minutes=1)
ALL: Revisions = revisions("a", "b", "c")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def look(
    state: Rollout, goal: str, seconds: float, *, percent: int = 100, duration: timedelta = MINUTE, **seen: bool
) -> Rollout:
    return advanced(state, goal=goal, percent=percent, duration=duration, look=Look(now=at(seconds), **seen))


def settled(goal: str = "a") -> Rollout:
    return look(Rollout(), goal, 0)


def under_way() -> Rollout:
    """From `a` to `b`, with a pace."""
    return look(look(settled(), "b", 10), "b", 12)


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_every_share_and_every_moment_is_that_of_knative(number: int) -> None:
    duration, state, last = timedelta(seconds=RECORDED[number]["duration"]), Rollout(), (0, "")
    for step in RECORDED[number]["steps"]:
        if "acknowledged" not in step:
            last = step["percent"], step["goal"]
            state = look(state, last[1], step["at"], percent=last[0], duration=duration, acknowledged=False)
        elif state.rolling and state.next_step is None:
            state = look(state, last[1], step["at"], percent=last[0], duration=duration)
        moment = (state.next_step - START).total_seconds() if state.next_step else None
        assert (written(state.shares), moment) == (step["shares"], pytest.approx(step["next"], abs=1e-5)), step


@pytest.mark.parametrize(
    ("percent", "duration_s", "first_s", "want"),
    [
        (100, 300, 0.1, Pace(1, 299 / 99)),
        (100, 60, 1, Pace(2, 1.0)),
        (100, 10, 2, Pace(25, 2.0)),
        (100, 5, 4, Pace(99, 1.0)),
        (100, 5, 60, Pace(99, 1.0)),
        (2, 300, 1, Pace(1, 299.0)),
        (10, 14, -3600, Pace(1, 13 / 9)),
        (6, 3, 0, Pace(3, 1.0)),
    ],
)
def test_the_pace_comes_from_the_duration_and_from_how_long_the_first_percent_took(
    percent: int, duration_s: float, first_s: float, want: Pace
) -> None:
    assert pace(percent, duration_s=duration_s, first_s=first_s) == want


def test_the_first_revision_gets_everything_at_once() -> None:
    state = settled()
    assert written(state.shares) == ["a 100"]
    assert due(state, START) is None
    assert on_trial(state, START) == ()


def test_the_second_one_gets_one_percent_until_all_proxies_serve_that() -> None:
    state = look(settled(), "b", 10)
    for seconds in (11, 500):
        state = look(state, "b", seconds, acknowledged=False)
        assert written(state.shares) == ["a 99", "b 1"]
        assert due(state, at(seconds)) is None


def test_when_the_duration_is_over_it_has_everything() -> None:
    state, last = look(look(settled(), "b", 10), "b", 11, duration=5 * MINUTE), START
    while state.next_step:
        last = state.next_step
        state = look(state, "b", (last - START).total_seconds(), duration=5 * MINUTE)
    assert written(state.shares) == ["b 100"]
    assert (last - at(10)).total_seconds() == pytest.approx(300, abs=0.001)
    assert state.previous == "a"


def test_without_a_duration_it_gets_everything_at_once_and_is_on_trial() -> None:
    state = look(settled(), "b", 10, duration=timedelta())
    assert written(state.shares) == ["b 100"]
    assert on_trial(state, at(10)) == ("b",)
    assert due(state, at(10)) == at(10) + TRIAL
    assert on_trial(state, at(10) + TRIAL) == ()


def test_a_duration_that_is_taken_away_ends_the_rollout() -> None:
    assert written(look(under_way(), "b", 13, duration=timedelta()).shares) == ["b 100"]


def test_an_hour_without_a_look_is_one_step() -> None:
    before = under_way()
    after = look(before, "b", 3_600)
    assert after.shares[-1].percent - before.shares[-1].percent == before.step_percent
    assert after.next_step == at(3_600) + timedelta(seconds=before.step_seconds)


def test_a_clock_that_goes_back_an_hour_costs_no_more_than_a_step() -> None:
    before = under_way()
    after = look(before, "b", -3_600)
    assert after.shares == before.shares
    assert after.next_step == at(-3_600) + timedelta(seconds=before.step_seconds)


def test_it_waits_while_the_new_one_is_not_ready() -> None:
    before = under_way()
    waiting = look(before, "b", 100, ready=False)
    assert waiting == before
    assert look(waiting, "b", 101).shares != before.shares


def test_what_comes_in_between_is_put_on_top() -> None:
    state = look(look(under_way(), "b", 20), "c", 21)
    assert written(state.shares) == ["a 96", "b 3", "c 1"]
    state = look(look(state, "c", 22), "c", 30)
    assert written(state.shares) == ["a 96", "b 1", "c 3"]
    assert on_trial(state, at(30)) == ("b", "c")


def test_looking_again_at_the_same_moment_changes_nothing() -> None:
    for state in (settled(), look(settled(), "b", 10), under_way(), look(under_way(), "b", 20)):
        goal = state.goal
        once = look(state, goal, 20, acknowledged=False)
        assert look(once, goal, 20, acknowledged=False) == once


def test_without_a_share_of_its_own_nothing_is_rolled_out_and_the_goal_is_known() -> None:
    state = look(under_way(), "c", 20, percent=0)
    assert state == Rollout(goal="c")


def test_an_older_one_of_the_rollout_goes_on_from_what_it_has() -> None:
    state = look(look(under_way(), "b", 20), "a", 21)
    assert written(state.shares) == ["b 4", "a 96"]


def test_a_rollback_gives_everything_to_the_one_before_for_good() -> None:
    state = rolled_back(under_way(), "b", ALL, message="it failed", now=at(20))
    assert written(state.shares) == ["a 100"]
    assert state.rejected == (Rejected(revision_name="b", message="it failed", at=at(20)),)
    assert aim(state, ALL, "b") == "a"
    assert look(state, aim(state, ALL, "b"), 21) == state


def test_a_rollback_from_the_newest_of_three_goes_on_with_the_second() -> None:
    stacked = look(look(under_way(), "b", 20), "c", 21)
    state = rolled_back(stacked, "c", ALL, message="", now=at(22))
    assert (state.goal, written(state.shares)) == ("b", ["a 96", "b 4"])
    assert look(look(state, "b", 23), "b", 60).shares[-1].percent > 4


def test_a_rollback_from_the_second_of_three_leaves_the_newest_alone() -> None:
    stacked = look(look(look(under_way(), "b", 20), "c", 21), "c", 22)
    state = rolled_back(stacked, "b", ALL, message="", now=at(22))
    assert (state.goal, written(state.shares), state.next_step) == ("c", ["a 99", "c 1"], stacked.next_step)


def test_after_the_last_step_the_one_before_takes_it_back_as_long_as_it_is_there() -> None:
    state = look(settled(), "b", 10, duration=timedelta())
    assert written(rolled_back(state, "b", ALL, message="", now=at(11)).shares) == ["a 100"]
    assert rolled_back(state, "b", revisions("b"), message="", now=at(11)) == state


def test_who_is_alone_is_not_rolled_back_from() -> None:
    assert rolled_back(settled(), "a", ALL, message="", now=at(1)) == settled()


def test_a_promotion_ends_rollout_and_trial_and_forgives() -> None:
    state = promoted(under_way(), "b")
    assert (written(state.shares), state.previous, on_trial(state, at(12))) == (["b 100"], "a", ())
    undone = rolled_back(under_way(), "b", ALL, message="", now=at(12))
    assert promoted(undone, "b") == state
    assert promoted(state, "b") == state


def test_what_is_deleted_leaves_its_share_to_its_neighbour_or_the_heir() -> None:
    assert written(pruned(under_way(), revisions("a"), "a").shares) == ["a 100"]
    assert written(pruned(under_way(), revisions("b"), "b").shares) == ["b 100"]
    orphaned = pruned(under_way(), revisions("c"), "c")
    assert (written(orphaned.shares), orphaned.goal, orphaned.next_step) == (["c 100"], "c", None)
    assert pruned(under_way(), {}, "") == Rollout()
    assert pruned(under_way(), ALL, "c") == under_way()


def test_a_latest_one_that_is_not_ready_now_is_not_begun_with() -> None:
    there = revisions("a", revision("b", phase=STARTING, proven=True))
    assert aim(settled(), there, "b") == "a"
    assert aim(under_way(), there, "b") == "b"
    assert aim(Rollout(), there, "b") == "b"


def test_who_was_rolled_back_from_is_not_aimed_at_even_when_nothing_else_has_traffic() -> None:
    rejected = Rollout(goal="b", rejected=(Rejected(revision_name="b"),))
    assert aim(rejected, revisions("a", "b"), "b") == "a"
    assert aim(rejected, revisions("b"), "b") == "b"


def test_shares_that_shrink_do_so_from_the_oldest() -> None:
    state = look(look(under_way(), "b", 20), "c", 21)
    assert written(look(state, "c", 21, percent=5, acknowledged=False).shares) == ["a 1", "b 3", "c 1"]
    assert written(look(state, "c", 21, percent=1).shares) == ["c 1"]
    assert written(look(under_way(), "b", 12, percent=50).shares) == ["a 49", "b 1"]
    assert written(look(look(settled(), "a", 1, percent=50), "a", 2, percent=70).shares) == ["a 70"]


def test_three_that_become_fewer_than_their_own_percents_keep_the_goal() -> None:
    state = Rollout(goal="c", shares=shares("a 40", "b 40", "c 20"))
    assert written(look(state, "c", 1, percent=10, acknowledged=False).shares) == ["c 10"]
