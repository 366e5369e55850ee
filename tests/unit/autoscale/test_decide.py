"""The decision, by the vectors that Knative's own tests have, by properties, and against a slow model of it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.autoscale.decide import Decision, Mode, Spec, State, Tick, decide, initial
from support import kpa

SPEC = Spec(target=10.0, total=20.0, target_burst_capacity=0.0, max_scale_up_rate=10.0, max_scale_down_rate=10.0)
STABLE, PANIC = Mode.STABLE, Mode.PANIC
MINUTES = 60.0


def tick(at_s: float, ready: int, stable: float | None, panic: float | None) -> Tick:
    return Tick(at_ns=round(at_s * 1e9), ready=ready, stable=stable, panic=panic)


def run(spec: Spec, state: State, *ticks: Tick) -> Iterator[Decision]:
    for seen in ticks:
        decision, state = decide(spec, state, seen)
        yield decision


def pods(spec: Spec, *ticks: Tick, state: State | None = None) -> list[int]:
    return [decision.desired for decision in run(spec, state or initial(1), *ticks)]


def targeting(target: float) -> Spec:
    return replace(SPEC, target=target)


def test_the_larger_average_counts_when_it_calls_for_panic() -> None:
    assert pods(SPEC, tick(2, 1, 50, 10)) == [5]
    assert pods(SPEC, tick(2, 1, 100, 10)) == [10]
    assert pods(SPEC, tick(2, 1, 10, 100)) == [10]


def test_a_load_that_is_high_but_below_the_threshold_does_not_prolong_panic() -> None:
    ticks = tick(0, 10, 11, 25), tick(30, 40, 30, 41), tick(62, 55, 50, 56)
    decisions = list(run(targeting(1), initial(1), *ticks))
    assert [decision.desired for decision in decisions] == [25, 41, 50]
    assert [decision.mode for decision in decisions] == [PANIC, PANIC, STABLE]


def test_a_load_above_the_threshold_prolongs_panic() -> None:
    assert pods(targeting(1), tick(0, 10, 11, 25), tick(30, 40, 30, 80), tick(89, 80, 1, 1)) == [25, 80, 80]


def test_panic_is_over_after_more_than_one_stable_window() -> None:
    ticks = tick(0, 1, 100, 100), tick(1, 10, 100, 1000), tick(31, 10, 1, 1), tick(61, 10, 1, 1), tick(62, 10, 1, 1)
    decisions = list(run(SPEC, initial(1), *ticks))
    assert [decision.desired for decision in decisions] == [10, 100, 100, 100, 1]
    assert [decision.mode for decision in decisions] == [PANIC, PANIC, PANIC, PANIC, STABLE]


def test_a_load_that_grows_exponentially_is_followed_and_then_held() -> None:
    loads = (6, 36, 216, 1296, 1000, 10)
    ready = (1, 6, 36, 216, 1296, 1296)
    ticks = (tick(2 * n, pods, load, load) for n, (pods, load) in enumerate(zip(ready, loads, strict=True)))
    assert pods(targeting(1), *ticks) == [6, 36, 216, 1296, 1296, 1296]


def test_a_load_below_what_is_ready_scales_down() -> None:
    assert pods(SPEC, tick(0, 8, 100, 100), tick(2, 8, 50, 50)) == [10, 5]


def test_one_tick_scales_up_by_no_more_than_the_rate() -> None:
    assert pods(SPEC, tick(0, 1, 1000, 1001), tick(2, 10, 1000, 1001)) == [10, 100]
    assert pods(replace(targeting(1), max_scale_up_rate=1.1), tick(0, 2, 3, 3.1)) == [3]


def test_one_tick_scales_down_by_no_more_than_the_rate() -> None:
    assert pods(SPEC, tick(0, 100, 1, 1), tick(2, 10, 1, 1)) == [10, 1]
    slowly = replace(SPEC, max_scale_down_rate=1.1)
    assert pods(slowly, tick(0, 100, 1, 1)) == [90]
    assert pods(replace(slowly, reachable=False), tick(0, 100, 1, 1)) == [1]


def test_one_pod_can_always_go_to_zero() -> None:
    assert pods(replace(SPEC, max_scale_down_rate=1.01), tick(0, 1, 0, 0)) == [0]
    assert pods(replace(SPEC, max_scale_down_rate=1.0), tick(0, 1, 0, 0)) == [1], "but for a rate that is none"


def test_in_panic_the_stable_average_may_be_the_larger_one() -> None:
    panicking = State(panic_ns=0, floor=5)
    assert pods(targeting(1), tick(5, 5, 50, 30), state=panicking) == [50]
    assert pods(targeting(1), tick(5, 5, 20, 30), state=panicking) == [30]


def test_what_is_there_stays_when_the_autoscaler_begins_with_more_than_one_pod() -> None:
    ticks = tick(2, 4, 0, 0), tick(60, 4, 0, 0), tick(60.1, 4, 0, 0)
    assert pods(SPEC, *ticks, state=initial(4)) == [4, 4, 0]
    assert pods(SPEC, *ticks, state=initial(1)) == [0, 0, 0]


@pytest.mark.parametrize(
    ("capacity", "ready", "panic", "excess"),
    [
        (100, 1, 0, -80),
        (100, 0, 888, -988),
        (0.5, 3, 0.25, 59),
        (-1, 7, 500, -1),
        (0, 7, 500, 0),
        (1e12, 1, 0, -(2**31)),
    ],
)
def test_excess_burst_capacity(capacity: float, ready: int, panic: float, excess: int) -> None:
    spec = replace(SPEC, target_burst_capacity=capacity)
    [decision] = run(spec, initial(0), tick(0, ready, 0, panic))
    assert decision.excess_burst_capacity == excess


def test_activation_scale_holds_for_every_load_but_none() -> None:
    spec = replace(SPEC, activation_scale=2)
    assert pods(spec, tick(0, 1, 0, 0)) == [0]
    assert pods(spec, tick(0, 1, 0.1, 0.1)) == [2]
    assert pods(spec, tick(0, 1, 25, 25)) == [3]
    assert pods(replace(spec, activation_scale=50), tick(0, 0, 1, 1)) == [50], "beyond the rate, too"


def test_scale_down_waits_for_the_delay() -> None:
    spec = replace(SPEC, scale_down_delay_ns=300 * 10**9, panic_threshold=100.0)
    loads = {2: 40, 300: 0, 302: 0, 540: 40, 600: 30, 660: 0, 840: 0, 900: 0}
    assert pods(spec, *(tick(at, 0, load, load) for at, load in loads.items())) == [4, 4, 0, 4, 4, 4, 3, 0]


def test_of_two_decisions_within_two_seconds_the_larger_one_counts_when_there_is_a_delay() -> None:
    ticks = tick(2.0, 1, 20, 0), tick(3.9, 1, 10, 0)
    assert pods(replace(SPEC, scale_down_delay_ns=1), *ticks) == [2, 2]
    assert pods(SPEC, *ticks) == [2, 1]


def test_a_revision_that_nobody_reaches_does_not_wait_for_the_delay() -> None:
    spec = replace(SPEC, scale_down_delay_ns=300 * 10**9)
    ticks = tick(2, 4, 40, 40), tick(4, 4, 0, 0)
    assert pods(spec, *ticks) == [4, 4]
    assert pods(replace(spec, reachable=False), *ticks) == [4, 0]


def test_a_delay_that_is_taken_away_holds_nothing_back() -> None:
    spec = replace(SPEC, scale_down_delay_ns=300 * 10**9)
    _, state = decide(spec, initial(1), tick(2, 4, 40, 40))
    _, state = decide(SPEC, state, tick(4, 4, 0, 0))
    assert not state.delayed
    assert pods(spec, tick(6, 4, 0, 0), state=state) == [0]


def test_no_pods_count_as_one_for_rates_and_thresholds() -> None:
    assert pods(SPEC, tick(0, 0, 0, 888)) == [10]


def test_a_change_of_the_spec_does_not_end_panic() -> None:
    _, state = decide(SPEC, initial(1), tick(0, 1, 100, 100))
    assert pods(targeting(1000), tick(2, 10, 1, 1), state=state) == [10]


@pytest.mark.parametrize(("stable", "panic"), [(None, None), (None, 5.0), (5.0, None)])
def test_without_data_nothing_is_decided_and_nothing_changes(stable: float | None, panic: float | None) -> None:
    before = State(panic_ns=0, floor=7)
    decision, after = decide(SPEC, before, tick(1000, 3, stable, panic))
    assert decision == Decision(desired=0, excess_burst_capacity=0, valid=False, mode=PANIC)
    assert after is before


def test_what_no_number_of_pods_can_hold_is_what_the_reference_makes_of_it() -> None:
    spec = replace(SPEC, max_scale_up_rate=1e300)
    assert pods(spec, tick(0, 1, 1e300, 0)) == [-(2**31)]
    assert pods(replace(SPEC, target=0.0), tick(0, 1, 0, 0)) == [-(2**31)]
    assert pods(replace(SPEC, target=0.0), tick(0, 1, 1, 1)) == [10]
    assert pods(SPEC, tick(0, 4, -50, -50)) == [0]


averages = st.none() | st.floats(-100, 5000) | st.integers(0, 300).map(float)
steps = st.sampled_from((0.0, 0.1, 1.0, 1.9, 2.0, 2.1, 6.0, 30.0, 60.0, 61.0, 400.0))
specs = st.builds(
    Spec,
    target=st.floats(0.01, 200),
    total=st.floats(0.01, 300),
    target_burst_capacity=st.sampled_from((-1.0, 0.0, 0.5, 211.0)),
    panic_threshold=st.floats(1.1, 10),
    stable_window_ns=st.sampled_from((6, 60, 300)).map(lambda seconds: seconds * 10**9),
    scale_down_delay_ns=st.sampled_from((0, 1, 2, 3, 5, 60, 300)).map(lambda seconds: seconds * 10**9),
    max_scale_up_rate=st.sampled_from((1.1, 2.0, 10.0, 1000.0)),
    max_scale_down_rate=st.sampled_from((1.0, 1.1, 2.0, 10.0)),
    activation_scale=st.sampled_from((0, 1, 2, 20)),
    reachable=st.booleans(),
)


@st.composite
def traces(draw: st.DrawFn) -> tuple[Tick, ...]:
    at_s, seen = 0.0, []
    for _ in range(draw(st.integers(1, 40))):
        at_s += draw(steps)
        seen.append(tick(at_s, draw(st.integers(0, 30)), draw(averages), draw(averages)))
    return tuple(seen)


@given(specs, st.integers(0, 6), traces())
def test_it_decides_as_the_model_that_looks_at_all_that_was(spec: Spec, ready: int, trace: tuple[Tick, ...]) -> None:
    decisions = run(spec, initial(ready), *trace)
    assert [decision.desired if decision.valid else None for decision in decisions] == kpa.desired(spec, ready, trace)


@given(specs, st.integers(0, 6), traces())
def test_it_never_scales_down_in_panic(spec: Spec, ready: int, trace: tuple[Tick, ...]) -> None:
    spec = replace(spec, scale_down_delay_ns=0)
    valid = [decision for decision in run(spec, initial(ready), *trace) if decision.valid]
    for before, after in pairwise(valid):
        if after.mode is PANIC and before.mode is PANIC:
            assert after.desired >= before.desired


@given(specs, traces())
def test_a_stable_decision_is_within_the_rates(spec: Spec, trace: tuple[Tick, ...]) -> None:
    spec = replace(spec, scale_down_delay_ns=0, activation_scale=0)
    for seen, decision in zip(trace, run(spec, initial(0), *trace), strict=True):
        if decision.valid and decision.mode is STABLE:
            ready = max(1, seen.ready)
            assert decision.desired <= spec.max_scale_up_rate * ready + 1
            assert decision.desired > ready / spec.max_scale_down_rate - 1 or not spec.reachable


@given(specs, traces())
def test_ticks_without_data_can_be_left_out(spec: Spec, trace: tuple[Tick, ...]) -> None:
    known = [seen for seen in trace if seen.stable is not None and seen.panic is not None]
    assert [decision for decision in run(spec, initial(3), *trace) if decision.valid] == list(
        run(spec, initial(3), *known)
    )
