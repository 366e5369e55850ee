"""What people are told in a cluster: the status of each object, and Events of what has changed in it.

Both are about an object as the API server has it: an Event names its uid, and a status is written where it differs.

Trap: an Event cannot be taken back, so none is made of what this replica may not promise. Whoever may do so later finds
the change, for the status that is stored is still the old one.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from ..api.meta import ObjectKey
from ..infra.kubernetes.events import Herald
from ..infra.kubernetes.statuses import StatusWriter
from ..translate.events import Occurrence
from .board import Status, as_document, from_document
from .witness import Witness

Object = Mapping[str, Any]


class Telling:
    """`may_promise` says whether what this replica knows is known of all proxies, and it is the one to say so."""

    def __init__(self, statuses: StatusWriter, herald: Herald, may_promise: Callable[[], bool]) -> None:
        self._statuses, self._herald, self._may_promise = statuses, herald, may_promise
        self._witness = Witness(herald.tell)
        self._raw: dict[ObjectKey, Object] = {}  # with the status, as the API server has it

    def tasks(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        return (("statuses", self._statuses.run()), ("events", self._herald.run()))

    def gained(self) -> None:
        """This replica leads from now on."""
        self._witness = Witness(self._herald.tell)
        self._statuses.nudge()

    def nudge(self) -> None:
        """This replica may promise from now on."""
        self._statuses.nudge()

    def see(self, key: ObjectKey, raw: Object) -> None:
        """The object is there as it is now."""
        self._raw[key] = raw
        self._statuses.see(key, raw)

    def gone(self, key: ObjectKey) -> None:
        raw = self._raw.pop(key, None)
        self._statuses.gone(key)
        if raw:
            self._witness.gone(raw["metadata"]["uid"])

    def seen(self, key: ObjectKey) -> Object | None:
        """As the API server had it when it was seen last."""
        return self._raw.get(key)

    def shown(self, key: ObjectKey) -> Object:
        """The status that people see, empty when there is none."""
        return self._statuses.shown(key)

    def remembered(self, key: ObjectKey) -> Status | None:
        """The same, if it is one of ours."""
        return from_document(key.kind, self.shown(key))

    def status(self, key: ObjectKey, status: Status) -> None:
        """This is to be said of the object, which is there."""
        raw = self._raw.get(key)
        if raw is None:
            return
        document = as_document(status)
        self._statuses.want(key, document)
        if self._may_promise():
            self._witness.changed(raw, document)

    def event(self, key: ObjectKey, event: Occurrence) -> None:
        """This has happened to the object."""
        raw = self._raw.get(key)
        if raw and self._may_promise():
            self._herald.tell(raw, event)
