"""Where one may knock at a pod that a request waits for: all that its readiness probes ask, asked from outside.

A kubelet asks once a second, and what it says takes a while to arrive; whoever waits asks the same more often. Who
answers all of it takes requests: app, guard and sidecars. What cannot be asked from outside is left to the kubelet: a
command, gRPC, another host; a probe that wants to be asked later, or several times; and a pod in the node's network,
where a path that somebody chose would be asked of the node.

Trap: the kubelet tells late that a container has begun, so nothing is waited for but an address. And an answer is that
of one life of the containers: after an end there has to be another one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..api.meta import ObjectKey
from ..api.originservice import GUARD_PROBES_PORT, OriginService
from ..api.pods import Pod
from ..api.templates import ContainerPort, HTTPGetAction, Probe, TCPSocketAction

_SIDECAR = "Always"  # the restart policy of such an init container
_ENDED = ("Failed", "Succeeded")  # phases of a pod: a node would not keep it
_NOTHING, _CONNECTION = Probe(), Probe(tcp_socket=TCPSocketAction())


@dataclass(frozen=True, slots=True)
class Question:
    """A GET of `path` with `headers`, or a connection when it is None."""

    port: int
    path: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Door:
    """Of a `pod` in one of its lives, which is how often its containers have begun anew."""

    pod: ObjectKey
    address: str
    life: int
    questions: tuple[Question, ...]


class _Probed(NamedTuple):
    """What a container is asked, when it is ready and when it has started, and its ports."""

    readiness: Probe
    startup: Probe | None
    ports: Sequence[ContainerPort]


def door(pod: Pod) -> Door | None:
    """None while there is nothing to ask."""
    spec, status = pod.spec, pod.status
    if not status.pod_ip or status.phase in _ENDED or spec.host_network or spec.readiness_gates:
        return None
    lasting = (*spec.containers, *(one for one in spec.init_containers if one.restart_policy == _SIDECAR))
    names = {one.name for one in lasting}
    told = [one for one in (*status.init_container_statuses, *status.container_statuses) if one.name in names]
    if any(one.state.terminated for one in told):
        return None
    asked = _questions(_Probed(one.readiness_probe, one.startup_probe, one.ports) for one in lasting)
    key = ObjectKey("Pod", pod.metadata.namespace, pod.metadata.name)
    return Door(key, status.pod_ip, sum(one.restart_count for one in told), asked) if asked else None


def door_ports(service: OriginService) -> frozenset[int]:
    """The ports at which its pods are knocked at; none where they never go to zero, or are left to the kubelet."""
    spec, app = service.spec.template.spec, service.container
    if service.spec.scaling.min_scale or spec.host_network:
        return frozenset()
    readiness = _CONNECTION if app.readiness_probe == _NOTHING else app.readiness_probe
    there = app.ports or (ContainerPort(container_port=app.port),)
    others = (*spec.containers[1:], *(one for one in spec.init_containers if one.restart_policy == _SIDECAR))
    besides = (_Probed(one.readiness_probe, one.startup_probe, one.ports) for one in others)
    asked = {question.port for question in _questions((_Probed(readiness, app.startup_probe, there), *besides))}
    return frozenset(asked | {GUARD_PROBES_PORT}) if asked and service.guarded else frozenset(asked)


def _questions(containers: Iterable[_Probed]) -> tuple[Question, ...]:
    """All of them, or none when not all can be asked from outside."""
    every = [_question(one) for one in containers if one.readiness != _NOTHING or one.startup]
    known = tuple(one for one in every if one)
    return known if len(known) == len(every) else ()


def _question(container: _Probed) -> Question | None:
    probe = container.readiness
    if container.startup or probe.exec or probe.grpc or probe.initial_delay_seconds:
        return None
    asks = probe.http_get or probe.tcp_socket or TCPSocketAction()
    port = _number(asks.port, container.ports)
    if port is None or asks.host or (probe.success_threshold or 1) > 1:
        return None
    if not isinstance(asks, HTTPGetAction):
        return Question(port)
    headers = tuple((header.name, header.value) for header in asks.http_headers)
    return Question(port, f"/{asks.path.lstrip('/')}", headers, tls=asks.scheme == "HTTPS")


def _number(port: int | str | None, there: Iterable[ContainerPort]) -> int | None:
    """A probe may name a port of its container; without one it is the first."""
    numbers = (one.container_port for one in there if port is None or one.name == port)
    return port if isinstance(port, int) else next(numbers, None)
