"""World in, Plan out. Read this first: the other modules of the package are its parts."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..api.edgeroute import EdgeRoute
from ..api.meta import ObjectKey
from ..api.originservice import OriginService
from .access import admission
from .clusters import service_resources, url_resource
from .edges import edges
from .guard_policy import POLICIES, policies
from .identities import Claim, edge_id, guard_fleet, origin_id
from .listeners import listeners
from .manifests import manifests
from .names import ROUTES_NAME, caller_of
from .origins import Directory, Target, Targets
from .plan import (
    CLUSTER,
    ENDPOINTS,
    EXTENSION,
    LISTENER,
    ROUTES,
    Contribution,
    Plan,
    Resource,
    Resources,
    serialised,
)
from .replicas import NOBODY
from .routes import RouteTable, route_table
from .running import decided, running
from .verdicts import verdicts
from .world import Edge, World


class _Fleet(NamedTuple):
    """What one edge is to serve."""

    edge: Edge
    targets: Targets
    table: RouteTable


def translate(world: World) -> Plan:
    """Everything that follows from `world`. Equal worlds give equal plans, byte for byte, in any order of objects."""
    world = decided(world)
    directory = Directory.of(world)
    targets = {route.key: directory.targets(route) for route in world.routes}
    fleets = {name: _fleet(edge, world.routes, targets) for name, edge in edges(world).items()}
    origins = tuple(sorted(world.origins, key=lambda service: service.key))
    runs = tuple(one for service in origins for one in running(service, world))
    guards = {guard_fleet(service.key): service for service in origins}
    return Plan(
        fleets={name: _resources(fleet, directory) for name, fleet in fleets.items()}
        | {name: _guard_resources(service, world) for name, service in guards.items()},
        manifests=manifests(world, origins, runs),
        running=runs,
        cold={name: _cold(fleet, directory) for name, fleet in fleets.items()},
        verdicts=verdicts(world, directory, targets, {name: (one.edge, one.table) for name, one in fleets.items()}),
        contributors={name: keys for fleet in fleets.values() for name, keys in _contributors(fleet, directory).items()}
        | {(name, EXTENSION, part): frozenset({guards[name].key}) for name in guards for part in POLICIES},
        claims={name: _claims(fleet) for name, fleet in fleets.items()},
        identities=_identities(fleets, guards, world.trust.trust_domain),
    )


def _fleet(edge: Edge, routes: Iterable[EdgeRoute], targets: Targets) -> _Fleet:
    own = tuple(route for route in routes if route.spec.edge == edge.name)
    return _Fleet(edge, {route.key: targets[route.key] for route in own}, route_table(own, targets, edge.called_port))


def _resources(fleet: _Fleet, directory: Directory) -> Resources:
    routes = serialised(ROUTES, ROUTES_NAME, fleet.table.body)
    return _by_type((*listeners(fleet.edge), routes, *_origin_resources(fleet, directory)))


def _origin_resources(fleet: _Fleet, directory: Directory) -> Iterable[Resource]:
    """Clusters and endpoints of all origins that some route uses."""
    for (service, caller), target in sorted(_services(fleet).items()):
        assert target.claim, "whoever has a cluster is called as somebody"
        guarded = service in directory.services and directory.services[service].guarded
        for name, endpoints, http2 in directory.replicas.get(service, NOBODY).clusters(service):
            yield from service_resources(
                *(f"{name}{caller}", target.claim, endpoints), guarded=guarded, http2=http2, affine=target.affine
            )
    elsewhere = {target.cluster: target for target in _all(fleet.targets) if target.cluster and target.origin.url}
    for name, target in sorted(elsewhere.items()):
        assert target.claim, "whoever has a cluster is called as somebody"
        yield url_resource(name, target.origin.url or "", target.claim, fleet.edge.ca_file)


def _cold(fleet: _Fleet, directory: Directory) -> frozenset[str]:
    """The clusters that are waited for."""
    found = ((key, caller, directory.replicas.get(key, NOBODY)) for key, caller in _services(fleet))
    return frozenset(f"{name}{caller}" for key, caller, replicas in found for name in replicas.cold(key))


def _services(fleet: _Fleet) -> Mapping[tuple[ObjectKey, str], Target]:
    """One target for each OriginService and how its clusters end for whoever calls it."""
    used = (target for target in _all(fleet.targets) if target.cluster and target.service)
    return {(target.service, caller_of(target.cluster)): target for target in used if target.cluster and target.service}


def _guard_resources(service: OriginService, world: World) -> Resources:
    """The policies of an origin's guards. An origin that has none any more still has pods for a while that do."""
    return {EXTENSION: {item.name: item for item in policies(admission(service, world.trust))}}


def _claims(fleet: _Fleet) -> frozenset[Claim]:
    return frozenset(target.claim for target in _all(fleet.targets) if target.claim)


def _identities(edges: Iterable[str], guards: Mapping[str, OriginService], trust_domain: str) -> Mapping[str, str]:
    of_edges = {name: edge_id(trust_domain, name) for name in edges}
    return of_edges | {name: origin_id(trust_domain, service.key) for name, service in guards.items()}


def _clusters(target: Target, directory: Directory) -> Iterable[str]:
    """All that are there for it, also those that only proxies use which have not heard the newest."""
    if not target.service:
        return (target.cluster or "",)
    caller = caller_of(target.cluster or "")
    found = directory.replicas.get(target.service, NOBODY).clusters(target.service)
    return tuple(f"{one.name}{caller}" for one in found)


def _contributors(fleet: _Fleet, directory: Directory) -> Mapping[Contribution, frozenset[ObjectKey]]:
    edge = fleet.edge.name
    found: dict[Contribution, set[ObjectKey]] = {(edge, ROUTES, ROUTES_NAME): set(fleet.targets)}
    for route, rules in fleet.targets.items():
        for target in (target for rule in rules for target in rule if target.cluster):
            for name in _clusters(target, directory):
                users = found.setdefault((edge, CLUSTER, name), set())
                users |= {route} | ({target.service} if target.service else set())
    return {name: frozenset(keys) for name, keys in found.items()}


def _all(targets: Targets) -> Iterable[Target]:
    return (target for rules in targets.values() for rule in rules for target in rule)


def _by_type(resources: Iterable[Resource]) -> Resources:
    found: dict[str, dict[str, Resource]] = {CLUSTER: {}, ENDPOINTS: {}, LISTENER: {}, ROUTES: {}}
    for item in resources:
        found[item.type_url][item.name] = item
    return found
