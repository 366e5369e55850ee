"""Sees the conditions of every object change, and says what people should notice.

One for each time of leading: what it compares with at first is the status that the API server has, so nothing is told
again by another leader or after a restart.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..api.meta import Condition
from ..translate.events import Occurrence, occurrences, remembered

Object = Mapping[str, Any]


@dataclass(slots=True)
class Witness:
    """`tell` gets the object as the API server has it, and what happened to it."""

    tell: Callable[[Object, Occurrence], None]
    _known: dict[str, tuple[Condition, ...]] = field(default_factory=dict)  # by uid

    def changed(self, raw: Object, after: Iterable[Condition]) -> None:
        """The status of `raw` is about to say `after`."""
        uid, now = str(raw["metadata"]["uid"]), tuple(after)
        before = self._known[uid] if uid in self._known else _stored(raw)
        self._known[uid] = remembered(before, now)
        for occurrence in occurrences(before, now):
            self.tell(raw, occurrence)

    def gone(self, uid: str) -> None:
        self._known.pop(uid, None)


def _stored(raw: Object) -> tuple[Condition, ...]:
    try:
        return msgspec.convert((raw.get("status") or {}).get("conditions") or (), tuple[Condition, ...])
    except msgspec.ValidationError:  # written by another version
        return ()
