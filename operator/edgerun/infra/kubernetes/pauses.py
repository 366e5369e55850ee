"""When an object is tried again that was refused: each by itself, after growing pauses."""

from dataclasses import dataclass, field
from typing import NamedTuple

from ...api.meta import ObjectKey
from ...errors import ApiError, UnavailableError

BACKOFF_S = 0.5  # doubled with every refusal of the same object
BACKOFF_LIMIT_S = 60.0
OUTAGE_LIMIT_S = 10.0  # when nobody answered, the object is not to blame
TICK_S = 0.001  # a timer may go off so much before its time


class _Pause(NamedTuple):
    failures: int
    until: float


@dataclass(slots=True)
class Pauses:
    """Times are those of the event loop."""

    _pauses: dict[ObjectKey, _Pause] = field(default_factory=dict)

    def __contains__(self, key: ObjectKey) -> bool:
        """Whether its last attempt failed."""
        return key in self._pauses

    def failed(self, key: ObjectKey, error: ApiError, now: float) -> int:
        """How often in a row by now."""
        failures = self._pauses[key].failures + 1 if key in self._pauses else 1
        wait_s = min(BACKOFF_S * 2 ** min(failures - 1, 16), BACKOFF_LIMIT_S)
        if isinstance(error, UnavailableError):
            wait_s = max(min(wait_s, OUTAGE_LIMIT_S), error.retry_after_s)
        self._pauses[key] = _Pause(failures, now + wait_s)
        return failures

    def over(self, key: ObjectKey, now: float) -> bool:
        """Whether it may be tried."""
        pause = self._pauses.get(key)
        return pause is None or now + TICK_S >= pause.until

    def next_end(self, now: float) -> float | None:
        return min((one.until for one in self._pauses.values() if one.until > now + TICK_S), default=None)

    def end(self, key: ObjectKey) -> None:
        """It went well, or something else is wanted."""
        self._pauses.pop(key, None)

    def end_all(self) -> None:
        self._pauses.clear()
