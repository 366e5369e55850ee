"""The Deployment of a fleet: pods with one Envoy each, restricted, that leave without losing a request.

What a container with an Envoy is, is said by `envoy_pods`. When a pod stops, `edgerun drain` has Envoy fail its
readiness, finish what it has begun, and only then be ended.

Trap: the tolerance of a rolling update is in three numbers that belong together: `drainTimeout`, the time that the
kubelet grants above it, and the readiness probe, which has to fail before Envoy closes its port.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

import msgspec

from ..api.durations import seconds
from ..api.edgeproxy import DEFAULT_REPLICAS, EdgeProxy, Resources
from .bootstrap import GIB, pod_bootstrap
from .edges import POD_PORT, PROBES_PORT
from .envoy_pods import ADMIN_SOCKET, USER, EnvoyContainer, channel, container, probe, volumes
from .labels import edge_labels, edge_selector, object_name
from .plan import Manifest
from .quantities import amount
from .world import Installation

PAUSE_S = 5  # kube-proxy follows within one second, the readiness probe fails after four
GRACE_S = 15  # beside the drain itself: what its start and Envoy's own end may take
DEFAULT_WORKERS = 2
HEAP_SHARE = 0.8  # of the memory limit; the rest is for what Envoy does not count, and for the drain


def deployment(proxy: EdgeProxy, place: Installation, head: Mapping[str, Any]) -> Manifest:
    """The Deployment; `head` is what its objects have in common."""
    name, spec = proxy.metadata.name, proxy.spec
    # An autoscaler owns the number of replicas: what is not applied is not taken from it.
    replicas = {} if spec.autoscaling else {"replicas": spec.replicas or DEFAULT_REPLICAS}
    return {
        **head,
        "spec": {
            **replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": edge_selector(name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": edge_labels(name)}, "spec": _pod(proxy, place)},
        },
    }


def _pod(proxy: EdgeProxy, place: Installation) -> dict[str, Any]:
    name, spec = proxy.metadata.name, proxy.spec
    pod: dict[str, Any] = {
        "serviceAccountName": object_name(name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": ceil(seconds(spec.drain_timeout)) + GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [_spread(name)],
        "containers": [_container(proxy, place)],
        "volumes": volumes(object_name(name)),
    }
    if place.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in place.image_pull_secrets]
    if spec.node_selector:
        pod["nodeSelector"] = dict(spec.node_selector)
    if spec.tolerations:
        pod["tolerations"] = [msgspec.to_builtins(one) for one in spec.tolerations]
    return pod


def _spread(fleet: str) -> Mapping[str, Any]:
    """One to a node where that can be, but better two on one than none."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": edge_selector(fleet)},
    }


def _container(proxy: EdgeProxy, place: Installation) -> dict[str, Any]:
    spec = proxy.spec
    envoy = EnvoyContainer(
        name="envoy",
        config=pod_bootstrap(
            load_reports=True,
            fleet=proxy.metadata.name,
            channel=channel(place),
            admin_socket=ADMIN_SOCKET,
            max_heap_bytes=_heap_bytes(spec.resources),
        ),
        workers=_workers(spec.resources),
        pause_s=PAUSE_S,
        drain_s=ceil(seconds(spec.drain_timeout)),
        ports={"http": POD_PORT, "probes": PROBES_PORT},
        resources=msgspec.to_builtins(spec.resources),
        probes={
            "readinessProbe": probe("probes", period_s=2, failures=2),
            "startupProbe": probe("probes", period_s=1, failures=600),
        },
    )
    return container(envoy, place)


def _heap_bytes(resources: Resources) -> int:
    limit = resources.limits.get("memory")
    return int(amount(limit) * HEAP_SHARE) if limit is not None else 2 * GIB


def _workers(resources: Resources) -> int:
    limit = resources.limits.get("cpu")
    return max(1, ceil(amount(limit))) if limit is not None else DEFAULT_WORKERS
