"""The autoscaler of one revision, from second to second: what it knows of the load, and what it last decided.

It is asked every second and decides in every other one, as Knative's does, or at once when there is a burst.
Trap: for a gap of a few seconds its load is taken for that of the second after it. After a longer one nothing is known,
and the autoscaler begins anew with what runs, so that nothing goes for want of reports.
"""

from dataclasses import dataclass

from . import floats, knobs
from .bounds import bounded
from .decide import TICK_NS, Mode, State, Tick, decide, initial
from .knobs import Knobs
from .windows import SECOND_NS, Averages, Windows

LONGEST_GAP_S = 5
_STEP_S = TICK_NS // SECOND_NS


@dataclass(frozen=True, slots=True)
class Outcome:
    """`replicas` within the bounds; `load` is the average that they follow from, `needed` as many as it called for."""

    replicas: int
    needed: int
    load: float
    target: float


class Autoscaler:
    """`running` is how many replicas were asked for when it began, None when the revision is new."""

    def __init__(self, given: Knobs, *, running: int | None, ready: int) -> None:
        self.knobs = given
        self.initialized = running is not None and (running != given.initial_scale or ready >= running)
        self._spec = knobs.spec(given, reachable=True)
        self._windows = _windows(given)
        self._running = running or 0
        self._state: State | None = None
        self._last: int | None = None

    @property
    def panics(self) -> bool:
        return self._state is not None and self._state.mode is Mode.PANIC

    def load(self, second: int) -> float | None:
        """The average over the stable window; None when it is not known."""
        averages = self._averages(second)
        return averages.stable if averages else None

    def retune(self, given: Knobs, *, running: int) -> None:
        """From now on by these knobs. What is known of another metric is of no use."""
        before, self.knobs = self.knobs, given
        self._spec = knobs.spec(given, reachable=True)
        if before.metric is not given.metric:
            self.restart(running)
        elif _sizes(before) != _sizes(given):
            self._windows = self._windows.resized(*_sizes(given))

    def restart(self, running: int) -> None:
        """Nothing is known of the load; `running` replicas stay until more is."""
        self._windows = _windows(self.knobs)
        self._running, self._state, self._last = running, None, None

    def record(self, second: int, load: float, *, running: int) -> None:
        """The load of this second, which comes after all others."""
        if self._last is not None and second - self._last > LONGEST_GAP_S:
            self.restart(running)
        for missed in range(second if self._last is None else self._last + 1, second + 1):
            self._windows.record(missed * SECOND_NS, load)
        self._last = second

    def decide(self, second: int, ready: int) -> Outcome | None:
        """None when it is not time for a decision, or nothing is known of the load."""
        self.initialized = self.initialized or ready >= self.knobs.initial_scale
        averages = self._averages(second)
        if averages is None or not (second % _STEP_S == 0 or self._bursts(averages, ready)):
            return None
        now_ns = second * SECOND_NS
        state = self._state or initial(max(self._running, ready), now_ns)
        tick = Tick(at_ns=now_ns, ready=ready, stable=averages.stable, panic=averages.panic)
        decision, self._state = decide(self._spec, state, tick)
        replicas = bounded(
            decision.desired,
            knobs.bounds(self.knobs),
            reachable=True,
            initialized=self.initialized,
            activating=False,
        )
        load = max(averages.stable, averages.panic) if self.panics else averages.stable
        return Outcome(replicas or 0, decision.desired, load, self._spec.target)

    def _averages(self, second: int) -> Averages | None:
        return None if self._last is None else self._windows.averages(second * SECOND_NS)

    def _bursts(self, averages: Averages, ready: int) -> bool:
        """Whether the panic window calls for many more than there are."""
        needed = floats.ceil(floats.quotient(averages.panic, self._spec.target))
        return needed / max(1.0, float(ready)) >= self._spec.panic_threshold


def _sizes(given: Knobs) -> tuple[int, int]:
    return given.stable_window_s, knobs.panic_window_s(given)


def _windows(given: Knobs) -> Windows:
    return Windows(*_sizes(given), given.aggregation)
