"""What the cluster has made of our manifests: Deployments, Services and pods, by whom they belong to, and by revision.

Their labels say that. What follows from them for an origin or a fleet is said by `translate`; here they are only kept,
and whoever cares is told whose have changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..api import API_VERSION, edgeproxy, originrevision, originservice
from ..api.meta import ObjectKey, object_key
from ..translate.labels import (
    EDGE_PROXY,
    MANAGED_BY,
    MANAGER,
    ORIGIN_SERVICE,
    REVISION,
    object_name,
    origin_object_name,
)
from ..translate.world import Installation

UNREVISED = ""  # as a revision: what an operator without revisions has made
_OF_REVISIONS = ("Deployment", originrevision.KIND)

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """All of it that belongs to one object, or to one revision."""

    deployment: Object | None = None
    service: Object | None = None
    pods: tuple[Object, ...] = ()


@dataclass(slots=True)
class Workloads:
    """`changed` is told the key of the OriginService or EdgeProxy whose workload is another one now."""

    changed: Callable[[ObjectKey], None]
    _objects: dict[ObjectKey, Object] = field(default_factory=dict)
    _owned: dict[ObjectKey, set[ObjectKey]] = field(default_factory=dict)

    def see(self, raw: Object) -> None:
        """An object is there, as it is now."""
        key, owner = object_key(raw), owner_of(raw)
        before = self._objects.get(key)
        if before is not None and owner_of(before) != owner:
            self.gone(key)
        if owner is not None:
            self._objects[key] = raw
            self._owned.setdefault(owner, set()).add(key)
            self.changed(owner)

    def gone(self, key: ObjectKey) -> None:
        raw = self._objects.pop(key, None)
        owner = owner_of(raw) if raw is not None else None
        if owner is None:
            return
        owned = self._owned[owner]
        owned.discard(key)
        if not owned:
            del self._owned[owner]
        self.changed(owner)

    def find(self, key: ObjectKey) -> Object | None:
        """One of them; None when it is not there, or belongs to nobody."""
        return self._objects.get(key)

    def owners(self, revision: str) -> tuple[ObjectKey, ...]:
        """Whose Deployments of that revision are there."""
        there = (raw for key, raw in self._objects.items() if key.kind == "Deployment" and revision_of(raw) == revision)
        return tuple(owner for owner in map(owner_of, there) if owner and self.of(owner, revision).deployment)

    def of(self, owner: ObjectKey, revision: str | None = None) -> Workload:
        """What belongs to `owner` now, or to one of its revisions."""
        every = [(key, self._objects[key]) for key in sorted(self._owned.get(owner, ()))]
        found = [(key, raw) for key, raw in every if revision is None or revision_of(raw) == revision]
        made = {key.kind: raw for key, raw in found if key.name == _name_for(raw, owner)}
        pods = tuple(raw for key, raw in found if key.kind == "Pod")
        return Workload(made.get("Deployment"), made.get("Service"), pods)


def owner_of(raw: Object) -> ObjectKey | None:
    """Whose it is by its labels; None when it is nobody's that we know."""
    metadata = raw["metadata"]
    labels = metadata.get("labels") or {}
    if ORIGIN_SERVICE in labels:
        return ObjectKey(originservice.KIND, metadata.get("namespace", ""), labels[ORIGIN_SERVICE])
    if EDGE_PROXY in labels:
        return ObjectKey(edgeproxy.KIND, "", labels[EDGE_PROXY])
    return None


def revision_of(raw: Object) -> str:
    """The name of the revision that it belongs to."""
    return str((raw["metadata"].get("labels") or {}).get(REVISION, UNREVISED))


def _name_for(raw: Object, owner: ObjectKey) -> str:
    """What an object of that kind is called that is made for `owner`, or for the revision that its label names."""
    if owner.kind != originservice.KIND:
        return object_name(owner.name)
    if raw["kind"] in _OF_REVISIONS and (revision := revision_of(raw)):
        return revision
    return origin_object_name(owner.name, raw["kind"])


def made_by(raw: Object, place: Installation) -> bool:
    """Whether the operator of `place` made it: not another one, nor a controller of Kubernetes that passes labels on,
    nor somebody who copied it under a new name."""
    metadata, owner = raw["metadata"], owner_of(raw)
    references = metadata.get("ownerReferences") or ()
    if (metadata.get("labels") or {}).get(MANAGED_BY) != MANAGER:
        return False
    if any(one.get("controller") and one["apiVersion"] != API_VERSION for one in references):
        return False
    if owner and metadata["name"] != _name_for(raw, owner):
        return False
    if owner and owner.kind == originservice.KIND:
        return True
    operators = {one["name"] for one in references if one["kind"] == "Deployment"}
    return metadata.get("namespace") == place.namespace and (not operators or place.name in operators)
