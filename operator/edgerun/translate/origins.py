"""What a rule's origins stand for: a cluster, or nothing (yet)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..api import originservice
from ..api.edgeroute import EdgeRoute, WeightedOrigin
from ..api.meta import ObjectKey
from ..api.originservice import OriginService
from .names import service_cluster, url_authority, url_cluster
from .world import OriginObservation, OriginPhase, World


@dataclass(frozen=True, slots=True)
class Target:
    """Where one share of a rule's requests goes. `cluster` is None when the OriginService does not exist."""

    origin: WeightedOrigin
    cluster: str | None
    service: ObjectKey | None = None
    authority: str | None = None  # what an origin elsewhere expects as its Host


Targets = Mapping[ObjectKey, tuple[tuple[Target, ...], ...]]  # route -> of each rule, of each origin


@dataclass(frozen=True, slots=True)
class Directory:
    """Every OriginService there is, whether or not any version of it can serve."""

    names: Mapping[str, tuple[str, ...]]  # namespace -> sorted names
    services: Mapping[ObjectKey, OriginService]
    observations: Mapping[ObjectKey, OriginObservation]

    @classmethod
    def of(cls, world: World) -> "Directory":
        services = {service.key: service for service in world.origins}
        refused = {key for key in world.refusals if key.kind == originservice.KIND}
        names: dict[str, list[str]] = {}
        for key in sorted(services.keys() | refused):
            names.setdefault(key.namespace, []).append(key.name)
        return cls({namespace: tuple(known) for namespace, known in names.items()}, services, world.observations)

    def target(self, route: EdgeRoute, origin: WeightedOrigin) -> Target:
        if origin.url is not None:
            return _elsewhere(origin, origin.url)
        key = ObjectKey(originservice.KIND, route.metadata.namespace, origin.service.name if origin.service else "")
        exists = key.name in self.names.get(key.namespace, ())
        return Target(origin, service_cluster(key) if exists else None, service=key)

    def targets(self, route: EdgeRoute) -> tuple[tuple[Target, ...], ...]:
        """The targets of each rule of `route`."""
        return tuple(tuple(self.target(route, origin) for origin in rule.origins) for rule in route.spec.rules)

    def phase(self, key: ObjectKey) -> OriginPhase:
        """Whether requests to this origin find anybody."""
        seen = self.observations.get(key)
        if seen is None:
            return OriginPhase.PENDING
        return OriginPhase.READY if seen.endpoints else seen.phase


@lru_cache(maxsize=16_384)
def _elsewhere(origin: WeightedOrigin, url: str) -> Target:
    return Target(origin, url_cluster(url), authority=url_authority(url))
