"""What a rule's origins stand for: a cluster, or nothing (yet)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd

from ..api import originservice
from ..api.edgeroute import EdgeRoute, WeightedOrigin
from ..api.meta import ObjectKey
from ..api.originservice import OriginService
from .access import may_call
from .identities import Claim, origin_id, subject, url_audience
from .names import called_by, revision_cluster, url_authority, url_cluster
from .phases import OriginPhase
from .replicas import NOBODY, Replicas
from .revisions.traffic import ALL
from .world import World


@dataclass(frozen=True, slots=True)
class Target:
    """Where one share of a rule's requests goes. `cluster` is None when the OriginService does not exist, or is another
    namespace's that does not let the caller in. `claim` is whom it is called as, and who hears that.

    An origin has a target for each revision that gets requests; all of them have a part of its `weight`.
    """

    origin: WeightedOrigin
    weight: int
    cluster: str | None
    service: ObjectKey | None = None
    authority: str | None = None  # what an origin elsewhere expects as its Host
    claim: Claim | None = None
    sleeps: bool = False  # whether it may be that requests have to wait for a replica


Targets = Mapping[ObjectKey, tuple[tuple[Target, ...], ...]]  # route -> of each rule, of each origin


@dataclass(frozen=True, slots=True)
class Directory:
    """Every OriginService there is, whether or not any version of it can serve."""

    names: Mapping[str, tuple[str, ...]]  # namespace -> sorted names
    services: Mapping[ObjectKey, OriginService]
    replicas: Mapping[ObjectKey, Replicas]
    trust_domain: str

    @classmethod
    def of(cls, world: World) -> "Directory":
        services = {service.key: service for service in world.origins}
        refused = {key for key in world.refusals if key.kind == originservice.KIND}
        names: dict[str, list[str]] = {}
        for key in sorted(services.keys() | refused):
            names.setdefault(key.namespace, []).append(key.name)
        known = {namespace: tuple(found) for namespace, found in names.items()}
        replicas = {key: Replicas.of(service, world) for key, service in services.items()}
        return cls(known, services, replicas, world.trust.trust_domain)

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
        return tuple(_fair(self._targets(route, rule.origins)) for rule in route.spec.rules)

    def phase(self, key: ObjectKey) -> OriginPhase:
        """Whether requests to this origin find anybody, or somebody who can be woken."""
        found = self.replicas.get(key)
        return found.phase if found else OriginPhase.PENDING

    def _targets(self, route: EdgeRoute, origins: Iterable[WeightedOrigin]) -> Iterator[Target]:
        caller = route.metadata.namespace, route.spec.service_account_name
        for origin in origins:
            if origin.url is not None:
                yield _elsewhere(origin, origin.url, *caller)
                continue
            key = _key(route, origin)
            if self.reachable(route, key):
                yield from self._shares(origin, key, caller)
            else:
                yield Target(origin, origin.weight * ALL, None, service=key)

    def _shares(self, origin: WeightedOrigin, key: ObjectKey, caller: tuple[str, str]) -> Iterator[Target]:
        """One for each revision that gets requests. Of a service no version of which can serve there is none."""
        claim = Claim(subject(*caller), origin_id(self.trust_domain, key))
        replicas = self.replicas.get(key, NOBODY)
        for revision, percent in replicas.shares:
            cluster = called_by(revision_cluster(key, revision, replicas.epoch(revision).number), *caller)
            weight = origin.weight * percent
            yield Target(origin, weight, cluster, service=key, claim=claim, sleeps=replicas.sleeps)


def _fair(targets: Iterable[Target]) -> tuple[Target, ...]:
    """With weights as small as they can be: most origins have all requests, and most revisions all of an origin's."""
    found = tuple(targets)
    common = gcd(*(target.weight for target in found)) or 1
    return found if common == 1 else tuple(replace(one, weight=one.weight // common) for one in found)


def _key(route: EdgeRoute, origin: WeightedOrigin) -> ObjectKey:
    named = origin.service
    namespace = (named.namespace if named else "") or route.metadata.namespace
    return ObjectKey(originservice.KIND, namespace, named.name if named else "")


@lru_cache(maxsize=16_384)
def _elsewhere(origin: WeightedOrigin, url: str, namespace: str, service_account: str) -> Target:
    return Target(
        origin,
        origin.weight * ALL,
        called_by(url_cluster(url), namespace, service_account),
        authority=url_authority(url),
        claim=Claim(subject(namespace, service_account), url_audience(url)),
    )
