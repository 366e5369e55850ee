"""EdgeProxy: a fleet of edge proxies, and how clients reach it.

Cluster-scoped: it belongs to whoever runs the cluster. Field documentation lives in `crds/edgeproxies.yaml`, which is
the contract; these are the same shapes for the control plane.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from .meta import Condition, Frozen, Kept, ObjectKey, ObjectMeta

KIND = "EdgeProxy"
DEFAULT_NAME = "default"
DEFAULT_REPLICAS = 2


class Protocol(StrEnum):
    HTTP = "HTTP"


class ServiceType(StrEnum):
    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class TaintEffect(StrEnum):
    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class TolerationOperator(StrEnum):
    EQUAL = "Equal"
    EXISTS = "Exists"


class Autoscaling(Frozen, frozen=True):
    """The bounds of a HorizontalPodAutoscaler."""

    max_replicas: int
    min_replicas: int = 2
    target_cpu_utilization_percentage: int = msgspec.field(default=70, name="targetCPUUtilizationPercentage")


class Listener(Frozen, frozen=True):
    """One port that clients connect to."""

    name: str
    port: int = 80
    protocol: Protocol = Protocol.HTTP


class Resources(Frozen, frozen=True):
    """Quantities, as Kubernetes writes them."""

    requests: Mapping[str, str | int] = {}
    limits: Mapping[str, str | int] = {}


class Toleration(Frozen, frozen=True):
    key: str = ""
    operator: TolerationOperator | None = None
    value: str = ""
    effect: TaintEffect | None = None
    toleration_seconds: int | None = None


class EdgeProxySpec(Frozen, frozen=True):
    replicas: int | None = None
    autoscaling: Autoscaling | None = None
    listeners: tuple[Listener, ...] = (Listener(name="http"),)
    service_type: ServiceType = ServiceType.LOAD_BALANCER
    service_annotations: Mapping[str, str] = {}
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "1Gi"})
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    drain_timeout: str = "60s"


class EdgeProxyStatus(Frozen, frozen=True):
    observed_generation: int = 0
    serving: Kept | None = None
    replicas: int = 0
    ready_replicas: int = 0
    addresses: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class EdgeProxy(Frozen, frozen=True):
    metadata: ObjectMeta
    spec: EdgeProxySpec

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(KIND, "", self.metadata.name)
