"""What a rule's origins stand for: a cluster, or nothing (yet)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..api import originservice
from ..api.edgeroute import EdgeRoute, WeightedOrigin
from ..api.meta import ObjectKey
from ..api.originservice import OriginService
from .access import may_call
from .identities import Claim, origin_id, subject, url_audience
from .names import called_by, service_cluster, url_authority, url_cluster
from .world import OriginObservation, OriginPhase, World


@dataclass(frozen=True, slots=True)
class Target:
    """Where one share of a rule's requests goes. `cluster` is None when the OriginService does not exist, or is another
    namespace's that does not let the caller in. `claim` is whom it is called as, and who hears that."""

    origin: WeightedOrigin
    cluster: str | None
    service: ObjectKey | None = None
    authority: str | None = None  # what an origin elsewhere expects as its Host
    claim: Claim | None = None


Targets = Mapping[ObjectKey, tuple[tuple[Target, ...], ...]]  # route -> of each rule, of each origin


@dataclass(frozen=True, slots=True)
class Directory:
    """Every OriginService there is, whether or not any version of it can serve."""

    names: Mapping[str, tuple[str, ...]]  # namespace -> sorted names
    services: Mapping[ObjectKey, OriginService]
    observations: Mapping[ObjectKey, OriginObservation]
    trust_domain: str

    @classmethod
    def of(cls, world: World) -> "Directory":
        services = {service.key: service for service in world.origins}
        refused = {key for key in world.refusals if key.kind == originservice.KIND}
        names: dict[str, list[str]] = {}
        for key in sorted(services.keys() | refused):
            names.setdefault(key.namespace, []).append(key.name)
        known = {namespace: tuple(found) for namespace, found in names.items()}
        return cls(known, services, world.observations, world.trust.trust_domain)

    def target(self, route: EdgeRoute, origin: WeightedOrigin) -> Target:
        caller = route.metadata.namespace, route.spec.service_account_name
        if origin.url is not None:
            return _elsewhere(origin, origin.url, *caller)
        key = _key(route, origin)
        if not self.reachable(route, key):
            return Target(origin, None, service=key)
        claim = Claim(subject(*caller), origin_id(self.trust_domain, key))
        return Target(origin, called_by(service_cluster(key), *caller), service=key, claim=claim)

    def reachable(self, route: EdgeRoute, key: ObjectKey) -> bool:
        """Whether requests of `route` are sent to this origin at all."""
        if key.namespace == route.metadata.namespace:
            return key.name in self.names.get(key.namespace, ())
        return self.admits(route, key)

    def admits(self, route: EdgeRoute, key: ObjectKey) -> bool:
        """Whether a version of the origin serves that lets the route's caller in."""
        service = self.services.get(key)
        return service is not None and may_call(route, service)

    def targets(self, route: EdgeRoute) -> tuple[tuple[Target, ...], ...]:
        """The targets of each rule of `route`."""
        return tuple(tuple(self.target(route, origin) for origin in rule.origins) for rule in route.spec.rules)

    def phase(self, key: ObjectKey) -> OriginPhase:
        """Whether requests to this origin find anybody."""
        seen = self.observations.get(key)
        if seen is None:
            return OriginPhase.PENDING
        return OriginPhase.READY if seen.endpoints else seen.phase


def _key(route: EdgeRoute, origin: WeightedOrigin) -> ObjectKey:
    named = origin.service
    namespace = (named.namespace if named else "") or route.metadata.namespace
    return ObjectKey(originservice.KIND, namespace, named.name if named else "")


@lru_cache(maxsize=16_384)
def _elsewhere(origin: WeightedOrigin, url: str, namespace: str, service_account: str) -> Target:
    return Target(
        origin,
        called_by(url_cluster(url), namespace, service_account),
        authority=url_authority(url),
        claim=Claim(subject(namespace, service_account), url_audience(url)),
    )
