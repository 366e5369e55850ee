"""The load's averages over time: what a decision is made of.

Load is added up in buckets of a second, of a long window (stable) and of a short one (panic). Time is an argument, in
nanoseconds of any clock that goes on evenly. The averages are Knative's, number for number.
Trap: a window that has just begun is averaged over the time since then, not over its length: zeros that nobody has
seen must not thin the load of a revision that has just woken.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from . import floats

SECOND_NS = 1_000_000_000
DECIMALS = 6  # of an average: what is left of a sum of floats must not cost a pod
_LEAST_SMOOTHING = 0.2
_LEFT_OUT = 0.0001  # of the weights: how much is beyond the end of the window


class Aggregation(StrEnum):
    LINEAR = "linear"
    WEIGHTED_EXPONENTIAL = "weighted-exponential"


@dataclass(frozen=True, slots=True)
class Averages:
    stable: float
    panic: float


class Windows:
    """The stable and the panic window of one metric of one revision."""

    def __init__(self, stable_s: int, panic_s: int, aggregation: Aggregation = Aggregation.LINEAR) -> None:
        kind = Window if aggregation is Aggregation.LINEAR else WeightedWindow
        self._stable, self._panic = kind(stable_s), kind(panic_s)

    def resized(self, stable_s: int, panic_s: int) -> "Windows":
        """As long as these, with what is known of the load."""
        other = Windows(stable_s, panic_s)
        other._stable, other._panic = self._stable.resized(stable_s), self._panic.resized(panic_s)
        return other

    def record(self, now_ns: int, load: float) -> None:
        """Add what one reporter has seen in the second up to now."""
        self._stable.record(now_ns, load)
        self._panic.record(now_ns, load)

    def averages(self, now_ns: int) -> Averages | None:
        """None when nobody has reported for a whole stable window: that is no load of 0, it is not known."""
        if self._stable.empty(now_ns):
            return None
        return Averages(self._stable.average(now_ns), self._panic.average(now_ns))


class Window:
    """Buckets of a second in a ring; their average is the mean, and what is missing between two reports counts as 0."""

    def __init__(self, seconds: int) -> None:
        self._buckets = [0.0] * seconds
        self._total = 0.0
        self._first = 0
        self._last: int | None = None

    def record(self, now_ns: int, value: float) -> None:
        """What is older than the newest one by a whole window is let go."""
        second, size = now_ns // SECOND_NS, len(self._buckets)
        if self._last is None or second - self._last >= size:
            self._begin(second)
        elif second > self._last:
            self._clear(range(self._last + 1, second + 1))
            self._last = second
        elif self._last - second >= size:
            return
        self._first = min(self._first, second)
        self._buckets[second % size] += value
        self._total += value

    def empty(self, now_ns: int) -> bool:
        return self._last is None or now_ns // SECOND_NS - self._last > len(self._buckets)

    def average(self, now_ns: int) -> float:
        """0 when nothing has been recorded for a whole window."""
        if self._last is None:
            return 0.0
        second, size = now_ns // SECOND_NS, len(self._buckets)
        missing, total = max(0, second - self._last), self._total
        if missing >= size:
            return 0.0
        for outdated in range(self._last + 1, second + 1):
            total -= self._buckets[outdated % size]
        return floats.rounded(total / min(self._last - self._first + 1, size - missing), DECIMALS)

    def resized(self, seconds: int) -> "Window":
        """As long as this, with the newest of its buckets."""
        other = type(self)(seconds)
        if self._last is not None:
            size = len(self._buckets)
            for second in range(max(self._first, self._last - min(size, seconds) + 1), self._last + 1):
                other.record(second * SECOND_NS, self._buckets[second % size])
        return other

    def _begin(self, second: int) -> None:
        self._buckets = [0.0] * len(self._buckets)
        self._total = 0.0
        self._first = self._last = second

    def _clear(self, seconds: range) -> None:
        size = len(self._buckets)
        for second in seconds:
            self._total -= self._buckets[second % size]
            self._buckets[second % size] = 0.0


class WeightedWindow(Window):
    """The newer, the more: each bucket has a fixed part of the weight of the one after it."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self._smoothing = max(1 - math.exp(1 / seconds * math.log(_LEFT_OUT)), _LEAST_SMOOTHING)

    def average(self, now_ns: int) -> float:
        if self._last is None:
            return 0.0
        size, kept = len(self._buckets), 1 - self._smoothing
        missing = max(0, now_ns // SECOND_NS - self._last)
        weight, average = self._smoothing * floats.power(kept, missing), 0.0
        for age in range(size - missing):
            average += self._buckets[(self._last - age) % size] * weight
            weight *= kept
        return average
