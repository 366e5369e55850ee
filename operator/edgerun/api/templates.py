"""The template of an OriginService: how its containers run. The words are Kubernetes' PodSpec and Knative's.

Trap: `None` is "not given" and differs from false, 0 or {}: a Deployment gets what was written, and nothing else.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from .meta import Frozen

DEFAULT_CONTAINER_PORT = 8080  # Knative's and Cloud Run's
HTTP2_PORT = "h2c"  # Knative's and Cloud Run's name for it

Passed = Mapping[str, Any]  # a part of Kubernetes' PodSpec that is passed on as it is, and judged by an API server


class EnvVar(Frozen, frozen=True):
    name: str
    value: str = ""
    value_from: Passed | None = None


class ContainerPort(Frozen, frozen=True):
    container_port: int
    name: str = ""
    protocol: str = "TCP"
    host_port: int | None = None
    host_ip: str = msgspec.field(default="", name="hostIP")


class HTTPHeader(Frozen, frozen=True):
    name: str
    value: str = ""


class HTTPGetAction(Frozen, frozen=True):
    """Succeeds when a GET of `path` answers 200 to 399."""

    path: str = "/"
    port: int | str | None = None
    scheme: str = ""
    host: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPSocketAction(Frozen, frozen=True):
    """Succeeds when a connection is accepted."""

    port: int | str | None = None
    host: str = ""


class ExecAction(Frozen, frozen=True):
    command: tuple[str, ...] = ()


class GRPCAction(Frozen, frozen=True):
    port: int | None = None
    service: str = ""


class Probe(Frozen, frozen=True):
    """At most one of the four; none means `tcp_socket` on the container's port."""

    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    exec: ExecAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: int | None = None
    period_seconds: int | None = None
    timeout_seconds: int = 1
    success_threshold: int | None = None
    failure_threshold: int | None = None
    termination_grace_period_seconds: int | None = None


class Container(Frozen, frozen=True):
    name: str = "app"
    image: str = ""
    image_pull_policy: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[Passed, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    resources: Passed | None = None
    volume_mounts: tuple[Passed, ...] = ()
    volume_devices: tuple[Passed, ...] = ()
    security_context: Passed | None = None
    readiness_probe: Probe = Probe()
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Passed | None = None
    termination_message_path: str = ""
    termination_message_policy: str = ""
    restart_policy: str = ""
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None

    @property
    def port(self) -> int:
        """The port the app is told to listen on, as `PORT`."""
        return self.ports[0].container_port if self.ports else DEFAULT_CONTAINER_PORT

    @property
    def http2(self) -> bool:
        """Whether it speaks HTTP/2 there, without TLS and without being asked first: gRPC does."""
        return bool(self.ports) and self.ports[0].name == HTTP2_PORT


class PodSpec(Frozen, frozen=True):
    """A PodSpec of Kubernetes, and `container_concurrency`: how many requests a replica gets at once, 0 for any
    number."""

    containers: tuple[Container, ...]
    container_concurrency: int = 0
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Passed, ...] = ()
    service_account_name: str = ""
    automount_service_account_token: bool | None = None
    image_pull_secrets: tuple[Passed, ...] = ()
    security_context: Passed | None = None
    termination_grace_period_seconds: int | None = None
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Passed, ...] = ()
    affinity: Passed | None = None
    topology_spread_constraints: tuple[Passed, ...] = ()
    priority_class_name: str = ""
    scheduler_name: str = ""
    runtime_class_name: str = ""
    dns_policy: str = ""
    dns_config: Passed | None = None
    host_aliases: tuple[Passed, ...] = ()
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")
    share_process_namespace: bool | None = None
    enable_service_links: bool | None = None


class TemplateMeta(Frozen, frozen=True):
    """`name` is what the user calls the revision, "" for one that gets a number."""

    name: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Template(Frozen, frozen=True):
    spec: PodSpec
    metadata: TemplateMeta = TemplateMeta()
