"""What somebody has ordered of a rollout by asking this process, in place of the annotation: a user's file is not ours
to write into.

Whichever was said last counts. So an order given here is over as soon as the annotation of the object is another one.
Trap: orders end with the process, and so does what followed from them.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from ..api.meta import ObjectKey
from ..api.originservice import OriginService
from ..translate.revisions.judgement import Order
from ..translate.revisions.wishes import ORDER


class Given(NamedTuple):
    """`instead` is the annotation that was there when the order was given."""

    order: Order
    instead: str


@dataclass(slots=True)
class Orders:
    """One for each OriginService at most, as there is one annotation."""

    _given: dict[ObjectKey, Given] = field(default_factory=dict)

    def give(self, service: OriginService, order: Order) -> None:
        self._given[service.key] = Given(order, _written(service))

    def annotated(self, service: OriginService) -> OriginService:
        """`service` with the order that holds for it, wherever it was given."""
        given = self._given.get(service.key)
        if given is None or given.instead != _written(service):
            return service
        written = f"{given.order.verb}/{given.order.revision_name}"
        annotations = {**service.metadata.annotations, ORDER: written}
        return replace(service, metadata=replace(service.metadata, annotations=annotations))

    def forget(self, key: ObjectKey) -> None:
        """It is gone: the next one of its name is another one."""
        self._given.pop(key, None)


def _written(service: OriginService) -> str:
    return service.metadata.annotations.get(ORDER, "")
