"""What somebody has ordered of a rollout by asking this process, in place of the annotation: a user's file is not ours
to write into.

Whichever was said last counts. So an order given here is over as soon as the annotation of the object is another one.
Trap: orders end with the process, and so does what followed from them.
"""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from ..api.meta import ObjectKey
from ..api.originservice import OriginService
from ..translate.revisions import wishes
from ..translate.revisions.follow import Wish
from ..translate.revisions.judgement import Order


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

    def wish(self, service: OriginService) -> Wish:
        """What `service` wishes, with the order that holds for it, wherever it was given."""
        wish, given = wishes.wish(service), self._given.get(service.key)
        return dataclasses.replace(wish, order=given.order) if given and given.instead == _written(service) else wish

    def keep(self, services: Collection[ObjectKey]) -> None:
        """Forget what was ordered of any other one: the next of its name is another one."""
        for key in self._given.keys() - services:
            del self._given[key]


def _written(service: OriginService) -> str:
    return service.metadata.annotations.get(wishes.ORDER, "")
