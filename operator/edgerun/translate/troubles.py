"""Why pods take no requests, from what their Deployment, its conditions and the states of containers tell.

Trap: a container that fails goes through several states again and again, and a pull through two. Whatever is said must
be the same in all of them, or the status of the revision would change all the time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..api.originservice import GUARD_CONTAINER
from ..api.pods import ContainerStatus, Deployment, Pod, Terminated, Waiting, found
from ..api.templates import Probe
from .workloads import PROGRESS_DEADLINE_S

_ON_THE_WAY = ("", "ContainerCreating", "PodInitializing")
_CRASHED = "CrashLoopBackOff"
_NOT_PULLED, _PULLING = "ImagePullBackOff", "ErrImagePull"
_NOT_RUN = "RunContainerError"
LACKS = "CreateContainerConfigError"
LATE = "ProgressDeadlineExceeded"
_NOT_STARTED = {
    LACKS,
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
        return Trouble(said, LATE, failed=True)
    return waiting


def _container_troubles(pods: Sequence[Pod]) -> Iterator[Trouble]:
    for pod in pods:
        for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            wrong = None if container.ready or _was_ready(container, pod) else _container_trouble(container)
            if wrong:
                yield wrong


def _container_trouble(container: ContainerStatus) -> Trouble | None:
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
    """Reason and message."""
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
