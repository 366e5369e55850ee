"""World in, Plan out. Read this first: the other modules of the package are its parts."""

from collections.abc import Iterable

from ..api.meta import ObjectKey
from .clusters import service_resources, url_cluster_message
from .listeners import listener
from .names import LISTENER_NAME, ROUTES_NAME
from .origins import Directory, Target, Targets
from .plan import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Plan, Resource, Resources, resource, serialised
from .routes import route_table
from .verdicts import verdicts
from .world import World


def translate(world: World) -> Plan:
    """Everything that follows from `world`. Equal worlds give equal plans, byte for byte, in any order of objects."""
    directory = Directory.of(world)
    targets = {route.key: directory.targets(route) for route in world.routes}
    table = route_table(world.routes, targets, world.edge.port)
    origins = tuple(sorted(world.origins, key=lambda service: service.key))
    edge = (resource(LISTENER_NAME, listener(world.edge)), serialised(ROUTES, ROUTES_NAME, table.body))
    return Plan(
        resources=_by_type((*edge, *_origin_resources(world, targets))),
        origins=origins,
        verdicts=verdicts(world, directory, table, targets),
        contributors=_contributors(targets),
    )


def _origin_resources(world: World, targets: Targets) -> Iterable[Resource]:
    """Clusters and endpoints of all origins that some route uses."""
    used = {target.cluster: target for target in _all(targets) if target.cluster}
    for name, target in sorted(used.items()):
        if target.service:
            observed = world.observations.get(target.service)
            yield from service_resources(name, observed.endpoints if observed else ())
        elif target.origin.url:
            yield resource(name, url_cluster_message(target.origin.url, world.edge.ca_file))


def _contributors(targets: Targets) -> dict[tuple[str, str], frozenset[ObjectKey]]:
    found: dict[tuple[str, str], set[ObjectKey]] = {(ROUTES, ROUTES_NAME): set(targets)}
    for route, rules in targets.items():
        for target in (target for rule in rules for target in rule if target.cluster):
            users = found.setdefault((CLUSTER, target.cluster or ""), set())
            users |= {route} | ({target.service} if target.service else set())
    return {name: frozenset(keys) for name, keys in found.items()}


def _all(targets: Targets) -> Iterable[Target]:
    return (target for rules in targets.values() for rule in rules for target in rule)


def _by_type(resources: Iterable[Resource]) -> Resources:
    found: dict[str, dict[str, Resource]] = {CLUSTER: {}, ENDPOINTS: {}, LISTENER: {}, ROUTES: {}}
    for item in resources:
        found[item.type_url][item.name] = item
    return found
