"""The store: every object, in the version that should serve, and why a newer one does not.

A bad version never replaces a good one. Three versions of an object matter: the newest seen; the newest that was
accepted (well formed, and Envoy could run it), which serves; and the newest that every proxy has acknowledged,
which comes back when Envoy refuses the accepted one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from ..api import API_VERSION
from ..api.admission import Served, admit
from ..api.edgeproxy import EdgeProxy
from ..api.edgeroute import EdgeRoute
from ..api.meta import ObjectKey
from ..api.originrevision import OriginRevision
from ..api.originservice import OriginService
from ..api.problems import REJECTED_BY_PROXY, Problem, Refusal, summary
from ..api.resources import RESOURCES
from ..api.schema import kinds
from ..api.unsupported import unsupported
from ..translate.world import Edge, Epoch, FleetObservation, Installation, OriginObservation, Referred, Trust, World
from .documents import Lines
from .remembering import remembered

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


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one object. `serving` is the accepted version, `proven` the one that proxies acknowledged."""

    raw: Mapping[str, Any]
    where: str
    generation: int
    created: str
    serving: Served | None = None
    proven: Served | None = None
    refusal: Refusal | None = None


def key_of(raw: Mapping[str, Any]) -> ObjectKey | None:
    """The key of an object as its author wrote it, if it has one."""
    metadata = raw.get("metadata")
    kind = raw.get("kind")
    if not isinstance(metadata, Mapping) or not isinstance(kind, str) or kind not in kinds():
        return None
    name, namespace = metadata.get("name"), metadata.get("namespace") or "default"
    if not RESOURCES[kind].namespaced:
        namespace = ""
    if raw.get("apiVersion") != API_VERSION or not isinstance(name, str) or not isinstance(namespace, str):
        return None
    return ObjectKey(kind, namespace, name)


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
        if before and _same(before.raw, seen.raw):
            self.entries[key] = replace(before, where=seen.where)
            return
        self.entries[key] = self._entry(key, seen, before)
        self.changed(urgent=False)

    def _entry(self, key: ObjectKey, seen: Seen, before: Entry | None) -> Entry:
        metadata = seen.raw["metadata"]
        counted = before.generation + 1 if before else 1
        generation = _given(metadata, "generation", int) or counted
        stamped = _given(metadata, "creationTimestamp", str)
        created = before.created if before else stamped or rfc3339(self.clock())
        entry = Entry(seen.raw, seen.where, generation, created)
        verdict = _accepted(seen.raw, generation, created)
        if before:
            entry = replace(entry, serving=before.serving, proven=before.proven)
        elif self.trusts_status:
            entry = _recalled(key, entry)
        if entry.refusal:
            return entry
        if not isinstance(verdict, Rejected):
            return replace(entry, serving=verdict)
        return replace(entry, refusal=Refusal(key, generation, verdict.reason, summary(verdict.problems)))


def _recalled(key: ObjectKey, entry: Entry) -> Entry:
    """With the version that served before this process began, and with what proxies said to the newest one since."""
    told = remembered(key, entry.raw)
    if told is None:
        return entry
    kept = _accepted({**entry.raw, "spec": told.serving.spec}, told.serving.generation, entry.created)
    serving = None if isinstance(kept, Rejected) else kept
    refusal = told.refusal if told.refusal and told.refusal.generation == entry.generation else None
    return replace(entry, serving=serving, proven=serving, refusal=refusal)


def _given(metadata: Mapping[str, Any], field: str, kind: type[T]) -> T | None:
    """A field of metadata that nobody has checked yet."""
    value = metadata.get(field)
    return value if isinstance(value, kind) else None


def rfc3339(moment: datetime) -> str:
    """As Kubernetes writes times: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Rejected(NamedTuple):
    """Why a version may not serve."""

    reason: str
    problems: tuple[Problem, ...]


def _accepted(raw: Mapping[str, Any], generation: int, created: str) -> Served | Rejected:
    """The object, if it may serve."""
    admission = admit(raw)
    found = admission.object
    if found is None:
        return Rejected("Invalid", admission.problems)
    problems = unsupported(found)
    if problems:
        return Rejected("UnsupportedValue", problems)
    meta = msgspec.structs.replace(found.metadata, generation=generation, creation_timestamp=created)
    return msgspec.structs.replace(found, metadata=meta)


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two versions are equal but for what the control plane itself writes."""
    return {k: v for k, v in old.items() if k != "status"} == {k: v for k, v in new.items() if k != "status"}
