"""What the cluster makes of our manifests, as observations of revisions and fleets in the store.

While no revision of an OriginService is written, its first one is observed as if it was: what an operator without
revisions has left running takes requests in its name.

An object that the API server will not have is an observation too: its owner's condition carries the server's words.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from typing import Any, NamedTuple

from ..api import edgeproxy, originservice
from ..api.meta import ObjectKey, object_key
from ..api.originrevision import OriginRevision
from ..api.originservice import OriginService
from ..errors import ApiError
from ..infra.kubernetes.applier import TakenError
from ..sources.store import Store
from ..sources.workloads import UNREVISED, Workloads, owner_of, revision_of
from ..translate.doors import Door
from ..translate.fleets import fleet_observation
from ..translate.labels import ORIGIN_SERVICE
from ..translate.names import revision_key
from ..translate.observed import origin_observation
from ..translate.phases import OriginPhase
from ..translate.predecessors import inherited
from ..translate.revisions.wishes import first_look
from ..translate.running import as_revision
from ..translate.world import OriginObservation
from .answers import Answers
from .guard_pods import GuardPods

_ASKED = re.compile(r"^[A-Z]+ /\S+: ")  # what was asked of the server: of no interest to whoever wrote the object

Object = Mapping[str, Any]
Observe = Callable[[ObjectKey, OriginObservation | None], None]


class Observing:
    """Feeds `store` whenever something of an origin or a fleet has changed. `observe` takes in what is to be said of a
    revision, if it is not the store itself."""

    def __init__(self, store: Store, observe: Observe | None = None) -> None:
        self._store, self._observe = store, observe or store.observe
        self._workloads = Workloads(self.look)
        self.guards = GuardPods(self._workloads.find)
        self.answers = Answers(self._workloads, self.look)
        self._revisions: dict[ObjectKey, dict[str, OriginRevision]] = {}  # by OriginService
        self._observed: dict[ObjectKey, frozenset[ObjectKey]] = {}  # the same, as they are in the store
        self._refusals: dict[ObjectKey, dict[ObjectKey, _Refused]] = {}  # owner -> object -> why it cannot be there

    @property
    def fleets_ready(self) -> bool:
        """Whether every fleet has all of its pods, and an address if it is to have one."""
        fleets = self._store.fleets.values()
        return all(fleet.addresses and len(fleet.ready) >= fleet.replicas for fleet in fleets)

    def see(self, raw: Object) -> None:
        """A Deployment, Service or pod is there, as it is now."""
        self._workloads.see(raw)

    def gone(self, key: ObjectKey) -> None:
        self._workloads.gone(key)

    def revise(self, key: ObjectKey, revision: OriginRevision | None) -> None:
        """This revision is there, or gone."""
        before = self._store.revisions.get(key)
        owners = {service_of(one) for one in (before, revision) if one}
        if before:
            del self._revisions[service_of(before)][key.name]
        if revision:
            self._revisions.setdefault(service_of(revision), {})[key.name] = revision
        self._store.revise(key, revision)
        for owner in owners:
            self.look(owner)

    def relieved(self) -> frozenset[ObjectKey]:
        """The OriginServices with a Deployment by an operator without revisions, and an oldest revision that has
        as many replicas of its own as it should."""
        return frozenset(owner for owner in self._workloads.owners(UNREVISED) if self._is_relieved(owner))

    def refused(self, manifest: Object, error: ApiError | None) -> None:
        """The API server will not have this object, or has it now."""
        owner, key = owner_of(manifest), object_key(manifest)
        if owner is None:
            return
        if error:
            self._refusals.setdefault(owner, {})[key] = _trouble(key, error, revision_of(manifest))
        elif self._refusals.get(owner, {}).pop(key, None) is None:
            return
        self.look(owner)

    def look(self, owner: ObjectKey) -> None:
        """Observe `owner` anew."""
        if owner.kind == originservice.KIND:
            self._look_at_origin(owner)
        elif owner.kind == edgeproxy.KIND:
            self._look_at_fleet(owner)

    def _look_at_origin(self, owner: ObjectKey) -> None:
        entry = self._store.entries.get(owner)
        self.answers.look(owner)
        self.guards.look(owner, self._workloads.of(owner).pods if entry else ())
        serving = entry.serving if entry else None
        if entry and not isinstance(serving, OriginService):
            return
        found = dict(self._of_revisions(serving)) if isinstance(serving, OriginService) else {}
        for key in self._observed.pop(owner, frozenset()) - found.keys():
            self._observe(key, None)
        for key, observed in found.items():
            self._observe(key, observed)
        if found:
            self._observed[owner] = frozenset(found)

    def _of_revisions(self, service: OriginService) -> Iterator[tuple[ObjectKey, OriginObservation]]:
        versions = self._versions(service)
        oldest = next(iter(versions), None)
        refusals = self._refusals.get(service.key, {}).values()
        for name in versions.keys() | {one.revision for one in refusals} - {UNREVISED}:
            observed = OriginObservation(OriginPhase.PENDING)
            if name in versions:
                observed = self._own(versions[name], name, self.answers.of(service.key, name))
            if name == oldest:
                before = self._workloads.of(service.key, UNREVISED)
                observed = inherited(observed, versions[name], before.deployment, before.pods)
            if refused := next((one for one in refusals if one.revision in (name, UNREVISED)), None):
                observed = replace(observed, phase=OriginPhase.FAILED, reason=refused.reason, message=refused.message)
            yield revision_key(service.key, name), observed

    def _own(self, version: OriginService, name: str, answered: Set[Door] = frozenset()) -> OriginObservation:
        there = self._workloads.of(version.key, name)
        return origin_observation(version, name, there.deployment, there.pods, answered)

    def _versions(self, service: OriginService) -> Mapping[str, OriginService]:
        """`service` as each of its revisions has it, the oldest first; when there is none, the one that will be."""
        known = sorted(self._revisions.get(service.key, {}).values(), key=lambda one: one.spec.number)
        there = {one.metadata.name: as_revision(service, one.spec.template) for one in known}
        return there or {one.name: service for one in first_look(service).present}

    def _is_relieved(self, owner: ObjectKey) -> bool:
        entry = self._store.entries.get(owner)
        if entry is None or not isinstance(entry.serving, OriginService):
            return False
        for name, version in self._versions(entry.serving).items():
            own = self._own(version, name)
            return own.replicas is not None and len(own.endpoints) >= own.replicas
        return False

    def _look_at_fleet(self, owner: ObjectKey) -> None:
        workload = self._workloads.of(owner)
        observed = fleet_observation(workload.deployment, workload.service, workload.pods)
        if refused := self._refused(owner):
            observed = replace(observed, reason=refused.reason, message=refused.message)
        self._store.observe_fleet(owner.name, observed if owner in self._store.entries else None)

    def _refused(self, owner: ObjectKey) -> "_Refused | None":
        return next(iter(self._refusals.get(owner, {}).values()), None)


def service_of(revision: OriginRevision) -> ObjectKey:
    """Whose it is."""
    metadata = revision.metadata
    return ObjectKey(originservice.KIND, metadata.namespace, metadata.labels.get(ORIGIN_SERVICE, ""))


class _Refused(NamedTuple):
    """Without a `revision` it is all revisions' affair."""

    reason: str
    message: str
    revision: str


def _trouble(key: ObjectKey, error: ApiError, revision: str) -> _Refused:
    if isinstance(error, TakenError):
        return _Refused("NameTaken", str(error), revision)
    words = _ASKED.sub("", str(error))
    return _Refused("NotApplied", f"the API server does not take {key}: {words}", revision)
