"""Least and most pods, and the way to zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.autoscale.bounds import Bounds, bounded, enough, minimum
from edgerun.autoscale.zero import Activity, Rules, Situation, Verdict, activity, to_zero

S = 10**9
ACTIVATING, ACTIVE, INACTIVE = Activity.ACTIVATING, Activity.ACTIVE, Activity.INACTIVE
GO, STAY = Verdict(wanted=0, applied=True), Verdict(wanted=0, applied=False)


def decided(desired: int | None, bounds: Bounds, **situation: bool) -> int | None:
    return bounded(desired, bounds, **{"reachable": True, "initialized": True, "activating": False, **situation})


def test_least_and_most_pods() -> None:
    bounds = Bounds(min_scale=2, max_scale=5)
    assert [decided(desired, bounds) for desired in (0, 2, 3, 5, 9)] == [2, 2, 3, 5, 5]
    assert decided(10**6, Bounds()) == 10**6


def test_a_revision_that_nobody_reaches_needs_no_least_number() -> None:
    bounds = Bounds(min_scale=2, max_scale=5, initial_scale=4)
    assert decided(0, bounds, reachable=False) == 0
    assert decided(9, bounds, reachable=False) == 5


def test_the_initial_scale_is_a_least_number_until_it_is_reached() -> None:
    bounds = Bounds(min_scale=2, initial_scale=4)
    assert decided(0, bounds, initialized=False) == 4
    assert decided(9, bounds, initialized=False) == 9
    assert decided(0, bounds) == 2
    assert decided(0, Bounds(min_scale=7, initial_scale=4), initialized=False) == 7
    assert decided(0, Bounds(), initialized=False) == 0, "an initial scale of one is none"


def test_the_least_number_wins_over_the_most() -> None:
    assert decided(0, Bounds(max_scale=3, initial_scale=5), initialized=False) == 5
    assert decided(6, Bounds(max_scale=3, initial_scale=5), initialized=False) == 5


def test_what_is_not_known_stays_so_unless_pods_are_waited_for() -> None:
    assert decided(None, Bounds(min_scale=2)) is None
    assert decided(None, Bounds(min_scale=2), activating=True) == 2
    assert decided(None, Bounds(), activating=True) == 0


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.booleans(), st.booleans())
def test_what_is_bounded_is_within_its_bounds(
    desired: int, least: int, most: int, initial: int, reachable: bool, initialized: bool
) -> None:
    bounds = Bounds(min_scale=least, max_scale=most, initial_scale=initial)
    pods = bounded(desired, bounds, reachable=reachable, initialized=initialized, activating=False)
    floor = minimum(bounds, reachable=reachable, initialized=initialized)
    assert pods is not None
    assert pods >= floor
    assert pods <= max(most, floor) or not most


def test_a_revision_is_active_when_its_least_number_is_ready() -> None:
    assert enough(Bounds(), reachable=True, initialized=True) == 1
    assert enough(Bounds(min_scale=3), reachable=True, initialized=True) == 3
    assert enough(Bounds(min_scale=3), reachable=False, initialized=True) == 1
    assert enough(Bounds(min_scale=3, initial_scale=5), reachable=True, initialized=False) == 5
    assert enough(Bounds(initial_scale=0), reachable=True, initialized=False) == 0


@pytest.mark.parametrize(
    ("wanted", "ready", "least", "before", "after"),
    [
        (0, 5, 1, ACTIVE, INACTIVE),
        (0, 0, 1, ACTIVATING, INACTIVE),
        (3, 0, 1, INACTIVE, ACTIVATING),
        (3, 1, 1, INACTIVE, ACTIVE),
        (3, 2, 3, ACTIVE, ACTIVATING),
        (None, 0, 1, INACTIVE, INACTIVE),
        (None, 0, 1, ACTIVATING, ACTIVATING),
        (None, 0, 1, ACTIVE, ACTIVATING),
        (None, 1, 1, INACTIVE, INACTIVE),
        (None, 1, 1, ACTIVATING, ACTIVE),
        (None, 1, 1, ACTIVE, ACTIVE),
        (None, 0, 0, ACTIVATING, INACTIVE),
        (None, 0, 0, ACTIVE, INACTIVE),
    ],
)
def test_what_a_revision_is(wanted: int | None, ready: int, least: int, before: Activity, after: Activity) -> None:
    assert activity(before, wanted=wanted, ready=ready, enough=least) is after


def situation(activity: Activity, for_s: float, holding_s: float | None = None, *, reachable: bool = True) -> Situation:
    holding_ns = None if holding_s is None else round(holding_s * S)
    return Situation(activity=activity, for_ns=round(for_s * S), holding_ns=holding_ns, reachable=reachable)


def test_one_pod_stays_where_zero_is_not_wanted() -> None:
    rules = Rules(enabled=False)
    assert all(to_zero(rules, situation(each, 10**6, 10**6)) == Verdict(wanted=1, applied=True) for each in Activity)


def test_a_revision_is_active_for_a_whole_window_before_it_becomes_inactive() -> None:
    assert to_zero(Rules(), situation(ACTIVE, 45)) == Verdict(wanted=1, applied=True, again_ns=15 * S)
    assert to_zero(Rules(), situation(ACTIVE, 60)) == STAY


def test_the_last_pod_goes_when_the_edge_holds_requests_and_has_had_time_to() -> None:
    assert to_zero(Rules(), situation(INACTIVE, 1000)) == STAY
    assert to_zero(Rules(), situation(INACTIVE, 10, 10)) == Verdict(wanted=0, applied=False, again_ns=20 * S)
    assert to_zero(Rules(), situation(INACTIVE, 10, 30)) == GO
    assert to_zero(Rules(), situation(INACTIVE, 30, 1)) == GO


def test_the_last_pod_stays_for_as_long_as_somebody_asked_for() -> None:
    rules = Rules(retention_ns=300 * S)
    assert to_zero(rules, situation(INACTIVE, 100, 100)) == Verdict(wanted=0, applied=False, again_ns=200 * S)
    assert to_zero(rules, situation(INACTIVE, 300, 100)) == GO
    assert to_zero(rules, situation(INACTIVE, 100, 100, reachable=False)) == GO
    assert to_zero(Rules(retention_ns=10 * S), situation(INACTIVE, 10, 30)) == GO
    briefly = Rules(retention_ns=5 * S)
    assert to_zero(briefly, situation(INACTIVE, 10, 10)) == Verdict(wanted=0, applied=False, again_ns=20 * S)


def test_a_revision_that_does_not_become_active_is_given_up() -> None:
    assert to_zero(Rules(), situation(ACTIVATING, 630)) == Verdict(wanted=None, applied=False, again_ns=630 * S)
    assert to_zero(Rules(), situation(ACTIVATING, 630.1)) == GO
