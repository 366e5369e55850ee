"""OriginService: a container that runs like a Cloud Run service.

The template's words are Kubernetes' PodSpec and Knative's. Field documentation lives in
`crds/originservices.yaml`, which is the contract; these are the same shapes for the control plane.
"""

from collections.abc import Mapping

from .meta import Condition, Frozen, ObjectKey, ObjectMeta

KIND = "OriginService"
DEFAULT_CONTAINER_PORT = 8080  # Knative's and Cloud Run's


class EnvVar(Frozen, frozen=True):
    name: str
    value: str = ""


class ContainerPort(Frozen, frozen=True):
    container_port: int
    name: str = ""


class HTTPGetAction(Frozen, frozen=True):
    """Ready when a GET of `path` answers 200 to 399."""

    path: str = "/"
    port: int | str | None = None


class TCPSocketAction(Frozen, frozen=True):
    """Ready when a connection is accepted."""

    port: int | str | None = None


class Probe(Frozen, frozen=True):
    """At most one of the two; neither means `tcp_socket` on the container's port."""

    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    timeout_seconds: int = 1


class Container(Frozen, frozen=True):
    name: str = "app"
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    readiness_probe: Probe = Probe()

    @property
    def port(self) -> int:
        """The port the app is told to listen on, as `PORT`."""
        return self.ports[0].container_port if self.ports else DEFAULT_CONTAINER_PORT


class PodSpec(Frozen, frozen=True):
    containers: tuple[Container, ...]


class TemplateMeta(Frozen, frozen=True):
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Template(Frozen, frozen=True):
    spec: PodSpec
    metadata: TemplateMeta = TemplateMeta()


class OriginServiceSpec(Frozen, frozen=True):
    template: Template


class OriginServiceStatus(Frozen, frozen=True):
    observed_generation: int = 0
    url: str = ""
    conditions: tuple[Condition, ...] = ()


class OriginService(Frozen, frozen=True):
    metadata: ObjectMeta
    spec: OriginServiceSpec

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(KIND, self.metadata.namespace, self.metadata.name)

    @property
    def container(self) -> Container:
        return self.spec.template.spec.containers[0]
