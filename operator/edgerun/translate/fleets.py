"""What is to be said of an EdgeProxy: whether its proxies take requests."""

from ..api import conditions
from ..api.conditions import ConditionType
from ..api.edgeproxy import EdgeProxy
from ..api.meta import Condition
from .plan import Verdict
from .world import Edge, FleetObservation, World


def fleet_verdict(proxy: EdgeProxy, world: World) -> Verdict:
    """A fleet is ready when all of its pods are; in the standalone mode there are none, only the one edge."""
    refusal = world.refusals.get(proxy.key)
    observed = world.fleets.get(proxy.metadata.name, FleetObservation())
    return Verdict(
        key=proxy.key,
        generation=refusal.generation if refusal else proxy.metadata.generation,
        conditions=(conditions.accepted(refusal, proxy.metadata.generation),),
        waits_for=_not_ready(observed) if world.installation else _not_here(proxy, world.edge),
        edge=proxy.metadata.name,
        fleet=observed,
    )


def _not_ready(observed: FleetObservation) -> Condition | None:
    if observed.reason:
        return conditions.false(ConditionType.READY, observed.reason, observed.message)
    if observed.replicas and observed.ready >= observed.replicas:
        return None
    if observed.ready:
        said = f"{observed.ready} of {observed.replicas} proxies take requests"
        return conditions.unknown(ConditionType.READY, "Progressing", said)
    return conditions.unknown(ConditionType.READY, "Starting", "no proxy takes requests yet")


def _not_here(proxy: EdgeProxy, edge: Edge) -> Condition | None:
    if proxy.metadata.name == edge.name:
        return None
    said = f'the standalone mode runs the edge "{edge.name}" alone; routes that name another one are not served'
    return conditions.false(ConditionType.READY, "NotServed", said)
