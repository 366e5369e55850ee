"""The store: all that is known, of objects and of what became of them, to be looked at as one World.

Which version of an object serves, `entries` says; what is seen, decided and acknowledged is said by others, and only
what is news is passed on to whoever rebuilds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import msgspec

from ..api.admission import Served
from ..api.edgeproxy import EdgeProxy
from ..api.edgeroute import EdgeRoute
from ..api.meta import ObjectKey
from ..api.originrevision import OriginRevision
from ..api.originservice import OriginService
from ..api.problems import REJECTED_BY_PROXY, Refusal
from ..translate.world import Edge, Epoch, FleetObservation, Installation, OriginObservation, Referred, Trust, World
from .documents import Lines
from .entries import Entry, first, following, key_of, same

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """A source sees this version of an object now. `where` is for people: a file and line, "" for a cluster."""

    raw: Mapping[str, Any]
    where: str = ""
    lines: Lines | None = None  # where the object's fields stand, when a file is the source


@dataclass(frozen=True, slots=True)
class Gone:
    """A source sees the object no longer."""

    key: ObjectKey


Change = Seen | Gone
Feed = Callable[[Change], None]


class Changed(Protocol):
    """Told of every change that matters; `urgent` when requests depend on it."""

    def __call__(self, *, urgent: bool) -> None: ...


@dataclass(slots=True)
class Store:
    """Feeds come in, Worlds go out. `trusts_status` says that only a control plane writes the status of objects."""

    edge: Edge
    clock: Callable[[], datetime]
    changed: Changed
    trusts_status: bool = False
    entries: dict[ObjectKey, Entry] = field(default_factory=dict)
    observations: dict[ObjectKey, OriginObservation] = field(default_factory=dict)
    revisions: dict[ObjectKey, OriginRevision] = field(default_factory=dict)
    scales: dict[ObjectKey, int] = field(default_factory=dict)
    epochs: dict[ObjectKey, Epoch] = field(default_factory=dict)
    fleets: dict[str, FleetObservation] = field(default_factory=dict)
    referred: Referred = field(default_factory=Referred)
    installation: Installation | None = None
    trust: Trust = field(default_factory=Trust)

    def apply(self, change: Change) -> None:
        """Take in what a source sees. A version that changes nothing is dropped here."""
        match change:
            case Seen():
                self._see(change)
            case Gone():
                if self.entries.pop(change.key, None):
                    self.changed(urgent=False)

    def revise(self, key: ObjectKey, revision: OriginRevision | None) -> None:
        """Take in that a revision is there; None when it is gone. That its status is another one changes nothing."""
        before = self.revisions.get(key)
        if before == revision:
            return
        if revision is None:
            del self.revisions[key]
        else:
            self.revisions[key] = revision
        if before is None or revision is None or msgspec.structs.replace(before, status=revision.status) != revision:
            self.changed(urgent=True)

    def sleep(self, key: ObjectKey, epoch: Epoch | None) -> None:
        """Take in that a revision goes to zero, or comes back from it; None when it is gone. Requests wait for it."""
        if self.epochs.get(key) == epoch:
            return
        if epoch is None:
            del self.epochs[key]
        else:
            self.epochs[key] = epoch
        self.changed(urgent=True)

    def observe(self, key: ObjectKey, observation: OriginObservation | None) -> None:
        """Take in what the infrastructure says of a revision. Requests depend on it, so it is urgent."""
        if self.observations.get(key) == observation:
            return
        if observation is None:
            del self.observations[key]
        else:
            self.observations[key] = observation
        self.changed(urgent=True)

    def scale(self, key: ObjectKey, replicas: int | None) -> None:
        """Take in how many replicas of a revision were decided, None when nothing is. Requests may wait for them."""
        if self.scales.get(key) == replicas:
            return
        if replicas is None:
            del self.scales[key]
        else:
            self.scales[key] = replicas
        self.changed(urgent=True)

    def observe_fleet(self, name: str, observation: FleetObservation | None) -> None:
        """Take in what the infrastructure says of the pods of an EdgeProxy; None when it is gone."""
        if self.fleets.get(name) == observation:
            return
        if observation is None:
            del self.fleets[name]
        else:
            self.fleets[name] = observation
        self.changed(urgent=False)

    def refer(self, referred: Referred) -> None:
        """Take in what is known of the Secrets and ConfigMaps that templates read."""
        if self.referred != referred:
            self.referred = referred
            self.changed(urgent=False)

    def settle(self, installation: Installation) -> None:
        """Take in where the operator itself lives, and what its proxies trust."""
        if self.installation != installation:
            self.installation = installation
            self.changed(urgent=False)

    def trusting(self, trust: Trust) -> None:
        """Take in by what guards know who calls. A key that is revoked must be gone at once, so it is urgent."""
        if self.trust != trust:
            self.trust = trust
            self.changed(urgent=True)

    def prove(self, served: Served) -> None:
        """Every proxy has acknowledged this version: should a later one be refused, this one serves."""
        entry = self.entries.get(served.key)
        if entry and entry.serving == served:
            self.entries[served.key] = replace(entry, proven=served)

    def quarantine(self, served: Served, message: str) -> None:
        """A proxy refused this version: the proven one serves in its place until the object changes."""
        entry = self.entries.get(served.key)
        if entry is None or entry.serving != served:
            return
        refusal = Refusal(served.key, entry.generation, REJECTED_BY_PROXY, message)
        self.entries[served.key] = replace(entry, serving=entry.proven, refusal=refusal)
        self.changed(urgent=True)

    def snapshot(self) -> World:
        """All of it, as it is now."""
        serving = [entry.serving for entry in self.entries.values() if entry.serving]
        return World(
            edge=self.edge,
            trust=self.trust,
            installation=self.installation,
            proxies=tuple(found for found in serving if isinstance(found, EdgeProxy)),
            routes=tuple(found for found in serving if isinstance(found, EdgeRoute)),
            origins=tuple(found for found in serving if isinstance(found, OriginService)),
            observations=dict(self.observations),
            revisions=dict(self.revisions),
            scales=dict(self.scales),
            epochs=dict(self.epochs),
            fleets=dict(self.fleets),
            referred=self.referred,
            refusals={key: entry.refusal for key, entry in self.entries.items() if entry.refusal},
        )

    def _see(self, seen: Seen) -> None:
        key = key_of(seen.raw)
        if key is None:
            return  # it has no name to remember it by: the source reports it
        before = self.entries.get(key)
        if before and same(before.raw, seen.raw):
            self.entries[key] = replace(before, where=seen.where)
            return
        self.entries[key] = self._entry(key, seen, before)
        self.changed(urgent=False)

    def _entry(self, key: ObjectKey, seen: Seen, before: Entry | None) -> Entry:
        if before:
            return following(key, seen.raw, seen.where, before)
        return first(key, seen.raw, seen.where, now=rfc3339(self.clock()), trusts_status=self.trusts_status)


def rfc3339(moment: datetime) -> str:
    """As Kubernetes writes times: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
