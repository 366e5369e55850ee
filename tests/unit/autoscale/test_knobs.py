"""Defaults, limits, targets: what users may set, and what becomes of it."""

import math
from dataclasses import replace
from typing import Any

import pytest

from edgerun.api.originservice import Metric
from edgerun.api.problems import Problem
from edgerun.autoscale.decide import Spec
from edgerun.autoscale.knobs import Knobs, bounds, panic_window_s, problems, spec
from edgerun.autoscale.target import Resolved, resolved

CONCURRENCY, RPS = Metric.CONCURRENCY, Metric.RPS


@pytest.mark.parametrize(
    ("metric", "given", "target", "total"),
    [
        (CONCURRENCY, {}, 70, 100),
        (RPS, {}, 140, 200),
        (CONCURRENCY, {"container_concurrency": 10}, 7, 10),
        (RPS, {"container_concurrency": 10}, 140, 200),
        (CONCURRENCY, {"target": 50}, 35, 50),
        (CONCURRENCY, {"target": 50, "container_concurrency": 10}, 7, 10),
        (CONCURRENCY, {"target": 5, "container_concurrency": 10}, 3.5, 5),
        (RPS, {"target": 50, "container_concurrency": 10}, 35, 50),
        (CONCURRENCY, {"target": 10, "utilization_percent": 100}, 10, 10),
        (CONCURRENCY, {"container_concurrency": 1, "utilization_percent": 1}, 0.01, 1),
        (CONCURRENCY, {"target": 0.01, "utilization_percent": 1}, 0.01, 0.01),
    ],
)
def test_the_target_is_a_part_of_what_a_pod_can_carry(
    metric: Metric, given: dict[str, Any], target: float, total: float
) -> None:
    assert resolved(metric, **given) == Resolved(target, total)


def test_the_defaults_are_those_of_knative() -> None:
    assert not list(problems(Knobs()))
    assert spec(Knobs(), reachable=True) == Spec(target=70.0, total=100.0)
    assert panic_window_s(Knobs()) == 6
    assert bounds(Knobs()).initial_scale == 1


def test_a_spec_has_fractions_and_nanoseconds() -> None:
    knobs = Knobs(metric=RPS, panic_threshold_percent=150, stable_window_s=6, scale_down_delay_s=3, activation_scale=2)
    assert spec(knobs, reachable=False) == Spec(
        target=140.0,
        total=200.0,
        panic_threshold=1.5,
        stable_window_ns=6 * 10**9,
        scale_down_delay_ns=3 * 10**9,
        activation_scale=2,
        reachable=False,
    )


@pytest.mark.parametrize(
    ("stable", "percent", "panic"), [(60, 10, 6), (65, 10, 7), (64, 10, 6), (6, 1, 1), (3600, 100, 3600), (75, 2, 2)]
)
def test_the_panic_window_is_whole_seconds(stable: int, percent: float, panic: int) -> None:
    assert panic_window_s(Knobs(stable_window_s=stable, panic_window_percent=percent)) == panic


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"target": 0.001}, "target", "is 0.001, allowed is at least 0.01"),
        ({"target": math.nan}, "target", "is nan, allowed is at least 0.01"),
        ({"target_utilization_percent": 0}, "targetUtilization", "is 0, allowed is from 1 to 100"),
        ({"container_concurrency": 1001}, "containerConcurrency", "is 1001, allowed is from 0 to 1000"),
        ({"stable_window_s": 5}, "window", "is 5, allowed is from 6 to 3600"),
        ({"panic_window_percent": 0.5}, "panicWindowPercentage", "is 0.5, allowed is from 1 to 100"),
        ({"panic_threshold_percent": 100}, "panicThresholdPercentage", "is 100, allowed is from 110 to 1000"),
        ({"scale_down_delay_s": 3601}, "scaleDownDelay", "is 3601, allowed is from 0 to 3600"),
        ({"max_scale_up_rate": 1}, "maxScaleUpRate", "is 1, allowed is more than 1"),
        ({"max_scale_down_rate": math.inf}, "maxScaleDownRate", "is inf, allowed is more than 1"),
        ({"target_burst_capacity": -2}, "targetBurstCapacity", "is -2, allowed is at least 0, or -1 for no limit"),
        ({"min_scale": -1}, "minScale", "is -1, allowed is from 0 to 2.14748e+09"),
        ({"initial_scale": 0}, "initialScale", "is 0, allowed is from 1 to 2.14748e+09"),
        ({"activation_scale": 1}, "activationScale", "is 1, allowed is from 2 to 2.14748e+09"),
        ({"min_scale": 3, "max_scale": 2}, "maxScale", "is 2, less than minScale, which is 3"),
        ({"min_scale": 3, "activation_scale": 2}, "activationScale", "is 2, less than minScale, which is 3"),
        ({"max_scale": 3, "activation_scale": 4}, "activationScale", "is 4, more than maxScale, which is 3"),
    ],
)
def test_what_is_outside_its_limits_is_named(changes: dict[str, Any], field: str, message: str) -> None:
    assert list(problems(replace(Knobs(), **changes))) == [Problem(field, message)]


def test_all_problems_are_told_at_once() -> None:
    assert (
        len(list(problems(Knobs(stable_window_s=1, min_scale=-1, max_scale_up_rate=0, target_burst_capacity=-3)))) == 4
    )


def test_the_least_and_the_most_of_every_knob_are_allowed() -> None:
    least = Knobs(
        target=0.01, target_utilization_percent=1, stable_window_s=6, panic_window_percent=1, max_scale_up_rate=1.1
    )
    most = Knobs(
        target_burst_capacity=-1, stable_window_s=3600, panic_threshold_percent=1000, container_concurrency=1000
    )
    assert not [*problems(least), *problems(most)]
    assert not list(problems(Knobs(min_scale=3, max_scale=3, activation_scale=3)))
