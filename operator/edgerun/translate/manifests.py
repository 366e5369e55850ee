"""What must exist in the cluster: the objects of every edge, and those of every origin.

Each says whose it is: by labels, which the operator finds its own by, and by an owner, whose end is theirs.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ..api.edgeproxy import EdgeProxy
from ..api.originservice import Ingress, OriginService
from .doors import door_ports
from .edge_pods import deployment
from .envoy_pods import config_files
from .guard_pods import guard_config, network_policy, open_ports, sidecar
from .labels import edge_labels, edge_selector, object_name
from .plan import Manifest, Running
from .references import rollout
from .replicas import Replicas
from .running import as_revision, outcome
from .workloads import origin_deployment, origin_object, origin_revision
from .world import Installation, World


def manifests(world: World, origins: Sequence[OriginService], runs: Sequence[Running]) -> tuple[Manifest, ...]:
    """All of them, in an order in which each finds what it needs; none outside a cluster."""
    place = world.installation
    if place is None:
        return ()
    proxies = sorted(world.proxies, key=lambda proxy: proxy.metadata.name)
    fleets = [manifest for proxy in proxies for manifest in fleet_manifests(proxy, place)]
    shared = (manifest for service in origins for manifest in origin_manifests(service, place, world))
    return (*fleets, *shared, *(manifest for run in runs for manifest in revision_manifests(run, place, world)))


def fleet_manifests(proxy: EdgeProxy, place: Installation) -> Iterable[Manifest]:
    """The objects of one fleet."""
    yield _object("v1", "ServiceAccount", proxy, place) | {"automountServiceAccountToken": False}
    yield _object("v1", "ConfigMap", proxy, place) | {"data": config_files(place)}
    yield _service(proxy, place)
    yield _disruption_budget(proxy, place)
    yield deployment(proxy, place, _object("apps/v1", "Deployment", proxy, place))
    if proxy.spec.autoscaling:
        yield _autoscaler(proxy, place)


def origin_manifests(service: OriginService, place: Installation, world: World) -> Iterable[Manifest]:
    """The objects of one origin, and its revisions. The pods of a version before, while they serve, keep what they need
    of them."""
    found = Replicas.of(service, world)
    endpoints = tuple(one for observed in found.observations.values() for one in observed.endpoints)
    revisions = outcome(service, world).present
    yield from (origin_revision(service, revision) for revision in revisions)
    if service.guarded or any(endpoint.guarded for endpoint in endpoints):
        yield guard_config(place, origin_object("v1", "ConfigMap", service))
    if service.spec.access.ingress is Ingress.EDGE:
        head = origin_object("networking.k8s.io/v1", "NetworkPolicy", service)
        versions = [as_revision(service, revision.template) for revision in revisions]
        doors = sorted({port for version in versions for port in door_ports(version)})
        yield network_policy(service, place, open_ports(versions, endpoints), doors, head)


def revision_manifests(run: Running, place: Installation, world: World) -> Iterable[Manifest]:
    """What runs of one revision."""
    guard = sidecar(run.service, place, world.trust.trust_domain) if run.service.guarded else None
    yield origin_deployment(run, rollout(run, world), sidecar=guard)


def _object(api_version: str, kind: str, proxy: EdgeProxy, place: Installation) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": object_name(proxy.metadata.name),
        "namespace": place.namespace,
        "labels": edge_labels(proxy.metadata.name),
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata | owner(place)}


def owner(place: Installation) -> dict[str, Any]:
    """The operator's Deployment owns what is beside it, as a part of `metadata`; nobody does outside of a Deployment.

    An EdgeProxy could own its objects too, but would keep them when the operator is gone.
    """
    if not place.uid:
        return {}
    reference = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": place.name,
        "uid": place.uid,
        "controller": False,
        "blockOwnerDeletion": False,
    }
    return {"ownerReferences": [reference]}


def _service(proxy: EdgeProxy, place: Installation) -> Manifest:
    made = _object("v1", "Service", proxy, place)
    if proxy.spec.service_annotations:
        made["metadata"]["annotations"] = dict(proxy.spec.service_annotations)
    ports = [
        {"name": listener.name, "port": listener.port, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}
        for listener in proxy.spec.listeners
    ]
    spec = {"type": str(proxy.spec.service_type), "selector": edge_selector(proxy.metadata.name), "ports": ports}
    return made | {"spec": spec}


def _disruption_budget(proxy: EdgeProxy, place: Installation) -> Manifest:
    selector = {"matchLabels": edge_selector(proxy.metadata.name)}
    return _object("policy/v1", "PodDisruptionBudget", proxy, place) | {
        "spec": {"maxUnavailable": 1, "selector": selector}
    }


def _autoscaler(proxy: EdgeProxy, place: Installation) -> Manifest:
    bounds = proxy.spec.autoscaling
    assert bounds, "asked for a fleet that is not scaled"
    target = {"type": "Utilization", "averageUtilization": bounds.target_cpu_utilization_percentage}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": object_name(proxy.metadata.name)},
        "minReplicas": bounds.min_replicas,
        "maxReplicas": bounds.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", proxy, place) | {"spec": spec}
