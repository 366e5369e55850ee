"""One autoscaler from second to second: the same decisions as of the pure function, at the right moments."""

from hypothesis import given
from hypothesis import strategies as st

from edgerun.api.originservice import Metric
from edgerun.autoscale import knobs
from edgerun.autoscale.autoscaler import LONGEST_GAP_S, Autoscaler
from edgerun.autoscale.bounds import bounded
from edgerun.autoscale.decide import Tick, decide, initial
from edgerun.autoscale.knobs import Knobs
from edgerun.autoscale.windows import SECOND_NS, Windows

GIVEN = Knobs(min_scale=1, max_scale=50, target=10, target_utilization_percent=100, stable_window_s=10)


def fed(autoscaler: Autoscaler, load: float, seconds: range, ready: int = 1) -> list[int]:
    """What was decided."""
    found = []
    for second in seconds:
        autoscaler.record(second, load, running=ready)
        if outcome := autoscaler.decide(second, ready):
            found.append(outcome.replicas)
    return found


@given(st.lists(st.integers(0, 200), min_size=2, max_size=120), st.integers(0, 9))
def test_its_decisions_are_those_of_the_function(loads: list[int], running: int) -> None:
    autoscaler = Autoscaler(GIVEN, running=running, ready=running)
    spec, windows, state, ready = knobs.spec(GIVEN, reachable=True), Windows(10, 1), None, running
    for second, load in enumerate(loads, start=100):
        autoscaler.record(second, load, running=ready)
        windows.record(second * SECOND_NS, load)
        outcome = autoscaler.decide(second, ready)
        if outcome is None:
            continue
        averages = windows.averages(second * SECOND_NS)
        assert averages
        tick = Tick(at_ns=second * SECOND_NS, ready=ready, stable=averages.stable, panic=averages.panic)
        expected, state = decide(spec, state or initial(ready, second * SECOND_NS), tick)
        limits = knobs.bounds(GIVEN)
        wanted = bounded(expected.desired, limits, reachable=True, initialized=True, activating=False)
        assert (outcome.replicas, outcome.needed) == (wanted, expected.desired)
        ready = outcome.replicas


def test_it_decides_in_every_other_second_and_at_once_when_there_is_a_burst() -> None:
    calm, burst = (Autoscaler(GIVEN, running=1, ready=1) for _ in range(2))
    assert fed(calm, 5, range(101, 107)) == [1] * 3
    assert fed(burst, 500, range(101, 107)) == [50] * 6


def test_who_has_heard_nothing_decides_nothing() -> None:
    autoscaler = Autoscaler(GIVEN, running=3, ready=3)
    assert autoscaler.decide(100, 3) is None
    assert autoscaler.load(100) is None
    assert not autoscaler.panics


def test_a_short_gap_has_the_load_of_the_second_after_it() -> None:
    autoscaler = Autoscaler(GIVEN, running=1, ready=1)
    fed(autoscaler, 30, range(100, 200, LONGEST_GAP_S))
    assert autoscaler.load(195) == 30


def test_after_a_long_gap_it_begins_anew_with_what_runs() -> None:
    autoscaler = Autoscaler(GIVEN, running=1, ready=1)
    fed(autoscaler, 30, range(100, 130), ready=3)
    later = range(130 + LONGEST_GAP_S, 170)
    assert fed(autoscaler, 0, later, ready=3)[:5] == [3] * 5
    assert autoscaler.load(160) == 0


def test_other_knobs_count_from_the_next_decision_on() -> None:
    autoscaler = Autoscaler(GIVEN, running=1, ready=1)
    fed(autoscaler, 30, range(100, 120))
    autoscaler.retune(Knobs(min_scale=1, max_scale=50, target=30, target_utilization_percent=100), running=3)
    assert autoscaler.load(120) == 30, "another window knows what the one before knew"
    assert fed(autoscaler, 30, range(120, 200), ready=3)[-1] == 1
    autoscaler.retune(Knobs(min_scale=1, max_scale=50, metric=Metric.RPS), running=1)
    assert autoscaler.load(200) is None
