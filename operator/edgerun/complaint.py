"""Says what is wrong once for each reason: an outage is one event, not one per attempt."""

import logging
from dataclasses import dataclass


@dataclass(slots=True)
class Complaint:
    """`about` is a sentence that the reason follows."""

    logger: logging.Logger
    about: str
    _last: str = ""

    def say(self, reason: str) -> None:
        """It failed for this reason: told unless it was the same the last time."""
        if reason != self._last:
            self._last = reason
            self.logger.warning("%s: %s", self.about, reason)

    def end(self) -> None:
        """It succeeded: the next failure is another event."""
        self._last = ""
