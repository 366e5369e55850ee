"""How a work queue is measured, as client-go has it: when an item is added, taken, done, put back after a failure.

It holds no work. Whoever has a queue tells it; whoever shows metrics gives it what counts.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Meter:
    """`waited` and `worked` are told seconds. Added again while it waits, an item waits since the first time."""

    on_added: Callable[[], None]
    on_retried: Callable[[], None]
    waited: Callable[[float], None]
    worked: Callable[[float], None]
    _waiting: dict[Hashable, float] = field(default_factory=dict)
    _working: dict[Hashable, float] = field(default_factory=dict)

    def added(self, item: Hashable) -> None:
        self.on_added()
        self._waiting.setdefault(item, time.monotonic())

    def taken(self, item: Hashable) -> None:
        now = time.monotonic()
        self.waited(now - self._waiting.pop(item, now))
        self._working[item] = now

    def done(self, item: Hashable) -> None:
        """The work on it ended, well or not."""
        now = time.monotonic()
        self.worked(now - self._working.pop(item, now))

    def retried(self, item: Hashable) -> None:
        """It waits again, after a failure."""
        self.on_retried()
        self.added(item)

    def forgotten(self, item: Hashable) -> None:
        """Nobody is going to take it."""
        self._waiting.pop(item, None)

    @property
    def depth(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def ages_s(self) -> tuple[float, ...]:
        """How long each that is being worked on has been."""
        now = time.monotonic()
        return tuple(now - began for began in self._working.values())
