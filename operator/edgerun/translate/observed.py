"""What is to be said of a revision, from its Deployment and pods as the API server has them.

Which revision a pod is of its label says; where it listens is read from the variables that its Deployment gave it: a
sidecar that somebody injects leaves them as they are.

Trap: pods that were made before a Secret or ConfigMap of the revision changed are endpoints, and nothing is said of
them.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import msgspec

from ..api.originservice import GUARD_CONTAINER, GUARD_PORT, OriginService
from ..api.pods import Deployment, Pod, PodSpec, found
from .doors import Door, door
from .labels import EPOCH, EPOCH_BEFORE, revision_selector
from .phases import OriginPhase
from .references import MARK, located, mounted, rolled
from .troubles import LACKS, LATE, Trouble, trouble
from .workloads import PORT, SERVICE
from .world import Endpoint, OriginObservation

_NOT_THERE = "the Deployment of this revision is not there yet"
_NO_REPLICA = (OriginPhase.PENDING, "", "it has no replica, and is to have none")


def origin_observation(
    service: OriginService,
    revision: str,
    deployment: Mapping[str, Any] | None,
    pods: Sequence[Mapping[str, Any]],
    answered: Set[Door] = frozenset(),
) -> OriginObservation:
    """Of the `revision` whose template `service` has; `pods` may hold those of others, too. Who `answered` takes
    requests, whatever the kubelet says."""
    wanted = revision_selector(service.metadata.name, revision)
    mine = present(service, wanted, pods)
    if deployment is None:
        return OriginObservation(OriginPhase.PENDING, endpoints(service, mine, answered), message=_NOT_THERE)
    there = msgspec.convert(deployment, Deployment)
    made_with = rolled(there)
    newest = [pod for pod in mine if pod.metadata.annotations.get(MARK, "") == made_with.mark]
    phase, reason, message = _state(service, there, newest, answered)
    epoch, before = _number(there, EPOCH), _number(there, EPOCH_BEFORE)
    ready, replicas = endpoints(service, mine, answered), there.spec.replicas
    return OriginObservation(phase, ready, reason, message, made_with, replicas, epoch or 0, before)


def _number(there: Deployment, annotation: str) -> int | None:
    written = there.metadata.annotations.get(annotation, "")
    return int(written) if written.isdecimal() else None


def present(service: OriginService, wanted: Mapping[str, str], pods: Sequence[Mapping[str, Any]]) -> list[Pod]:
    """Those with the `wanted` labels that are not on their way out, in a stable order."""
    all_pods = (msgspec.convert(pod, Pod) for pod in pods)
    mine = [
        pod
        for pod in all_pods
        if pod.metadata.namespace == service.metadata.namespace
        and wanted.items() <= pod.metadata.labels.items()
        and not pod.metadata.deletion_timestamp
    ]
    return sorted(mine, key=lambda pod: pod.metadata.name)


def _variables(spec: PodSpec) -> Mapping[str, str]:
    """Those of the container that takes the requests."""
    every = ({variable.name: variable.value for variable in container.env} for container in spec.containers)
    return next((variables for variables in every if SERVICE in variables), {})


def endpoints(service: OriginService, pods: Iterable[Pod], answered: Set[Door] = frozenset()) -> tuple[Endpoint, ...]:
    """Those of the pods that take requests."""
    taking = (pod for pod in pods if pod.status.pod_ip and _takes_requests(pod, answered))
    return tuple(sorted({_endpoint(pod, service) for pod in taking}))


def doors(pods: Iterable[Mapping[str, Any]]) -> frozenset[Door]:
    """Where one may knock at those that the kubelet has not called ready, and that are not on their way out."""
    read = (msgspec.convert(pod, Pod) for pod in pods)
    waited_for = (pod for pod in read if not (is_ready(pod) or pod.metadata.deletion_timestamp))
    return frozenset(found for found in map(door, waited_for) if found)


def _endpoint(pod: Pod, service: OriginService) -> Endpoint:
    if any(container.name == GUARD_CONTAINER for container in pod.spec.init_containers):
        return Endpoint(pod.status.pod_ip, GUARD_PORT, guarded=True)
    port = _variables(pod.spec).get(PORT, "")
    return Endpoint(pod.status.pod_ip, int(port) if port.isdecimal() else service.container.port)


def _takes_requests(pod: Pod, answered: Set[Door]) -> bool:
    return is_ready(pod) or (bool(answered) and door(pod) in answered)


def is_ready(pod: Pod) -> bool:
    return found(pod.status.conditions, "Ready", "True") is not None


def _state(
    service: OriginService, deployment: Deployment, newest: Sequence[Pod], answered: Set[Door]
) -> tuple[OriginPhase, str, str]:
    unready = [pod for pod in newest if not _takes_requests(pod, answered)]
    wanted, ready = deployment.spec.replicas, len(newest) - len(unready)
    if not wanted:
        return _NO_REPLICA
    if ready >= wanted:
        return OriginPhase.READY, "", ""
    wrong = _explained(service, deployment, unready)
    if not ready:
        return OriginPhase.FAILED if wrong.failed else OriginPhase.STARTING, wrong.reason, wrong.message
    others = f"; {wrong.reason}: {wrong.message}" if wrong.reason else ""
    return OriginPhase.READY, wrong.reason, f"{ready} of {wanted} replicas take requests{others}"


def _explained(service: OriginService, deployment: Deployment, unready: Sequence[Pod]) -> Trouble:
    """With what only the template tells: which of its fields names what is not there."""
    wrong = trouble(deployment, unready)
    if wrong.reason == LACKS:
        return replace(wrong, message=located(service, wrong.message))
    first = mounted(service) if wrong.reason in ("", LATE) and any(map(_awaits_volumes, unready)) else ""
    return replace(wrong, message=f"{wrong.message}, as soon as there is {first}") if first else wrong


def _awaits_volumes(pod: Pod) -> bool:
    """Whether a node has it and has not begun with its containers."""
    conditions = pod.status.conditions
    return bool(found(conditions, "PodScheduled", "True") and found(conditions, "PodReadyToStartContainers", "False"))
