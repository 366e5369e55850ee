"""All that can be set about the scaling of a revision: defaults, limits, and what a decision needs of it.

Defaults and limits are Knative's.
Trap: windows and delays are whole seconds, since load comes in buckets of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from ..api.durations import seconds
from ..api.originservice import Metric, OriginService
from ..api.problems import Problem
from . import target as targets
from .bounds import Bounds
from .decide import UNLIMITED_BURST, Spec
from .floats import MAX_INT32
from .target import LEAST_TARGET
from .windows import SECOND_NS, Aggregation

SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 6, 3600
MOST_CONCURRENCY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """Seconds and percents, as users write them. None and, for scales, 0: not set."""

    metric: Metric = Metric.CONCURRENCY
    target: float | None = None
    target_utilization_percent: float = targets.DEFAULT_UTILIZATION_PERCENT
    container_concurrency: int = 0
    target_burst_capacity: float = 211.0
    stable_window_s: int = 60
    panic_window_percent: float = 10.0
    panic_threshold_percent: float = 200.0
    aggregation: Aggregation = Aggregation.LINEAR
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    scale_down_delay_s: int = 0
    min_scale: int = 0
    max_scale: int = 0
    initial_scale: int = 1
    activation_scale: int = 0


def of(service: OriginService) -> Knobs:
    """Those that an OriginService sets."""
    scaling = service.spec.scaling
    return Knobs(
        metric=scaling.metric,
        target=scaling.target,
        target_utilization_percent=scaling.target_utilization,
        container_concurrency=service.spec.template.spec.container_concurrency,
        stable_window_s=int(seconds(scaling.window)),
        panic_window_percent=scaling.panic_window_percentage,
        panic_threshold_percent=scaling.panic_threshold_percentage,
        max_scale_up_rate=scaling.max_scale_up_rate,
        max_scale_down_rate=scaling.max_scale_down_rate,
        scale_down_delay_s=int(seconds(scaling.scale_down_delay)),
        min_scale=scaling.min_scale,
        max_scale=scaling.most,
        initial_scale=scaling.initial_scale,
        activation_scale=scaling.activation_scale or 0,
    )


def spec(knobs: Knobs, *, reachable: bool) -> Spec:
    """What decisions are made by."""
    found = targets.resolved(
        knobs.metric,
        container_concurrency=knobs.container_concurrency,
        target=knobs.target,
        utilization_percent=knobs.target_utilization_percent,
    )
    return Spec(
        target=found.target,
        total=found.total,
        target_burst_capacity=knobs.target_burst_capacity,
        panic_threshold=knobs.panic_threshold_percent / 100.0,
        stable_window_ns=knobs.stable_window_s * SECOND_NS,
        scale_down_delay_ns=knobs.scale_down_delay_s * SECOND_NS,
        max_scale_up_rate=knobs.max_scale_up_rate,
        max_scale_down_rate=knobs.max_scale_down_rate,
        activation_scale=knobs.activation_scale,
        reachable=reachable,
    )


def bounds(knobs: Knobs) -> Bounds:
    return Bounds(min_scale=knobs.min_scale, max_scale=knobs.max_scale, initial_scale=knobs.initial_scale)


def panic_window_s(knobs: Knobs) -> int:
    """Its part of the stable window, to the nearest second (half a second counts as one), and at least one."""
    exact_ns = int(float(knobs.stable_window_s * SECOND_NS) * knobs.panic_window_percent / 100.0)
    return max(1, (exact_ns + SECOND_NS // 2) // SECOND_NS)


def problems(knobs: Knobs) -> Iterator[Problem]:
    """All that is outside its limits, or at odds with another."""
    for field, value, least, most in _limits(knobs):
        if not least <= value <= most:
            allowed = f"at least {least:g}" if most == inf else f"from {least:g} to {most:g}"
            yield Problem(field, f"is {value:g}, allowed is {allowed}")
    for field, rate in (("maxScaleUpRate", knobs.max_scale_up_rate), ("maxScaleDownRate", knobs.max_scale_down_rate)):
        if not 1 < rate < inf:
            yield Problem(field, f"is {rate:g}, allowed is more than 1")
    burst = knobs.target_burst_capacity
    if burst != UNLIMITED_BURST and not 0 <= burst < inf:
        yield Problem("targetBurstCapacity", f"is {burst:g}, allowed is at least 0, or -1 for no limit")
    yield from _scale_problems(knobs)


def _limits(knobs: Knobs) -> Iterator[tuple[str, float, float, float]]:
    if knobs.target is not None:
        yield "target", knobs.target, LEAST_TARGET, inf
    yield "targetUtilization", knobs.target_utilization_percent, 1, 100
    yield "containerConcurrency", knobs.container_concurrency, 0, MOST_CONCURRENCY
    yield "window", knobs.stable_window_s, SHORTEST_WINDOW_S, LONGEST_WINDOW_S
    yield "panicWindowPercentage", knobs.panic_window_percent, 1, 100
    yield "panicThresholdPercentage", knobs.panic_threshold_percent, 110, 1000
    yield "scaleDownDelay", knobs.scale_down_delay_s, 0, LONGEST_WINDOW_S
    yield "minScale", knobs.min_scale, 0, MAX_INT32
    yield "maxScale", knobs.max_scale, 0, MAX_INT32
    yield "initialScale", knobs.initial_scale, 1, MAX_INT32
    if knobs.activation_scale:
        yield "activationScale", knobs.activation_scale, 2, MAX_INT32


def _scale_problems(knobs: Knobs) -> Iterator[Problem]:
    least, most, activation = knobs.min_scale, knobs.max_scale, knobs.activation_scale
    if most and most < least:
        yield Problem("maxScale", f"is {most}, less than minScale, which is {least}")
    if activation and least > activation:
        yield Problem("activationScale", f"is {activation}, less than minScale, which is {least}")
    if activation and most and most < activation:
        yield Problem("activationScale", f"is {activation}, more than maxScale, which is {most}")
