"""The guard in the pods of an OriginService, and what it needs beside them: a ConfigMap, and a NetworkPolicy.

It is a native sidecar, the first of the init containers: started before everything of the user's, ended after it. It
has no startup probe, so nothing waits for its configuration but the readiness of the pod: app and guard start together,
and an app's own trouble shows also while the control plane is away.

Traps of the end of a pod, as Kubernetes 1.34 does it. The preStop hooks of all containers run at once, those of
sidecars too; only the signals come one after the other. So the guard's hook begins while the app still pauses, and must
take requests in all of that time: it does, and returns when no edge is connected any more. And a guard without one
would be sent SIGTERM the moment the app is gone, upon which Envoy drops what it has not yet passed on of the last
answers. When the grace period is over, both are ended at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..api.originservice import GUARD_CONTAINER, GUARD_PORT, GUARD_PROBES_PORT, OriginService
from ..api.templates import PodSpec
from .bootstrap import guard_bootstrap
from .envoy_pods import ADMIN_SOCKET, USER, EnvoyContainer, channel, config_files, container, probe, volumes
from .guard import Guard, queue, static_resources
from .identities import guard_fleet
from .labels import ANY_EDGE, OPERATOR, origin_object_name, origin_selector
from .plan import Manifest
from .world import Endpoint, Installation

DEFAULT_GRACE_S = 30  # Kubernetes' own
PAUSE_S = 2  # from the end of a pod's readiness until every proxy has surely heard of it
PREFIX = f"{GUARD_CONTAINER}-"  # of its volumes; no user's begins so
RESOURCES: Mapping[str, Any] = {"requests": {"cpu": "10m", "memory": "80Mi"}, "limits": {"memory": "192Mi"}}
_PORT, _PROBES_PORT = "edgerun-guard", "edgerun-probes"  # such a name has 15 characters at most
_NAMESPACE_NAME = "kubernetes.io/metadata.name"  # a label that every namespace has


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a pod has for its guard, beside what its user gave it."""

    container: Mapping[str, Any]
    volumes: Sequence[Mapping[str, Any]]


def sidecar(service: OriginService, place: Installation, trust_domain: str) -> Sidecar:
    """The guard of each pod of `service`."""
    return _sidecar(_guard(service, trust_domain), place, max(1, grace_s(service.spec.template.spec)))


def grace_s(spec: PodSpec) -> int:
    """How long a pod may take to end."""
    given = spec.termination_grace_period_seconds
    return DEFAULT_GRACE_S if given is None else given


def pause_s(spec: PodSpec) -> int:
    """For how long it serves on when it is told to end."""
    return min(PAUSE_S, grace_s(spec) // 2)


@lru_cache(maxsize=4_096)  # more than 1 ms each, and seldom another one
def _sidecar(guard: Guard, place: Installation, drain_s: int) -> Sidecar:
    config_map = origin_object_name(guard.origin.name, "ConfigMap")
    return Sidecar(_container(guard, place, drain_s), volumes(config_map, PREFIX))


def _container(guard: Guard, place: Installation, drain_s: int) -> Mapping[str, Any]:
    """All of its rights are in the container: what the user says of the pod's need not suit it."""
    envoy = EnvoyContainer(
        name=GUARD_CONTAINER,
        prefix=PREFIX,
        config=guard_bootstrap(
            guard=guard_fleet(guard.origin),
            channel=channel(place),
            admin_socket=ADMIN_SOCKET,
            static=static_resources(guard),
        ),
        workers=1,  # or the limit of concurrency would hold for each
        pause_s=PAUSE_S,
        drain_s=drain_s,
        # Named also for pods in the node's network, two of which are kept from one node by this.
        ports={_PORT: GUARD_PORT, _PROBES_PORT: GUARD_PROBES_PORT},
        resources=RESOURCES,
        probes={"readinessProbe": probe(_PROBES_PORT, period_s=1, failures=3)},
    )
    made = container(envoy, place)
    nobody = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER}
    rights = made["securityContext"] | nobody | {"seccompProfile": {"type": "RuntimeDefault"}}
    return made | {"restartPolicy": "Always", "securityContext": rights}


def _guard(service: OriginService, trust_domain: str) -> Guard:
    concurrency = service.spec.template.spec.container_concurrency
    return Guard(
        origin=service.key,
        trust_domain=trust_domain,
        app_port=service.container.port,
        listen_port=GUARD_PORT,
        probes_port=GUARD_PROBES_PORT,
        concurrency=concurrency,
        queue=queue(concurrency),
        http2=service.container.http2,
    )


def guard_config(place: Installation, head: Mapping[str, Any]) -> Manifest:
    """The ConfigMap by which the guards know the control plane. Nothing in it is a secret."""
    return {**head, "data": config_files(place)}


def open_ports(versions: Iterable[OriginService], endpoints: Iterable[Endpoint]) -> tuple[int, ...]:
    """Where the edge reaches pods: at the guard, or at the app where there is none. `versions` are the OriginService as
    each of its revisions has it; while pods serve elsewhere, from before there was a guard say, it reaches these, too.
    """
    wanted = {GUARD_PORT if one.guarded else one.container.port for one in versions}
    return tuple(sorted(wanted | {endpoint.port for endpoint in endpoints}))


def network_policy(
    service: OriginService, place: Installation, ports: Iterable[int], doors: Iterable[int], head: Mapping[str, Any]
) -> Manifest:
    """Who reaches the pods of an origin: the edge at `ports`, and the operator at the `doors` where it knocks while a
    request waits.

    The kubelet needs no rule for its probes, since what comes from a pod's own node is never stopped. Whoever else is
    to come in gets a policy from the user: policies add up.
    """
    rules = ((ANY_EDGE, tuple(ports)), (OPERATOR, tuple(doors)))
    return {
        **head,
        "spec": {
            "podSelector": {"matchLabels": dict(origin_selector(service.metadata.name))},
            "policyTypes": ["Ingress"],
            "ingress": [_ingress(place, who, there) for who, there in rules if there],
        },
    }


def _ingress(place: Installation, who: Mapping[str, str], ports: Iterable[int]) -> Mapping[str, Any]:
    """Pods of the operator's own namespace are let in."""
    peer = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: place.namespace}},
        "podSelector": {"matchLabels": dict(who)},
    }
    return {"from": [peer], "ports": [{"port": port, "protocol": "TCP"} for port in ports]}
