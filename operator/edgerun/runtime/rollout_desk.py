"""What an instance answers about the rollout of an OriginService, and the orders that it takes.

It answers with documents as an API server has them. Trap: an order is not carried out when it was taken: whoever gave
it asks how far it is.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ..api.meta import ObjectKey
from ..api.originservice import KIND, OriginService
from ..translate.names import revision_key
from ..translate.revisions.follow import Outcome
from ..translate.revisions.judgement import Order, Verb
from ..translate.revisions.objects import as_object
from ..translate.revisions.revision import Revision
from ..translate.revisions.wishes import first_look
from .controller import Controller
from .orders import Orders

ASKED = "rollout"  # how a question begins that is for here


class Reply(msgspec.Struct, frozen=True):
    """`where` is the file and the line. `problem` says why there is no answer, "" when there is one."""

    service: dict[str, Any] = {}
    revisions: tuple[dict[str, Any], ...] = ()
    where: str = ""
    problem: str = ""


class Desk:
    """Whoever looks at the revisions of `controller` has to read `orders`."""

    def __init__(self, controller: Controller, orders: Orders) -> None:
        self._controller, self._orders = controller, orders

    def answer(self, words: Sequence[str]) -> Reply:
        """To `status NAMESPACE/NAME`, `undo NAMESPACE/NAME REVISION` and `promote NAMESPACE/NAME REVISION`."""
        match words:
            case ["status", name]:
                return self._about(name, None)
            case [("undo" | "promote") as verb, name, revision]:
                return self._about(name, Order(Verb(verb), revision))
            case _:
                asked = "ask status NAMESPACE/NAME, or undo or promote NAMESPACE/NAME REVISION"
                return Reply(problem=f"{' '.join(words)!r} is no question; {asked}")

    def _about(self, name: str, order: Order | None) -> Reply:
        namespace, _, own = name.rpartition("/")
        key, store = ObjectKey(KIND, namespace, own), self._controller.store
        entry = store.entries.get(key)
        service = entry.serving if entry else None
        if entry is None or not isinstance(service, OriginService):
            return Reply(problem=self._missing(key, known=entry is not None))
        if order is not None:
            self._orders.give(service, order)
            store.changed(urgent=True)
        revisions = (self._revision(service, one) for one in self._outcome(service).present)
        return Reply(self._told(service, entry.generation), tuple(revisions), entry.where)

    def _missing(self, key: ObjectKey, *, known: bool) -> str:
        if known:
            return f"{key} has no version that can be served; `edgerun status` says why"
        there = sorted(one for one in self._controller.store.entries if one.kind == KIND)
        names = ", ".join(f"{one.namespace}/{one.name}" for one in there) or "none"
        return f"there is no {key}; there are: {names}. Name its namespace with --namespace"

    def _outcome(self, service: OriginService) -> Outcome:
        published = self._controller.published
        looked = published.world.revised.get(service.key) if published else None
        return looked or first_look(service)

    def _told(self, service: OriginService, generation: int) -> dict[str, Any]:
        service = self._orders.annotated(service)
        service = replace(service, metadata=replace(service.metadata, generation=generation))
        return {**_document(service), "status": self._status(service.key)}

    def _revision(self, service: OriginService, one: Revision) -> dict[str, Any]:
        return {**_document(as_object(service, one)), "status": self._status(revision_key(service.key, one.name))}

    def _status(self, key: ObjectKey) -> dict[str, Any]:
        line = self._controller.board.lines.get(key)
        return _document(line.status) if line else {}


def _document(told: msgspec.Struct) -> dict[str, Any]:
    return dict(msgspec.to_builtins(told))
