"""Traces whose answers are those of Knative's own autoscaler, and what is said about a whole trace."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgerun.autoscale.decide import Decision, Mode, Tick
from edgerun.autoscale.replay import Summary, decisions, summary
from edgerun.autoscale.traces import cases, problems, written

RECORDED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("knative.json").read_bytes())


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_every_decision_is_that_of_knative(number: int) -> None:
    given = RECORDED[number]
    assert not list(problems(given))
    [(_, case)] = cases(given)
    got = [written(decision) for decision in decisions(case)]
    assert [{name: value for name, value in entry.items() if name != "mode"} for entry in got] == given["want"]


def test_a_time_is_the_decimal_number_that_was_written() -> None:
    ticks = [{"t": at, "ready": 1, "stable": 0, "panic": load} for at, load in ((8.2, 100), (68.2, 0), (68.200001, 0))]
    [(_, case)] = cases({"spec": {"target": 10, "total": 10}, "ticks": ticks})
    assert 8.2 * 1e9 < 8_200_000_000 == case.ticks[0].at_ns
    assert [decision.mode for decision in decisions(case)] == [Mode.PANIC, Mode.PANIC, Mode.STABLE]


def test_a_summary_holds_every_decision_until_the_next_one() -> None:
    def decided(desired: int, mode: Mode = Mode.STABLE, *, valid: bool = True) -> Decision:
        return Decision(desired=desired, excess_burst_capacity=0, valid=valid, mode=mode)

    ticks = [Tick(at_ns=at * 10**9, ready=1, stable=None, panic=None) for at in (2, 4, 7, 9, 10)]
    decisions = decided(1), decided(5, Mode.PANIC), decided(0, Mode.PANIC, valid=False), decided(2), decided(9)
    assert summary(ticks, decisions) == Summary(
        ticks=5, undecided=1, lasted_s=8, panic_s=5, most=9, changes=3, pod_s=2 * 1 + 3 * 5 + 2 * 5 + 1 * 2
    )
    assert summary([], []) == Summary(ticks=0, undecided=0, lasted_s=0, panic_s=0, most=0, changes=0, pod_s=0)
