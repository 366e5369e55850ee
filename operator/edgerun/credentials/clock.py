"""What time it is, for those who sign what others check: the clock of this machine, unless it is alone with that.

Three tell the time: the clock of this machine (the wall), which jumps when somebody sets it; the last time that was
believed, counted on by a clock that cannot jump; and the API server, by the date of its last answer (the witness). When
the wall and the count agree nobody else is asked. When they do not, the witness decides; who cannot ask it counts on.
The first time that there is no count to go by: what the witness says counts more than the wall.

Traps: the wall is followed as long as it goes slowly, which is how NTP corrects it, and how it can be led astray; the
skew tells. And a count that stops while the machine sleeps (`elapsed` on some systems) is behind until the next answer
of the API server.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ..elapsed import elapsed_s

STEP = timedelta(seconds=5)
"""Two that differ by no more than this agree: verifiers forgive as much."""

SKEW = timedelta(seconds=30)
"""What the wall and the witness may differ by when nothing else is known."""

PRECISION = timedelta(seconds=2)
"""How well the witness is known: its date has no fractions, and took its way."""

logger = logging.getLogger(__name__)

Witness = Callable[[], datetime | None]
"""What time the API server has; None as long as it has not been heard."""


class SteadyClock:
    """Call it for the time. Without a `witness` it is the wall's: whoever checks has no other."""

    def __init__(
        self,
        witness: Witness | None = None,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = elapsed_s,
    ) -> None:
        self._witness, self._wall, self._elapsed = witness, wall, elapsed
        self._begin = wall() - timedelta(seconds=elapsed())
        self._met = False
        self._trusts_wall = True

    def __call__(self) -> datetime:
        wall = self._wall()
        if self._witness is None:
            return wall
        told, passed = self._witness(), timedelta(seconds=self._elapsed())
        counted = self._begin + passed
        now = judged(wall, counted, told) if self._met or told is None else introduced(wall, told)
        self._met = self._met or told is not None
        self._begin = now - passed
        self._tell(now, wall)
        return now

    @property
    def skew_s(self) -> float | None:
        """How far the wall is ahead of the API server; None when that is not known."""
        told = self._witness() if self._witness else None
        return None if told is None else (self._wall() - told).total_seconds()

    def _tell(self, now: datetime, wall: datetime) -> None:
        ahead_s, trusts = (wall - now).total_seconds(), now == wall
        if self._trusts_wall and not trusts:
            logger.warning("the clock of this machine is not believed, it is ahead by %.0f s: set it right", ahead_s)
        elif trusts and not self._trusts_wall:
            logger.info("the clock of this machine is believed again")
        self._trusts_wall = trusts


def introduced(wall: datetime, told: datetime) -> datetime:
    """What time it is, when that is all there is to go by."""
    return wall if abs(wall - told) <= SKEW else told


def judged(wall: datetime, counted: datetime, told: datetime | None) -> datetime:
    """What time it is: what two of them say, and the count when no two agree."""
    if abs(wall - counted) <= STEP:
        return wall
    if told is None:
        return counted
    if abs(wall - told) <= STEP:
        return wall
    if PRECISION < abs(told - counted) <= SKEW:
        return told  # nobody else corrects the count, which drifts
    return counted
