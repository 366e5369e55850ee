"""Sees the status of every object change, and says what people should notice.

One for each time of leading: what it compares with at first is the status that the API server has, so nothing is told
again by another leader or after a restart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from ..api import originservice
from ..api.meta import Condition
from ..api.originservice import OriginServiceStatus
from ..api.reading import partly
from ..translate.events import Occurrence, occurrences, remembered, revised

Object = Mapping[str, Any]


class _Conditions(msgspec.Struct, frozen=True):
    """Of any status."""

    conditions: tuple[Condition, ...] = ()


class _Known(NamedTuple):
    conditions: tuple[Condition, ...]
    status: OriginServiceStatus


@dataclass(slots=True)
class Witness:
    """`tell` gets the object as the API server has it, and what happened to it."""

    tell: Callable[[Object, Occurrence], None]
    _known: dict[str, _Known] = field(default_factory=dict)  # by uid

    def changed(self, raw: Object, status: Object) -> None:
        """The status of `raw` is about to be this one."""
        uid = str(raw["metadata"]["uid"])
        before = self._known[uid] if uid in self._known else _read(raw, raw.get("status") or {})
        now = _read(raw, status)
        self._known[uid] = now._replace(conditions=remembered(before.conditions, now.conditions))
        for occurrence in (*occurrences(before.conditions, now.conditions), *revised(before.status, now.status)):
            self.tell(raw, occurrence)

    def gone(self, uid: str) -> None:
        self._known.pop(uid, None)


def _read(raw: Object, status: Object) -> _Known:
    origin = status if raw["kind"] == originservice.KIND else {}
    return _Known(partly(status, _Conditions).value.conditions, partly(origin, OriginServiceStatus).value)
