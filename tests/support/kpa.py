"""The autoscaler's decision once more, from a trace's whole history and without state: slow, and easy to check.

Floats are plain ones here, so targets and rates must be above 0 and numbers small enough for 32 bits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgerun.autoscale.decide import Spec, Tick


@dataclass(frozen=True)
class Seen:
    """A tick that had data, and what was decided on it before the scaleDownDelay."""

    tick: Tick
    over: bool
    panicking: bool
    pods: int


def desired(spec: Spec, initial_ready: int, ticks: Sequence[Tick]) -> list[int | None]:
    """Of each tick; None where there is no data."""
    history: list[Seen] = []
    answers: list[int | None] = []
    for tick in ticks:
        if tick.stable is None or tick.panic is None:
            answers.append(None)
            continue
        history.append(seen(spec, initial_ready, history, tick, tick.stable, tick.panic))
        answers.append(delayed(spec, history))
    return answers


def seen(spec: Spec, initial_ready: int, history: list[Seen], tick: Tick, stable: float, panic: float) -> Seen:
    ready = max(1, tick.ready)
    over = math.ceil(panic / spec.target) / ready >= spec.panic_threshold
    began_so = initial_ready > 1
    reasons = [past.tick.at_ns for past in history if past.over] + [0] * began_so
    was = history[-1].panicking if history else began_so
    panicking = over or (was and tick.at_ns <= max(reasons) + spec.stable_window_ns)
    pods = clamped(spec, ready, stable)
    if panicking:
        floor = initial_ready * (began_so and all(past.panicking for past in history))
        pods = max(pods, clamped(spec, ready, panic), floor, *(past.pods for past in unbroken(history)))
    return Seen(tick, over, panicking, pods)


def unbroken(history: list[Seen]) -> list[Seen]:
    """The panic that goes on until now."""
    start = len(history)
    while start and history[start - 1].panicking:
        start -= 1
    return history[start:]


def clamped(spec: Spec, ready: int, load: float) -> int:
    needed = math.ceil(load / spec.target)
    least = math.floor(ready / spec.max_scale_down_rate) if spec.reachable else 0
    pods = min(max(needed, least), math.ceil(spec.max_scale_up_rate * ready))
    return max(pods, spec.activation_scale) if needed > 0 and spec.activation_scale > 1 else pods


def delayed(spec: Spec, history: list[Seen]) -> int:
    """The most that was decided in the last buckets of two seconds."""
    if not spec.reachable or not spec.scale_down_delay_ns:
        return history[-1].pods
    buckets = math.ceil(spec.scale_down_delay_ns / 2e9)
    now = history[-1].tick.at_ns // 2_000_000_000
    return max(past.pods for past in history if now - past.tick.at_ns // 2_000_000_000 < buckets)
