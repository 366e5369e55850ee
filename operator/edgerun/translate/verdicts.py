"""What is to be said of each object, before anybody has been asked whether it runs.

Every sentence names the field, what was given, what there is, and what happens to requests meanwhile.
"""

from collections.abc import Iterator, Sequence

from ..api import conditions, edgeproxy, originservice
from ..api.conditions import ConditionType, listed
from ..api.edgeroute import EdgeRoute
from ..api.meta import Condition, ObjectKey
from ..api.problems import Refusal
from ..api.structure import near
from .fleets import fleet_verdict
from .keeping import kept
from .origin_verdicts import origin_verdicts
from .origins import Directory, Target, Targets, tag_of
from .phases import OriginPhase
from .plan import Verdict
from .routes import RouteTable, Shadow
from .urls import Tables, route_url, tag_urls
from .world import World


def verdicts(world: World, directory: Directory, targets: Targets, tables: Tables) -> dict[ObjectKey, Verdict]:
    """One verdict per object, also for those of which no version can serve."""
    found = [_route_verdict(route, world, directory, targets[route.key], tables) for route in world.routes]
    urls = tag_urls(world.routes, targets, tables)
    found += [verdict for service in world.origins for verdict in origin_verdicts(service, world, urls)]
    found += [fleet_verdict(proxy, world) for proxy in world.proxies]
    serving = {verdict.key for verdict in found}
    found += [_refused_verdict(refusal) for key, refusal in world.refusals.items() if key not in serving]
    return {verdict.key: verdict for verdict in sorted(found, key=lambda verdict: verdict.key)}


def _route_verdict(
    route: EdgeRoute, world: World, directory: Directory, targets: Sequence[Sequence[Target]], tables: Tables
) -> Verdict:
    refusal = world.refusals.get(route.key)
    edge, table = tables.get(route.spec.edge, (None, None))
    edge_found = edge is not None or _being_made(route.spec.edge, world)
    missing = [] if edge_found else [("EdgeNotFound", _edge_not_found(route.spec.edge, world, tables))]
    missing += _missing(route, targets, directory)
    parts = [conditions.accepted(refusal, route.metadata.generation), _resolved(missing)]
    lost = table.shadows.get(route.key, ()) if table else ()
    if lost:
        parts.append(_shadowed(lost, route))
    return Verdict(
        key=route.key,
        generation=refusal.generation if refusal else route.metadata.generation,
        conditions=tuple(parts),
        url=route_url(route, edge) if edge else "",
        waits_for=(_silent(route, table) if table else None)
        or _turned_away(route, targets, directory)
        or _not_ready(targets, directory),
        edge=route.spec.edge,
        kept=kept(route, refusal),
    )


def _being_made(edge: str, world: World) -> bool:
    """The operator makes this one as soon as a route names it."""
    refused = ObjectKey(edgeproxy.KIND, "", edge) in world.refusals
    return world.installation is not None and edge == edgeproxy.DEFAULT_NAME and not refused


def _edge_not_found(name: str, world: World, tables: Tables) -> str:
    if world.installation is None:
        return f'spec.edge: the standalone mode runs the edge "{world.edge.name}" alone, not "{name}"'
    there = f"EdgeProxies there: {listed(sorted(tables))}" if tables else "there is no EdgeProxy"
    return f'spec.edge: EdgeProxy "{name}" not found ({there}); no proxy serves the route'


def _resolved(missing: Sequence[tuple[str, str]]) -> Condition:
    """`missing` are reasons and messages; the first reason stands for all."""
    if not missing:
        return conditions.true(ConditionType.RESOLVED_REFS, "ResolvedRefs")
    return conditions.false(ConditionType.RESOLVED_REFS, missing[0][0], listed([said for _, said in missing]))


def _missing(route: EdgeRoute, targets: Sequence[Sequence[Target]], directory: Directory) -> Iterator[tuple[str, str]]:
    for index, rule in enumerate(route.spec.rules):
        for number, origin in enumerate(rule.origins):
            target = next((one for one in targets[index] if one.origin is origin), None)
            if target and target.cluster is None and target.service:
                field = f"spec.rules[{index}].origins[{number}].service"
                answer = "are answered with 500" if origin.weight else "there are none, for its weight is 0"
                reason, why = _why_not(route, target, target.service, directory)
                yield reason, f"{field}{why}; requests for it {answer}"


def _why_not(route: EdgeRoute, target: Target, key: ObjectKey, directory: Directory) -> tuple[str, str]:
    """Of another namespace no more is told than that this route gets nothing from it."""
    if directory.reachable(route, key):
        return "TagNotFound", f".tag: {_no_tag(tag_of(target.origin), key, directory)}"
    if key.namespace == route.metadata.namespace:
        return "OriginNotFound", f".name: {_not_found(key, directory)}"
    there = f'no OriginService "{key.name}" of namespace {key.namespace} lets {_caller(route)} in'
    why = f".namespace: {there}: it must be there, and name the caller in its spec.access.invokers"
    return "OriginNotFound", why


def _no_tag(tag: str, key: ObjectKey, directory: Directory) -> str:
    """A tag that is only wished for leads nowhere yet: its service says why."""
    service = directory.services.get(key)
    if service and any(one.tag == tag for one in service.spec.traffic):
        return f'tag "{tag}" of {key} is not in effect yet; its condition AllTrafficAssigned says why'
    there = directory.tags(key)
    others = f"tags there: {listed(there)}" if there else "it has no tags; a part of its spec.traffic gives one"
    return f'{key} has no tag "{tag}" ({others})'


def _caller(route: EdgeRoute) -> str:
    return f"ServiceAccount {route.metadata.namespace}/{route.spec.service_account_name}"


def _not_found(key: ObjectKey, directory: Directory) -> str:
    there = directory.names.get(key.namespace, ())
    others = f"OriginServices there: {', '.join(there)}" if there else "there is no OriginService in it"
    meant = near(key.name, there)
    hint = f', did you mean "{meant}"?' if meant else ""
    return f'OriginService "{key.name}" not found in namespace {key.namespace} ({others}{hint})'


def _shadowed(lost: Sequence[Shadow], route: EdgeRoute) -> Condition:
    said = [f"{shadow.field} on {shadow.hostname}: {_winner(shadow, route)} has the same match" for shadow in lost]
    message = f"{listed(said)}; the older object and the earlier rule answer"
    return conditions.true(ConditionType.SHADOWED, "SameMatch", message)


def _winner(shadow: Shadow, route: EdgeRoute) -> str:
    return "an earlier match of this route" if shadow.winner == route.key else str(shadow.winner)


def _silent(route: EdgeRoute, table: RouteTable) -> Condition | None:
    """A route of which no match answers anywhere is not ready, however well it was programmed."""
    if route.key in table.answering:
        return None
    return conditions.false(ConditionType.READY, "Shadowed", "every match of this route is answered by another one")


def _turned_away(route: EdgeRoute, targets: Sequence[Sequence[Target]], directory: Directory) -> Condition | None:
    """Of its own namespace a route may name any origin, and is told when that will not have it."""
    found = {target.service for rule in targets for target in rule if target.service and target.cluster}
    closed = [key for key in sorted(found) if key in directory.services and not directory.admits(route, key)]
    if not closed:
        return None
    keys = listed([str(key) for key in closed])
    message = f"spec.access.invokers of {keys} does not name {_caller(route)}; requests for it are answered with 403"
    return conditions.false(ConditionType.READY, "NotAnInvoker", message)


def _not_ready(targets: Sequence[Sequence[Target]], directory: Directory) -> Condition | None:
    used = (target for rule in targets for target in rule if target.cluster)
    services = {(target.service, tag_of(target.origin)) for target in used if target.service}
    waiting = [one for one in sorted(services) if directory.phase(*one) is not OriginPhase.READY]
    if not waiting:
        return None
    named = listed([_tagged(key, tag) for key, tag in waiting])
    if all(key not in directory.services for key, _ in waiting):
        message = f"no version was accepted of {named}, its status says why; requests for it are answered with 503"
        return conditions.false(ConditionType.READY, "OriginRefused", message)
    message = f"no replica is ready of {named}; requests for it are answered with 503"
    return conditions.false(ConditionType.READY, "OriginNotReady", message)


def _tagged(key: ObjectKey, tag: str) -> str:
    return f'{key} with the tag "{tag}"' if tag else str(key)


def _refused_verdict(refusal: Refusal) -> Verdict:
    refused = conditions.accepted(refusal, None)
    if refusal.key.kind != originservice.KIND:
        return Verdict(refusal.key, refusal.generation, (refused,))
    healthy = conditions.unknown(ConditionType.CONTAINER_HEALTHY, "Pending", "no version was accepted")
    return Verdict(refusal.key, refusal.generation, (refused, healthy))
