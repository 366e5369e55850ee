"""What is to be said of an EdgeProxy: whether its proxies take requests."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..api import conditions
from ..api.conditions import ConditionType
from ..api.edgeproxy import EdgeProxy, ServiceType
from ..api.meta import Condition
from ..api.pods import Deployment, Pod
from .keeping import kept
from .names import DEFAULT_PORTS
from .observed import is_ready
from .plan import Verdict
from .troubles import trouble
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
        kept=kept(proxy, refusal),
    )


def fleet_observation(
    deployment: Mapping[str, Any] | None, service: Mapping[str, Any] | None, pods: Sequence[Mapping[str, Any]]
) -> FleetObservation:
    """What is to be said of a fleet, from its objects as the API server has them."""
    if deployment is None:
        return FleetObservation()
    read = msgspec.convert(deployment, Deployment)
    every = [msgspec.convert(pod, Pod) for pod in pods]
    alive = [pod for pod in every if not pod.metadata.deletion_timestamp]
    ready = tuple(sorted(pod.metadata.name for pod in alive if is_ready(pod)))
    wanted = read.spec.replicas
    wrong = trouble(read, [pod for pod in alive if not is_ready(pod)]) if len(ready) < wanted else None
    return FleetObservation(
        replicas=wanted,
        ready=ready,
        addresses=_addresses(service) if service else (),
        reason=wrong.reason if wrong else "",
        message=wrong.message if wrong and wrong.reason else "",
    )


def _addresses(service: Mapping[str, Any]) -> tuple[str, ...]:
    """Of a load balancer what it was given, else where the cluster itself reaches the Service."""
    spec = service.get("spec", {})
    given = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    hosts = [one.get("hostname") or one.get("ip") for one in given]
    if spec.get("type") != str(ServiceType.LOAD_BALANCER):
        hosts = [spec.get("clusterIP")]
    port = next((one["port"] for one in spec.get("ports", ())), DEFAULT_PORTS["http"])
    return tuple(_address(host, port) for host in hosts if host)


def _address(host: str, port: int) -> str:
    return host if port == DEFAULT_PORTS["http"] else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _not_ready(observed: FleetObservation) -> Condition | None:
    if observed.reason:
        return conditions.false(ConditionType.READY, observed.reason, observed.message)
    if observed.replicas and len(observed.ready) >= observed.replicas:
        return None
    if observed.ready:
        said = f"{len(observed.ready)} of {observed.replicas} proxies take requests"
        return conditions.unknown(ConditionType.READY, "Progressing", said)
    return conditions.unknown(ConditionType.READY, "Starting", "no proxy takes requests yet")


def _not_here(proxy: EdgeProxy, edge: Edge) -> Condition | None:
    if proxy.metadata.name == edge.name:
        return None
    said = f'the standalone mode runs the edge "{edge.name}" alone; routes that name another one are not served'
    return conditions.false(ConditionType.READY, "NotServed", said)
