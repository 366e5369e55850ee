"""When to rebuild: after a moment of quiet, but never later than a limit; at once when requests depend on it."""

import asyncio
from dataclasses import dataclass, field

QUIET_S = 0.02  # one `kubectl apply -f DIR`, or one editor saving several files, arrives within it
LIMIT_S = 0.25  # a source that never falls silent is served all the same


@dataclass(slots=True)
class HoldOff:
    """Collects changes into as few rebuilds as make sense."""

    quiet_s: float = QUIET_S
    limit_s: float = LIMIT_S
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _first: float | None = None
    _last: float = 0.0
    _urgent: bool = False

    def mark(self, *, urgent: bool) -> None:
        """Something changed."""
        now = asyncio.get_running_loop().time()
        self._first = now if self._first is None else self._first
        self._last = now
        self._urgent = self._urgent or urgent
        self._wake.set()

    @property
    def pending(self) -> bool:
        """Whether a rebuild is due."""
        return self._first is not None

    async def settled(self) -> None:
        """Return when it is time to rebuild; what changes from then on counts for the next time."""
        while (wait := self._wait_s()) is None or wait > 0:
            self._wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue
        self._first, self._urgent = None, False

    def _wait_s(self) -> float | None:
        """Seconds until the next rebuild; None while nothing has changed."""
        if self._first is None:
            return None
        if self._urgent:
            return 0.0
        due = min(self._last + self.quiet_s, self._first + self.limit_s)
        return due - asyncio.get_running_loop().time()
