"""What is to be said of a revision, from its Deployment and pods as the API server has them.

Which revision a pod is of its label says; where it listens is read from the variables that its Deployment gave it: a
sidecar that somebody injects leaves them as they are.

Trap: pods that were made before a Secret or ConfigMap of the revision changed are endpoints, and nothing is said of
them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from ..api.originservice import GUARD_CONTAINER, GUARD_PORT, OriginService
from ..api.pods import ContainerStatus, Deployment, Pod, PodSpec, Terminated, Waiting, found
from ..api.templates import Probe
from .doors import Door, door
from .labels import EPOCH, EPOCH_BEFORE, revision_selector
from .phases import OriginPhase
from .references import MARK, located, mounted, rolled
from .workloads import PORT, PROGRESS_DEADLINE_S, SERVICE
from .world import Endpoint, OriginObservation

_ON_THE_WAY = ("", "ContainerCreating", "PodInitializing")
_CRASHED = "CrashLoopBackOff"
_NOT_PULLED, _PULLING = "ImagePullBackOff", "ErrImagePull"
_NOT_RUN = "RunContainerError"
_LACKS = "CreateContainerConfigError"
_LATE = "ProgressDeadlineExceeded"
_NOT_STARTED = {
    _LACKS,
    "CreateContainerError",
    "ErrImageNeverPull",
    "InvalidImageName",
    _NOT_PULLED,
    _NOT_RUN,
}
_NEVER_RAN = ("ContainerCannotRun", "StartError")  # of an end, too
_ENDED = ("Failed", "Succeeded")  # phases of a pod
_SAYS_NOTHING = ("", "Error", "Completed")  # of an end, beside its exit code
_LAST_LINES = 5
_LAST_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why no replica takes requests. `failed` says that waiting will not do; without a reason all goes as usual."""

    message: str
    reason: str = ""
    failed: bool = False


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


_NOT_THERE = "the Deployment of this revision is not there yet"
_NO_REPLICA = (OriginPhase.PENDING, "", "it has no replica, and is to have none")


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
    if wrong.reason == _LACKS:
        return replace(wrong, message=located(service, wrong.message))
    first = mounted(service) if wrong.reason in ("", _LATE) and any(map(_awaits_volumes, unready)) else ""
    return replace(wrong, message=f"{wrong.message}, as soon as there is {first}") if first else wrong


def _awaits_volumes(pod: Pod) -> bool:
    """Whether a node has it and has not begun with its containers."""
    conditions = pod.status.conditions
    return bool(found(conditions, "PodScheduled", "True") and found(conditions, "PodReadyToStartContainers", "False"))


def trouble(deployment: Deployment, unready: Sequence[Pod]) -> Trouble:
    """The most telling of all that is wrong."""
    alive = [pod for pod in unready if pod.status.phase not in _ENDED]
    told = deployment.status.observed_generation >= deployment.metadata.generation
    conditions = deployment.status.conditions if told else ()
    late = found(conditions, "Progressing", "False") is not None
    failure = found(conditions, "ReplicaFailure", "True")
    causes = [*_container_troubles(alive), *_unscheduled(alive)]
    if failure:
        reason = "PodsForbidden" if "forbidden" in failure.message else "FailedCreate"
        causes.append(Trouble(failure.message, reason, failed=True))
    if not alive:
        causes += _evicted(unready)
    if causes:
        return replace(causes[0], failed=causes[0].failed or late)
    waiting = next(_waited_for(alive), Trouble("its pods are being created"))
    if late:
        said = f"no replica took requests within {PROGRESS_DEADLINE_S} s: {waiting.message}"
        return Trouble(said, _LATE, failed=True)
    return waiting


def _container_troubles(pods: Sequence[Pod]) -> Iterator[Trouble]:
    for pod in pods:
        for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            wrong = None if container.ready or _was_ready(container, pod) else _container_trouble(container)
            if wrong:
                yield wrong


def _container_trouble(container: ContainerStatus) -> Trouble | None:
    """A container that fails goes through several states again and again; of all of them the same is said."""
    waiting, ended = container.state.waiting, container.state.terminated or container.last_state.terminated
    if waiting and waiting.reason not in (*_ON_THE_WAY, _CRASHED, _NOT_RUN):
        reason, message = _not_started(waiting)
    elif ended:
        reason, message = (_NOT_RUN, ended.message) if ended.reason in _NEVER_RAN else (_CRASHED, _end(ended))
    elif waiting and waiting.reason not in _ON_THE_WAY:
        reason, message = waiting.reason, waiting.message
    else:
        return None
    return Trouble(f'container "{container.name}": {message}', reason, failed=True)


def _not_started(waiting: Waiting) -> tuple[str, str]:
    """Reason and message. A pull that failed is told as it is before and after the pause that follows it."""
    if waiting.reason in (_PULLING, _NOT_PULLED):
        return _NOT_PULLED, waiting.message.rpartition(f"{_PULLING}: ")[2]
    if waiting.reason in _NOT_STARTED:
        return waiting.reason, waiting.message
    return "ContainerNotStarted", f"{waiting.reason}: {waiting.message}"


def _end(ended: Terminated) -> str:
    why = "" if ended.reason in _SAYS_NOTHING else f" ({ended.reason})"
    words = "\n".join(ended.message.rstrip().splitlines()[-_LAST_LINES:])[-_LAST_CHARACTERS:]
    return f"exit code {ended.exit_code}{why}:\n{words}" if words else f"exit code {ended.exit_code}{why}"


def _unscheduled(pods: Sequence[Pod]) -> Iterator[Trouble]:
    """A node may still come: that is no failure before the Deployment's deadline."""
    for pod in pods:
        scheduled = found(pod.status.conditions, "PodScheduled", "False")
        if scheduled:
            yield Trouble(scheduled.message, "Unschedulable")


def _evicted(pods: Sequence[Pod]) -> Iterator[Trouble]:
    """Pods that a node would not have, or not keep; there will be others."""
    for pod in pods:
        yield Trouble(f"pod {pod.metadata.name}: {pod.status.reason}: {pod.status.message}", "PodFailed")


def _waited_for(pods: Sequence[Pod]) -> Iterator[Trouble]:
    for pod in pods:
        for container in pod.status.init_container_statuses:
            if container.name == GUARD_CONTAINER:
                continue
            if not container.ready and container.state.running:
                yield Trouble(f'init container "{container.name}" is not done yet')
        for container in pod.status.container_statuses:
            if not container.ready:
                yield _unready(container, pod)
        if any(one.name == GUARD_CONTAINER and not one.ready for one in pod.status.init_container_statuses):
            yield Trouble("its guard waits for what the control plane is to tell it: keys, callers and a certificate")
        yield Trouble(f"pod {pod.metadata.name} is being started")


def _unready(container: ContainerStatus, pod: Pod) -> Trouble:
    if not container.state.running:
        return Trouble(f'container "{container.name}" is being created')
    probe = next((one.readiness_probe for one in pod.spec.containers if one.name == container.name), Probe())
    if _was_ready(container, pod):
        message = f'container "{container.name}" does not answer its readiness probe any more: {_asked(probe)}'
        return Trouble(message, "ProbeFailing")
    return Trouble(f'container "{container.name}" runs, and has not answered its readiness probe yet: {_asked(probe)}')


def _asked(probe: Probe) -> str:
    if get := probe.http_get:
        return f"GET {get.path} on port {get.port}"
    if probe.grpc:
        return f"gRPC's health service on port {probe.grpc.port}"
    if probe.exec:
        return f"the command {' '.join(probe.exec.command)}"
    return f"a connection to port {probe.tcp_socket.port}" if probe.tcp_socket else "it has none"


def _was_ready(container: ContainerStatus, pod: Pod) -> bool:
    """Whether the pod became unready while the container ran. RFC 3339 in UTC sorts as it reads."""
    running, unready = container.state.running, found(pod.status.conditions, "Ready", "False")
    started, since = running.started_at if running else None, unready.last_transition_time if unready else None
    return bool(started and since and since > started)
