"""What the cluster makes of our manifests, as observations of origins and fleets in the store.

An object that the API server will not have is an observation too: its owner's condition carries the server's words.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..api import edgeproxy, originservice
from ..api.meta import ObjectKey, object_key
from ..api.originservice import OriginService
from ..errors import ApiError
from ..infra.kubernetes.applier import TakenError
from ..sources.store import Store
from ..sources.workloads import Workloads, owner_of
from ..translate.fleets import fleet_observation
from ..translate.observed import origin_observation
from ..translate.phases import OriginPhase
from .guard_pods import GuardPods

_ASKED = re.compile(r"^[A-Z]+ /\S+: ")  # what was asked of the server: of no interest to whoever wrote the object

Object = Mapping[str, Any]


class Observing:
    """Feeds `store` whenever something of an origin or a fleet has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._workloads = Workloads(self.look)
        self.guards = GuardPods(self._workloads.find)
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

    def refused(self, manifest: Object, error: ApiError | None) -> None:
        """The API server will not have this object, or has it now."""
        owner, key = owner_of(manifest), object_key(manifest)
        if owner is None:
            return
        if error:
            self._refusals.setdefault(owner, {})[key] = _trouble(key, error)
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
        entry, workload = self._store.entries.get(owner), self._workloads.of(owner)
        self.guards.look(owner, workload.pods if entry else ())
        if entry is None or not isinstance(entry.serving, OriginService):
            if owner in self._store.observations and entry is None:
                self._store.observe(owner, None)
            return
        observed = origin_observation(entry.serving, workload.deployment, workload.pods)
        if refused := self._refused(owner):
            observed = replace(observed, phase=OriginPhase.FAILED, reason=refused.reason, message=refused.message)
        self._store.observe(owner, observed)

    def _look_at_fleet(self, owner: ObjectKey) -> None:
        workload = self._workloads.of(owner)
        observed = fleet_observation(workload.deployment, workload.service, workload.pods)
        if refused := self._refused(owner):
            observed = replace(observed, reason=refused.reason, message=refused.message)
        self._store.observe_fleet(owner.name, observed if owner in self._store.entries else None)

    def _refused(self, owner: ObjectKey) -> "_Refused | None":
        return next(iter(self._refusals.get(owner, {}).values()), None)


class _Refused(NamedTuple):
    reason: str
    message: str


def _trouble(key: ObjectKey, error: ApiError) -> _Refused:
    if isinstance(error, TakenError):
        return _Refused("NameTaken", str(error))
    words = _ASKED.sub("", str(error))
    return _Refused("NotApplied", f"the API server does not take {key}: {words}")
