"""OriginService: a container that runs like a Cloud Run service.

Field documentation lives in `crds/originservices.yaml`, which is the contract; these are the same shapes for the
control plane. Its template is in `templates`.
"""

from datetime import datetime
from enum import StrEnum

from .meta import Condition, Frozen, Kept, ObjectKey, ObjectMeta
from .templates import Container, Template

KIND = "OriginService"
DEFAULT_MAX_SCALE = 100  # Cloud Run's

# What the guard takes of a pod. It is reserved without a guard, too, so that one may be put before any origin.
GUARD_PORT = 18443
GUARD_PROBES_PORT = 18444
GUARD_CONTAINER = "edgerun-guard"
RESERVED_VOLUME_PREFIX = "edgerun-"


class Metric(StrEnum):
    """What the load of an origin is."""

    CONCURRENCY = "concurrency"
    RPS = "rps"


class Scaling(Frozen, frozen=True):
    """Percents and durations are as users write them. `most` is what `max_scale` is when it is not given."""

    min_scale: int = 1
    max_scale: int | None = None
    metric: Metric = Metric.CONCURRENCY
    target: float | None = None
    target_utilization: float = 70.0
    window: str = "60s"
    panic_window_percentage: float = 10.0
    panic_threshold_percentage: float = 200.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    scale_down_delay: str = "0s"
    scale_to_zero_retention: str = "0s"
    initial_scale: int = 1
    activation_scale: int | None = None

    @property
    def most(self) -> int:
        wanted = max(self.min_scale, self.initial_scale, self.activation_scale or 0)
        return self.max_scale or max(DEFAULT_MAX_SCALE, wanted)


class Ingress(StrEnum):
    """From where an origin's pods may be called at all."""

    EDGE = "Edge"
    ALL = "All"


class Invoker(Frozen, frozen=True):
    """Who may call: all routes of a `namespace`, or those with one ServiceAccount of it; or a `subject`, as a
    credential has it."""

    namespace: str = ""
    service_account_name: str = ""
    subject: str = ""


class Access(Frozen, frozen=True):
    """Without `invokers` the routes of the origin's own namespace may call; an empty list is nobody."""

    ingress: Ingress = Ingress.EDGE
    invokers: tuple[Invoker, ...] | None = None


class Guarding(StrEnum):
    """Whether a guard stands in front of every replica, and lets nobody in who may not call."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class SecretRotation(StrEnum):
    """What follows when a Secret or ConfigMap changes that the template reads."""

    ROLLOUT = "Rollout"
    IGNORE = "Ignore"


class TrafficTarget(Frozen, frozen=True):
    """One of `spec.traffic`: a revision by its name, or the latest ready one, and a tag of its own if it has one."""

    revision_name: str = ""
    latest_revision: bool | None = None
    percent: int | None = None
    tag: str = ""

    @property
    def latest(self) -> bool:
        """Whether it follows the latest ready revision: so does what names none."""
        return not self.revision_name


class RolloutPolicy(Frozen, frozen=True):
    """How the traffic of `latestRevision` moves to a new one: at once, or in `duration`; and when it goes back."""

    duration: str = "0s"
    max_error_percent: float | None = None


class OriginServiceSpec(Frozen, frozen=True):
    template: Template
    scaling: Scaling = Scaling()
    traffic: tuple[TrafficTarget, ...] = ()
    rollout: RolloutPolicy = RolloutPolicy()
    session_affinity: bool = False
    access: Access = Access()
    guard: Guarding = Guarding.ENABLED
    secret_rotation: SecretRotation = SecretRotation.IGNORE


class UsedVersion(Frozen, frozen=True):
    """The `resourceVersion` of a Secret or ConfigMap with which the replicas were made that serve."""

    kind: str
    name: str
    version: str


class Replicas(Frozen, frozen=True, omit_defaults=False):
    """How many there should be, and how many take requests."""

    desired: int
    ready: int


class Share(Frozen, frozen=True):
    """How much of all requests a revision gets."""

    revision_name: str
    percent: int


class Rejected(Frozen, frozen=True):
    """A revision that was rolled back from, and why. It gets none of what is for the latest one any more."""

    revision_name: str
    message: str = ""
    at: datetime | None = None


class Rollout(Frozen, frozen=True):
    """Where the traffic of `latestRevision` is.

    `shares` are of the revisions that have some of it, the oldest first. `begun`: since when the newest of them has its
    first percent, until all proxies serve that; from then on there is a `next_step`. `goal` is the revision that was
    meant last. `previous` had the traffic before, and `settled` is when it lost the last of it.
    """

    goal: str = ""
    shares: tuple[Share, ...] = ()
    begun: datetime | None = None
    next_step: datetime | None = None
    step_seconds: float = 0.0
    step_percent: int = 0
    previous: str = ""
    settled: datetime | None = None
    rejected: tuple[Rejected, ...] = ()

    @property
    def rolling(self) -> bool:
        return len(self.shares) > 1

    @property
    def percent(self) -> int:
        """Of all requests."""
        return sum(share.percent for share in self.shares)

    def rejects(self, name: str) -> bool:
        return any(one.revision_name == name for one in self.rejected)


class LiveTraffic(Frozen, frozen=True):
    """What one revision gets now. With a `tag` it is also called by that alone, at `url` where a route has one."""

    revision_name: str
    percent: int | None = None
    tag: str = ""
    url: str = ""


class OriginServiceStatus(Frozen, frozen=True):
    """`revision_number` is the highest that was ever seen; `applied_traffic` is the newest `spec.traffic` that could be
    put into effect, `traffic` what comes of it and of `rollout`."""

    observed_generation: int = 0
    serving: Kept | None = None
    url: str = ""
    replicas: Replicas | None = None
    references: tuple[UsedVersion, ...] = ()
    latest_created_revision_name: str = ""
    latest_ready_revision_name: str = ""
    traffic: tuple[LiveTraffic, ...] = ()
    revision_number: int = 0
    applied_traffic: tuple[TrafficTarget, ...] = ()
    rollout: Rollout | None = None
    conditions: tuple[Condition, ...] = ()


class OriginService(Frozen, frozen=True):
    metadata: ObjectMeta
    spec: OriginServiceSpec

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(KIND, self.metadata.namespace, self.metadata.name)

    @property
    def container(self) -> Container:
        """The one that takes the requests."""
        return self.spec.template.spec.containers[0]

    @property
    def guarded(self) -> bool:
        return self.spec.guard is Guarding.ENABLED
