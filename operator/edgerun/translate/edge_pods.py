"""The Deployment of a fleet: pods with one Envoy each, restricted, that leave without losing a request.

Everything of Envoy's that cannot come over xDS is in the pod's arguments, so a change of it is a rolling update. When a
pod stops, `edgerun drain` has Envoy fail its readiness, finish what it has begun, and only then be ended.

Trap: the tolerance of a rolling update is in three numbers that belong together: `drainTimeout`, the time that the
kubelet grants above it, and the readiness probe, which has to fail before Envoy closes its port.
"""

import json
from collections.abc import Mapping
from math import ceil
from pathlib import PurePosixPath
from typing import Any

import msgspec

from ..api.durations import seconds
from ..api.edgeproxy import DEFAULT_REPLICAS, EdgeProxy, Resources
from .bootstrap import GIB, pod_bootstrap
from .channel import AUDIENCE, CONFIG_FOLDER, TOKEN_FILE, Channel
from .edges import POD_PORT, PROBES_PORT
from .labels import edge_labels, edge_selector, object_name
from .listeners import READY_PATH
from .plan import Manifest
from .quantities import amount
from .world import Installation

ADMIN_SOCKET = PurePosixPath("/run/edgerun/admin.sock")
TOKEN_S = 3600  # the kubelet replaces the token when four fifths of its life are over
GRACE_S = 15  # beside the drain itself: what its start and Envoy's own end may take
USER = 65532  # "nonroot" of distroless images
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
        "volumes": _volumes(proxy),
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
    pull = {"imagePullPolicy": place.image_pull_policy} if place.image_pull_policy else {}
    return {
        "name": "envoy",
        "image": place.image,
        **pull,
        "command": ["envoy"],
        "args": _arguments(proxy, place),
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [
            {"name": "http", "containerPort": POD_PORT, "protocol": "TCP"},
            {"name": "probes", "containerPort": PROBES_PORT, "protocol": "TCP"},
        ],
        "resources": msgspec.to_builtins(spec.resources),
        "readinessProbe": _probe(period_s=2, failures=2),
        "startupProbe": _probe(period_s=1, failures=600),
        "lifecycle": {"preStop": {"exec": {"command": ["edgerun", *drain_arguments(proxy)]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": str(CONFIG_FOLDER), "readOnly": True},
            {"name": "token", "mountPath": str(TOKEN_FILE.parent), "readOnly": True},
            {"name": "run", "mountPath": str(ADMIN_SOCKET.parent)},
        ],
    }


def drain_arguments(proxy: EdgeProxy) -> list[str]:
    """The command that has the Envoy of this pod finish, after `edgerun`."""
    timeout_s = ceil(seconds(proxy.spec.drain_timeout))
    return ["drain", f"--admin-socket={ADMIN_SOCKET}", f"--timeout={timeout_s}"]


def _arguments(proxy: EdgeProxy, place: Installation) -> list[str]:
    service = f"{place.name}-xds.{place.namespace}.svc"
    config = pod_bootstrap(
        fleet=proxy.metadata.name,
        channel=Channel(service, place.xds_port),
        admin_socket=ADMIN_SOCKET,
        max_heap_bytes=_heap_bytes(proxy.spec.resources),
    )
    return [
        *("--config-yaml", json.dumps(config, separators=(",", ":"))),
        *("--service-node", "$(POD_NAME)"),
        *("--concurrency", str(_workers(proxy.spec.resources))),
        *("--drain-time-s", str(ceil(seconds(proxy.spec.drain_timeout)))),
        *("--drain-strategy", "immediate"),  # our drain waits for connections to end; none is to be told late
        "--disable-hot-restart",
        *("--log-level", "warning"),
    ]


def _heap_bytes(resources: Resources) -> int:
    limit = resources.limits.get("memory")
    return int(amount(limit) * HEAP_SHARE) if limit is not None else 2 * GIB


def _workers(resources: Resources) -> int:
    limit = resources.limits.get("cpu")
    return max(1, ceil(amount(limit))) if limit is not None else DEFAULT_WORKERS


def _probe(*, period_s: int, failures: int) -> Mapping[str, Any]:
    return {
        "httpGet": {"path": READY_PATH, "port": "probes", "scheme": "HTTP"},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _volumes(proxy: EdgeProxy) -> list[Mapping[str, Any]]:
    token = {"audience": AUDIENCE, "expirationSeconds": TOKEN_S, "path": TOKEN_FILE.name}
    return [
        {"name": "config", "configMap": {"name": object_name(proxy.metadata.name)}},
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "run", "emptyDir": {}},
    ]
