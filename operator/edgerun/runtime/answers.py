"""Which pods have answered somebody who knocked, before the kubelet said that they are ready.

Such an answer counts until the kubelet says the same for the first time, and from then on only its word does: so an
endpoint does not go between the two. It ends with the pod, and with the life of its containers that answered.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass, field

from ..api.meta import ObjectKey
from ..sources.workloads import Workloads
from ..translate.doors import Door
from ..translate.observed import doors

_NONE: frozenset[Door] = frozenset()


@dataclass(slots=True)
class Answers:
    """`changed` is told the OriginService of whose pods one has answered."""

    workloads: Workloads
    changed: Callable[[ObjectKey], None]
    _doors: dict[ObjectKey, dict[str, frozenset[Door]]] = field(default_factory=dict)  # as they were looked at last
    _heard: dict[ObjectKey, frozenset[Door]] = field(default_factory=dict)

    def doors(self, service: ObjectKey, revision: str) -> Set[Door]:
        """Those of the pods that the kubelet has not called ready."""
        known = self._doors.setdefault(service, {})
        if revision not in known:
            known[revision] = doors(self.workloads.of(service, revision).pods)
        return known[revision]

    def hear(self, service: ObjectKey, revision: str, door: Door) -> None:
        """Somebody answered there."""
        if door in self.doors(service, revision):
            self._heard[service] = self._heard.get(service, _NONE) | {door}
            self.changed(service)

    def of(self, service: ObjectKey, revision: str) -> Set[Door]:
        """Those that take requests by what was heard of them."""
        heard = self._heard.get(service)
        return heard & self.doors(service, revision) if heard else _NONE

    def look(self, service: ObjectKey) -> None:
        """Its pods are others now, or fare otherwise."""
        self._doors.pop(service, None)
        heard = self._heard.pop(service, _NONE)
        if heard and (still := heard & doors(self.workloads.of(service).pods)):
            self._heard[service] = still
