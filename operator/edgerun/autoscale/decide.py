"""The decision of one tick: how many pods a revision should have.

It is the decision of Knative's autoscaler (KPA), in the same order and with the same floats, so that the same trace
gives the same numbers. Nothing here knows least and most pods: they are applied to what is decided.
Trap: a tick without averages decides nothing and changes nothing. Its `desired` is 0 and must not be used.
"""

from dataclasses import dataclass
from enum import StrEnum

from . import floats
from .delay import Peak, recorded

TICK_NS = 2_000_000_000
UNLIMITED_BURST = -1.0


class Mode(StrEnum):
    STABLE = "stable"
    PANIC = "panic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """`target` is what one pod should carry, `total` what it can. `reachable`: some route leads to the revision."""

    target: float
    total: float
    target_burst_capacity: float = 211.0
    panic_threshold: float = 2.0
    stable_window_ns: int = 60_000_000_000
    scale_down_delay_ns: int = 0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    activation_scale: int = 0
    reachable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What is seen at one moment, on any clock that goes on evenly. No average: no data yet."""

    at_ns: int
    ready: int
    stable: float | None
    panic: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`excess_burst_capacity`: below 0 when what is ready could not take a burst on top of the load."""

    desired: int
    excess_burst_capacity: int
    valid: bool
    mode: Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`panic_ns` is when the load last called for panic, None in the stable mode; `floor` holds while it lasts."""

    panic_ns: int | None = None
    floor: int = 0
    delayed: tuple[Peak, ...] = ()

    @property
    def mode(self) -> Mode:
        return Mode.STABLE if self.panic_ns is None else Mode.PANIC


def initial(ready: int, at_ns: int = 0) -> State:
    """More than one pod that is there already stays until there is enough data: it begins in panic."""
    return State(panic_ns=at_ns if ready > 1 else None, floor=ready)


def decide(spec: Spec, state: State, tick: Tick) -> tuple[Decision, State]:
    """The decision, and the state for the next tick."""
    if tick.stable is None or tick.panic is None:
        return Decision(desired=0, excess_burst_capacity=0, valid=False, mode=state.mode), state
    ready = max(1.0, float(tick.ready))
    needed = floats.ceil(floats.quotient(tick.panic, spec.target))
    over = needed / ready >= spec.panic_threshold
    state = _followed(spec, state, tick.at_ns, over=over)
    desired = _clamped(spec, ready, floats.ceil(floats.quotient(tick.stable, spec.target)))
    if state.mode is Mode.PANIC:  # only ever up
        desired = max(desired, _clamped(spec, ready, needed), state.floor)
        state = State(panic_ns=state.panic_ns, floor=desired, delayed=state.delayed)
    desired, state = _held_back(spec, state, tick.at_ns, desired)
    excess = _excess_burst_capacity(spec, tick.ready, tick.panic)
    return Decision(desired=desired, excess_burst_capacity=excess, valid=True, mode=state.mode), state


def _followed(spec: Spec, state: State, now_ns: int, *, over: bool) -> State:
    """Into panic, on in it, or out of it when more than one stable window has passed without a reason."""
    if over:
        return State(panic_ns=now_ns, floor=state.floor, delayed=state.delayed)
    if state.panic_ns is not None and state.panic_ns + spec.stable_window_ns < now_ns:
        return State(delayed=state.delayed)
    return state


def _clamped(spec: Spec, ready: float, needed: float) -> int:
    """What is needed, as far as it can be reached at once."""
    most = floats.ceil(spec.max_scale_up_rate * ready)
    least = floats.floor(floats.quotient(ready, spec.max_scale_down_rate)) if spec.reachable else 0.0
    pods = floats.int32(floats.smaller(floats.larger(needed, least), most))
    if spec.activation_scale > 1 and needed > 0:
        return max(pods, spec.activation_scale)
    return pods


def _held_back(spec: Spec, state: State, now_ns: int, desired: int) -> tuple[int, State]:
    """Not below what was desired within the scaleDownDelay. A revision that nobody reaches need not wait."""
    if not spec.reachable:
        return desired, state
    if spec.scale_down_delay_ns <= 0:
        return desired, State(panic_ns=state.panic_ns, floor=state.floor) if state.delayed else state
    delayed = recorded(state.delayed, now_ns, desired, delay_ns=spec.scale_down_delay_ns)
    return delayed[0].pods, State(panic_ns=state.panic_ns, floor=state.floor, delayed=delayed)


def _excess_burst_capacity(spec: Spec, ready: int, panic: float) -> int:
    if spec.target_burst_capacity == 0:
        return 0
    if spec.target_burst_capacity > 0:
        return floats.int32(floats.floor(float(ready) * spec.total - spec.target_burst_capacity - panic))
    return int(UNLIMITED_BURST)
