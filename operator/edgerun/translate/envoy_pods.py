"""What every pod with an Envoy of ours has in common: how Envoy is started, asked, restricted, and ended.

Everything of Envoy's that cannot come over xDS is in the container's arguments, so a change of it is a rolling update.
When a pod ends, `edgerun drain` has Envoy finish what it has begun, and only then is it ended.

Trap: the user of the container is ours, the pod need not be. The kubelet writes a token for all to read (0644) when
containers run as several users, and for the user (0600) or the group (0640) that they share; Envoy may read each.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from .channel import AUDIENCE, CA_CERTIFICATES, CONFIG_FOLDER, TOKEN_FILE, Channel, sds_files
from .listeners import READY_PATH
from .world import Installation

ADMIN_SOCKET = PurePosixPath("/run/edgerun/admin.sock")
TOKEN_S = 3600  # the kubelet replaces the token when four fifths of its life are over
USER = 65532  # "nonroot" of distroless images


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyContainer:
    """A container with one Envoy, which drains for `drain_s` at most, and for `pause_s` at least, after which no client
    goes there any more. The names of its volumes begin with `prefix`, to keep them apart from those of others in the
    same pod."""

    name: str
    prefix: str = ""
    config: Mapping[str, Any]
    workers: int
    pause_s: int
    drain_s: int
    ports: Mapping[str, int]
    resources: Mapping[str, Any]
    probes: Mapping[str, Any]


def channel(place: Installation) -> Channel:
    """How a pod, in whatever namespace, reaches the operator that leads."""
    return Channel(f"{place.name}-xds.{place.namespace}.svc", place.xds_port)


@lru_cache(maxsize=16)  # the same for every ConfigMap
def config_files(place: Installation) -> Mapping[str, str]:
    """What the ConfigMap of the pod holds."""
    return {**sds_files(), CA_CERTIFICATES: place.trust_bundle}


def container(one: EnvoyContainer, place: Installation) -> dict[str, Any]:
    """The container, as it is applied."""
    pull = {"imagePullPolicy": place.image_pull_policy} if place.image_pull_policy else {}
    ports = [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in one.ports.items()]
    return {
        "name": one.name,
        "image": place.image,
        **pull,
        "command": ["envoy"],
        "args": _arguments(one),
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": ports,
        "resources": one.resources,
        **one.probes,
        "lifecycle": {"preStop": {"exec": {"command": ["edgerun", *drain_arguments(one.pause_s, one.drain_s)]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": f"{one.prefix}config", "mountPath": str(CONFIG_FOLDER), "readOnly": True},
            {"name": f"{one.prefix}token", "mountPath": str(TOKEN_FILE.parent), "readOnly": True},
            {"name": f"{one.prefix}run", "mountPath": str(ADMIN_SOCKET.parent)},
        ],
    }


def _arguments(one: EnvoyContainer) -> Sequence[str]:
    return [
        *("--config-yaml", json.dumps(one.config, separators=(",", ":"))),
        *("--service-node", "$(POD_NAME)"),
        *("--concurrency", str(one.workers)),
        *("--drain-time-s", str(one.drain_s)),
        *("--drain-strategy", "immediate"),  # our drain waits for connections to end; none is to be told late
        "--disable-hot-restart",
        *("--log-level", "warning"),
    ]


def drain_arguments(pause_s: int, drain_s: int) -> list[str]:
    """The command that has the Envoy of this pod finish, after `edgerun`."""
    return ["drain", f"--admin-socket={ADMIN_SOCKET}", f"--at-least={pause_s}", f"--timeout={drain_s}"]


def probe(port: str, *, period_s: int, failures: int) -> Mapping[str, Any]:
    """Ready is an Envoy that has a configuration and does not drain."""
    return {
        "httpGet": {"path": READY_PATH, "port": port, "scheme": "HTTP"},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def volumes(config_map: str, prefix: str = "") -> list[Mapping[str, Any]]:
    """What the container mounts."""
    token = {"audience": AUDIENCE, "expirationSeconds": TOKEN_S, "path": TOKEN_FILE.name}
    return [
        {"name": f"{prefix}config", "configMap": {"name": config_map}},
        {"name": f"{prefix}token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": f"{prefix}run", "emptyDir": {}},
    ]
