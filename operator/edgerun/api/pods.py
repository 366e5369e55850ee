"""What is read of Deployments and their pods, in Kubernetes' own words. Everything else in them is left aside."""

from collections.abc import Mapping

import msgspec

from .meta import Frozen
from .templates import ContainerPort, Probe


class Meta(Frozen, frozen=True):
    name: str = ""
    namespace: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Variable(Frozen, frozen=True):
    name: str
    value: str = ""


class Container(Frozen, frozen=True):
    name: str
    env: tuple[Variable, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""
    readiness_probe: Probe = Probe()
    startup_probe: Probe | None = None


class ReadinessGate(Frozen, frozen=True):
    """A condition that somebody beside the kubelet has to set."""

    condition_type: str


class PodSpec(Frozen, frozen=True):
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    host_network: bool = False
    readiness_gates: tuple[ReadinessGate, ...] = ()


class StatusCondition(Frozen, frozen=True):
    """Of a pod or a Deployment."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class Waiting(Frozen, frozen=True):
    reason: str = ""
    message: str = ""


class Running(Frozen, frozen=True):
    started_at: str | None = None


class Terminated(Frozen, frozen=True):
    """`message` has the container's last words."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""


class ContainerState(Frozen, frozen=True):
    """At most one of them."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Frozen, frozen=True):
    name: str
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(Frozen, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: tuple[StatusCondition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Frozen, frozen=True):
    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodTemplate(Frozen, frozen=True):
    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()


class DeploymentSpec(Frozen, frozen=True):
    replicas: int = 1
    template: PodTemplate = PodTemplate()


class DeploymentStatus(Frozen, frozen=True):
    observed_generation: int = 0
    conditions: tuple[StatusCondition, ...] = ()


class Deployment(Frozen, frozen=True):
    metadata: Meta = Meta()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


def found(conditions: tuple[StatusCondition, ...], type: str, status: str) -> StatusCondition | None:
    """The condition of that type, if that is its status."""
    return next((part for part in conditions if part.type == type and part.status == status), None)
