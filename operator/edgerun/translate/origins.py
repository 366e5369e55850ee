"""What a rule's origins stand for: a cluster, or nothing (yet)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from math import gcd
from typing import NamedTuple

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

    An origin has a target for each revision that gets requests; all of them have a part of its `weight`. `tags` are
    those of its service, each with the cluster of the revision that has it; of an origin that names one there are none.
    """

    origin: WeightedOrigin
    weight: int
    cluster: str | None
    service: ObjectKey | None = None
    authority: str | None = None  # what an origin elsewhere expects as its Host
    claim: Claim | None = None
    sleeps: bool = False  # whether it may be that requests have to wait for a replica
    tags: tuple[tuple[str, str], ...] = ()
    affine: bool = False  # whether a client stays with the replica that it had


Targets = Mapping[ObjectKey, tuple[tuple[Target, ...], ...]]  # route -> of each rule, of each origin


class Way(NamedTuple):
    """A part of an origin's requests, `percent` of them: what a Target has beside its origin and weight, in its order.
    All rules with the same origin and caller have the same ones."""

    percent: int
    cluster: str | None
    service: ObjectKey | None = None
    authority: str | None = None
    claim: Claim | None = None
    sleeps: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    affine: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """Every OriginService there is, whether or not any version of it can serve."""

    present: frozenset[ObjectKey]
    names: Mapping[str, tuple[str, ...]]  # namespace -> sorted names
    services: Mapping[ObjectKey, OriginService]
    replicas: Mapping[ObjectKey, Replicas]
    trust_domain: str
    _ways: dict[tuple[ObjectKey, str, tuple[str, str]], tuple[Way, ...]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, world: World) -> "Directory":
        services = {service.key: service for service in world.origins}
        refused = {key for key in world.refusals if key.kind == originservice.KIND}
        present = frozenset(services.keys() | refused)
        names: dict[str, list[str]] = {}
        for key in sorted(present):
            names.setdefault(key.namespace, []).append(key.name)
        known = {namespace: tuple(found) for namespace, found in names.items()}
        replicas = {key: Replicas.of(service, world) for key, service in services.items()}
        return cls(present, known, services, replicas, world.trust.trust_domain)

    def reachable(self, route: EdgeRoute, key: ObjectKey) -> bool:
        """Whether requests of `route` are sent to this origin at all."""
        if key.namespace == route.metadata.namespace:
            return key in self.present
        return self.admits(route, key)

    def admits(self, route: EdgeRoute, key: ObjectKey) -> bool:
        """Whether a version of the origin serves that lets the route's caller in."""
        service = self.services.get(key)
        return service is not None and may_call(route, service)

    def targets(self, route: EdgeRoute) -> tuple[tuple[Target, ...], ...]:
        """The targets of each rule of `route`."""
        return tuple(self._targets(route, rule.origins) for rule in route.spec.rules)

    def phase(self, key: ObjectKey, tag: str = "") -> OriginPhase:
        """Whether requests to this origin, or the revision of it that has this tag, find anybody, or somebody who can
        be woken."""
        found = self.replicas.get(key, NOBODY)
        return (found.with_tag(tag) if tag else found).phase

    def affine(self, key: ObjectKey) -> bool:
        """Whether clients of this origin have a session."""
        return key in self.services and self.services[key].spec.session_affinity

    def tags(self, key: ObjectKey) -> tuple[str, ...]:
        """Those of this origin that lead to a revision."""
        return tuple(sorted(self.replicas.get(key, NOBODY).tags))

    def _targets(self, route: EdgeRoute, origins: Iterable[WeightedOrigin]) -> tuple[Target, ...]:
        shares = [(origin, way) for origin in origins for way in self._ways_to(route, origin)]
        weights = [origin.weight * way.percent for origin, way in shares]
        common = _common(weights, affine=any(way.affine for _, way in shares))
        return tuple(
            Target(origin, weight // common, *way[1:]) for (origin, way), weight in zip(shares, weights, strict=True)
        )

    def _ways_to(self, route: EdgeRoute, origin: WeightedOrigin) -> tuple[Way, ...]:
        caller = route.metadata.namespace, route.spec.service_account_name
        if origin.url is not None:
            return (_elsewhere(origin.url, *caller),)
        key, tag = _key(route, origin), tag_of(origin)
        if not self.reachable(route, key) or (tag and tag not in self.tags(key)):
            return (Way(ALL, None, key),)
        found = self._ways.get((key, tag, caller))
        if found is None:
            found = self._ways[key, tag, caller] = tuple(self._shares(key, tag, caller))
        return found

    def _shares(self, key: ObjectKey, tag: str, caller: tuple[str, str]) -> Iterator[Way]:
        """One for each revision that gets requests. Of a service no version of which can serve there is none."""
        claim = Claim(subject(*caller), origin_id(self.trust_domain, key))
        replicas = self.replicas.get(key, NOBODY)

        def cluster(revision: str) -> str:
            return called_by(revision_cluster(key, revision, replicas.epoch(revision).number), *caller)

        tags = () if tag else tuple((one, cluster(replicas.tags[one])) for one in self.tags(key))
        for revision, percent in (replicas.with_tag(tag) if tag else replicas).shares:
            yield Way(
                *(percent, cluster(revision), key),
                claim=claim,
                sleeps=replicas.sleeps,
                tags=tags,
                affine=self.affine(key),
            )


def tag_of(origin: WeightedOrigin) -> str:
    """The tag that an origin names; "" when it names none."""
    return origin.service.tag if origin.service else ""


def tags(rules: Iterable[Iterable[Target]]) -> frozenset[str]:
    """All by which requests of these rules can be led to one revision."""
    return frozenset(tag for rule in rules for target in rule if target.weight for tag, _ in target.tags)


def tagged(rules: Iterable[Iterable[Target]], tag: str) -> tuple[tuple[Target, ...], ...]:
    """The same, but whatever of it is for a service that has this tag is for that revision alone."""
    return tuple(_fair(_tagged(rule, tag)) for rule in rules)


def _tagged(targets: Iterable[Target], tag: str) -> Iterator[Target]:
    for _, shares in groupby(targets, key=lambda target: target.origin):
        found = tuple(shares)
        cluster = dict(found[0].tags).get(tag)
        if cluster is None:
            yield from found
        else:
            yield replace(found[0], weight=sum(one.weight for one in found), cluster=cluster, tags=())


def _fair(targets: Iterable[Target]) -> tuple[Target, ...]:
    """With weights as small as they can be."""
    found = tuple(targets)
    common = _common([target.weight for target in found], affine=any(target.affine for target in found))
    return found if common == 1 else tuple(replace(one, weight=one.weight // common) for one in found)


def _common(weights: Iterable[int], *, affine: bool) -> int:
    """By what weights can be divided: most origins have all requests, and most revisions all of an origin's.

    Not where clients have sessions: the sum of the weights has to stay as it is, or each change of them moves all.
    """
    return 1 if affine else gcd(*weights) or 1


def _key(route: EdgeRoute, origin: WeightedOrigin) -> ObjectKey:
    named = origin.service
    namespace = (named.namespace if named else "") or route.metadata.namespace
    return ObjectKey(originservice.KIND, namespace, named.name if named else "")


@lru_cache(maxsize=16_384)
def _elsewhere(url: str, namespace: str, service_account: str) -> Way:
    return Way(
        ALL,
        called_by(url_cluster(url), namespace, service_account),
        authority=url_authority(url),
        claim=Claim(subject(namespace, service_account), url_audience(url)),
    )
