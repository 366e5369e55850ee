"""A recorded trace, decided again: what a spec would have made of a load."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .decide import Decision, Mode, Spec, Tick, decide, initial

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The decider was made at 0, when `initial_ready` pods were there."""

    spec: Spec
    initial_ready: int
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Of a whole trace; a tick without a decision leaves what was decided before."""

    ticks: int
    undecided: int
    lasted_s: float
    panic_s: float
    most: int
    changes: int
    pod_s: float


def decisions(case: Case) -> Iterator[Decision]:
    """One for each tick."""
    state = initial(case.initial_ready)
    for tick in case.ticks:
        decision, state = decide(case.spec, state, tick)
        yield decision


def summary(ticks: Sequence[Tick], decided: Sequence[Decision]) -> Summary:
    """What the decisions would have cost. Each one holds from its tick to the next one."""
    held = tuple(_held(decided))
    spans = [max(0, after.at_ns - before.at_ns) for before, after in pairwise(ticks)]
    panicking = (span for span, decision in zip(spans, decided, strict=False) if decision.mode is Mode.PANIC)
    return Summary(
        ticks=len(ticks),
        undecided=sum(not decision.valid for decision in decided),
        lasted_s=sum(spans) / NS_PER_S,
        panic_s=sum(panicking) / NS_PER_S,
        most=max(held, default=0),
        changes=sum(before != after for before, after in pairwise(held)),
        pod_s=sum(span * pods for span, pods in zip(spans, held, strict=False)) / NS_PER_S,
    )


def _held(decided: Iterable[Decision]) -> Iterator[int]:
    pods = 0
    for decision in decided:
        pods = decision.desired if decision.valid else pods
        yield pods
