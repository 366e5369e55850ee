"""Which changes of conditions people should notice."""

from itertools import pairwise
from typing import Literal

import pytest

from edgerun.api.meta import Condition
from edgerun.api.originservice import OriginServiceStatus, Rollout
from edgerun.translate.events import Occurrence, occurrences, remembered, revised
from support.revisions import shares

Status = Literal["True", "False", "Unknown"]
Conditions = tuple[Condition, ...]


def accepted(status: Status = "True", reason: str = "Accepted", message: str = "", generation: int = 1) -> Condition:
    return Condition(type="Accepted", status=status, reason=reason, message=message, observed_generation=generation)


def ready(status: Status = "True", reason: str = "Ready", message: str = "", generation: int = 1) -> Condition:
    return Condition(type="Ready", status=status, reason=reason, message=message, observed_generation=generation)


WELL = (accepted(), ready())
PENDING = (accepted(), ready("False", "Pending", "0 of 1 proxies"))
DOWN = (accepted(), ready("False", "OriginNotReady", "no replica is ready of cart"))
INVALID = (accepted("False", "Invalid", "a bound"), ready("False", "Invalid", "a bound"))


def told(*states: Conditions) -> list[Occurrence]:
    """All that is told while an object goes through `states`, the first of which was there before."""
    before, found = states[0], []
    for after in states[1:]:
        found += occurrences(before, after)
        before = remembered(before, after)
    return found


def test_an_object_that_becomes_ready_is_told_once() -> None:
    assert told((), PENDING, WELL, WELL) == [Occurrence("Normal", "Ready", "Serving", "generation 1 is ready")]


@pytest.mark.parametrize("state", [(), WELL, PENDING, DOWN, INVALID])
def test_a_restart_at_which_nothing_changed_tells_nothing(state: Conditions) -> None:
    assert told(state, state) == []


def test_a_mistake_is_a_warning_with_its_words_and_not_told_twice_for_ready() -> None:
    assert told(WELL, INVALID) == [Occurrence("Warning", "Invalid", "Accepting", "a bound")]


def test_the_next_version_with_a_mistake_of_the_same_kind_is_told_again() -> None:
    again = (accepted("False", "Invalid", "another", generation=2), ready("False", "Invalid", "another", generation=2))
    assert [one.note for one in told(WELL, INVALID, again)] == ["a bound", "another"]


def test_other_words_for_the_same_reason_are_not() -> None:
    longer = (accepted(), ready("False", "OriginNotReady", "no replica is ready of cart, web"))
    assert [one.note for one in told(WELL, DOWN, longer)] == ["no replica is ready of cart"]


def test_what_passes_by_itself_is_not_told_and_neither_is_its_end() -> None:
    no_proxies = (accepted(), ready("False", "NoProxies"))
    starting = (accepted(), ready("Unknown", "Starting"))
    assert told(WELL, PENDING, no_proxies, starting, WELL) == []


def test_an_outage_and_its_end_are_told_though_something_pends_between() -> None:
    assert [(one.type, one.reason) for one in told(WELL, PENDING, DOWN, PENDING, WELL)] == [
        ("Warning", "OriginNotReady"),
        ("Normal", "Ready"),
    ]


def test_a_crash_that_repeats_between_starts_is_told_once() -> None:
    crashed = (accepted(), ready("False", "CrashLoopBackOff", "exit code 1"))
    starting = (accepted(), ready("Unknown", "Starting"))
    assert len(told(WELL, crashed, starting, crashed, starting, crashed)) == 1


def test_one_cause_after_another_is_told() -> None:
    missing = (accepted(), ready("False", "OriginNotFound", "cart"))
    assert [one.reason for one in told(WELL, DOWN, missing)] == ["OriginNotReady", "OriginNotFound"]


def test_a_rollout_is_told_when_it_begins_and_ends_and_not_at_each_step() -> None:
    steps = [("cart-00001 100",), ("cart-00001 99", "cart-00002 1"), ("cart-00001 9", "cart-00002 91")]
    states = [OriginServiceStatus(rollout=Rollout(shares=shares(*one))) for one in [*steps, ("cart-00002 100",)]]
    found = [[one.reason for one in revised(before, after)] for before, after in pairwise(states)]
    assert found == [["RolloutStarted"], [], ["RolloutFinished"]]


def test_a_rollout_that_is_rolled_back_does_not_finish() -> None:
    rolling = OriginServiceStatus(rollout=Rollout(shares=shares("cart-00001 99", "cart-00002 1")))
    back = OriginServiceStatus(rollout=Rollout(shares=shares("cart-00001 100")))
    assert [*revised(rolling, back)] == []
