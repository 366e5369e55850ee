"""What goes through the edges to a revision that sleeps, wakes or is about to: who asks for it, and whether anything is
still under way to a cluster that is to go.

Trap: a proxy that takes requests and is not connected may have anything under way. Nothing is true of all proxies
before it is back, and where nobody is connected nothing is true at all.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from ..api.meta import ObjectKey
from ..sources.store import Store
from ..translate.identities import is_guard
from ..translate.names import Called, called
from ..translate.plan import CLUSTER
from ..translate.world import AWAKE, Epoch
from ..xds.server import Proxy
from .controller import Controller, Published


class Edges(Protocol):
    """What proxies ask for and have acknowledged; `xds.server` has it."""

    def demand(self) -> Mapping[str, int]: ...

    async def demand_other_than(self, seen: Mapping[str, int]) -> Mapping[str, int]: ...

    def proxies(self) -> Sequence[Proxy]: ...


class Reports(Protocol):
    """What proxies are busy with; `xds.loads` has it."""

    def quiet(self, cluster: str, since: float) -> Set[str]: ...


@dataclass(frozen=True, slots=True)
class Passage:
    """`published` is what proxies should serve now."""

    store: Store
    edges: Edges
    reports: Reports
    published: Callable[[], Published | None]

    @classmethod
    def of(cls, controller: Controller) -> "Passage":
        return cls(controller.store, controller.server, controller.loads, lambda: controller.published)

    def asked(self) -> Set[tuple[ObjectKey, int]]:
        """The revisions that requests wait for, with the number of the epoch."""
        names = (called(name) for name in self.edges.demand())
        return {(one.revision, one.epoch) for one in names if one}

    def serial(self, key: ObjectKey, epoch: Epoch) -> int | None:
        """That of what is published, if this epoch is in it."""
        published = self.published()
        return published.serial if published and published.world.epochs.get(key) == epoch else None

    def acknowledged(self, serial: int) -> bool:
        """Whether every proxy that takes requests serves this."""
        proxies = self._proxies()
        here = {one.id for one in proxies}
        return bool(here) and self._expected() <= here and all(one.acked_serial >= serial for one in proxies)

    def quiet(self, key: ObjectKey, number: int, since: float) -> bool:
        """Whether every one has had nothing under way to the cluster of this epoch for a while that began after
        `since`."""
        proxies = {one.id for one in self._proxies()}
        return all(proxies <= self.reports.quiet(name, since) for name in self._clusters(key, number))

    def left(self, stays: Mapping[ObjectKey, float]) -> Set[ObjectKey]:
        """Those of the revisions that have had nothing under way, in whatever cluster of theirs, for a while that began
        after the time that is given. Proxies that have no such cluster do not count."""
        busy = {
            found.revision
            for fleet, name, found in (self._named() if stays else ())
            if found.revision in stays and not self._of(fleet) <= self.reports.quiet(name, stays[found.revision])
        }
        return stays.keys() - busy

    def awaited(self, keys: Collection[ObjectKey]) -> Set[ObjectKey]:
        """Those of the revisions for which requests are held, as far as proxies have been told."""
        published, asked = self.published(), self.asked() if keys else frozenset()
        epochs = published.world.epochs if published else {}
        cold = ((key, epochs[key]) for key in keys if epochs.get(key, AWAKE).cold)
        return {key for key, epoch in cold if (key, epoch.number) in asked}

    def _clusters(self, key: ObjectKey, number: int) -> Iterator[str]:
        """There is one for each caller."""
        return (name for _, name, found in self._named() if found.revision == key and found.epoch == number)

    def _named(self) -> Iterator[tuple[str, str, Called]]:
        """All clusters of revisions, and the edges that have them."""
        published = self.published()
        for fleet, resources in published.plan.fleets.items() if published else ():
            for name in () if is_guard(fleet) else resources[CLUSTER]:
                if found := called(name):
                    yield fleet, name, found

    def _of(self, fleet: str) -> Set[str]:
        """The proxies of one edge: those that take requests, and those that are connected."""
        observed = self.store.fleets.get(fleet)
        return {*(observed.ready if observed else ()), *(one.id for one in self._proxies() if one.fleet == fleet)}

    def _proxies(self) -> Sequence[Proxy]:
        return [one for one in self.edges.proxies() if not is_guard(one.fleet)]

    def _expected(self) -> Set[str]:
        """The proxies that take requests, as far as their pods are observed."""
        return {pod for fleet in self.store.fleets.values() for pod in fleet.ready}
