"""All inputs of the translator, as one immutable value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ..api import edgeproxy
from ..api.edgeproxy import EdgeProxy
from ..api.edgeroute import EdgeRoute
from ..api.meta import ObjectKey
from ..api.originrevision import OriginRevision
from ..api.originservice import OriginService
from ..api.problems import Refusal
from .phases import OriginPhase
from .revisions.follow import Outcome


@dataclass(frozen=True, slots=True)
class Edge:
    """One fleet of edge proxies and where it listens; `public_port` is the one that clients call, 0 for the same.

    `ca_file` holds the certificate authorities that https origins are verified against. `reuse_port` gives each worker
    of Envoy a socket of its own, but lets a second edge on the machine share the port unnoticed. On `probes_port`, if
    there is one, the kubelet and Prometheus ask how a proxy is.
    """

    name: str = edgeproxy.DEFAULT_NAME
    address: str = "127.0.0.1"
    port: int = 8080
    public_port: int = 0
    probes_port: int = 0
    ca_file: str = "/etc/ssl/certs/ca-certificates.crt"
    reuse_port: bool = True

    @property
    def called_port(self) -> int:
        return self.public_port or self.port


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where a ready replica of an origin accepts connections. When it is `guarded`, that is its guard, over mTLS."""

    address: str
    port: int
    guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """By what guards know who calls. All of it is public.

    `jwks` is the JSON Web Key Set of the keys that may have signed a credential in the name of `issuer`;
    `trust_domain` is that of the SPIFFE IDs of workloads. A credential lives for `max_life_s` at most, and clocks may
    differ by `leeway_s`.
    """

    issuer: str = "https://edgerun.invalid"
    trust_domain: str = "edgerun.local"
    jwks: str = '{"keys":[]}'
    max_life_s: int = 86_400
    leeway_s: int = 5


class Version(NamedTuple):
    """Of a Secret or ConfigMap that a template reads: its `resourceVersion`, "" of one that is not there."""

    kind: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Rolled:
    """With what the Deployment of an origin was last rolled out.

    `versions` are those that are known of what its template reads. `mark` is what its pods bear, "" while no change of
    a version has replaced them.
    """

    versions: tuple[Version, ...] = ()
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Referred:
    """The Secrets and ConfigMaps that templates read; what is not in `versions` has not been looked for yet.

    `refused` has the API server's words for each kind and namespace (as a key without a name) that the operator may not
    look at. Its versions are the last ones that were seen.
    """

    versions: Mapping[ObjectKey, str] = field(default_factory=dict)
    refused: Mapping[ObjectKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OriginObservation:
    """What the infrastructure says of one revision of an origin now. `endpoints` are ready.

    `reason` is CamelCase (CrashLoopBackOff, NotListening, CommandNotFound, ...); `message` carries the last words of
    the process. `replicas` is how many the infrastructure was last told to run, None before it was told; `epoch` is the
    number of the last one that it was told, and `before` that of the one before, as long as requests may be under way
    to it.
    """

    phase: OriginPhase
    endpoints: tuple[Endpoint, ...] = ()
    reason: str = ""
    message: str = ""
    rolled: Rolled = Rolled()
    replicas: int | None = None
    epoch: int = 0
    before: int | None = None

    @property
    def stopped(self) -> bool:
        """Whether nothing runs, and nothing is to."""
        return self.replicas == 0 and not self.endpoints


class Sleep(StrEnum):
    """Of a revision that may have no replica. The edge holds requests for it from CLOSING to WAKING."""

    AWAKE = "Awake"
    CLOSING = "Closing"  # its replicas are there for requests under way only
    ASLEEP = "Asleep"
    WAKING = "Waking"  # a request waits


@dataclass(frozen=True, slots=True)
class Epoch:
    """Envoy asks for a cluster once in its life, so each time a revision goes to zero its cluster gets another name.

    `number` is in that name from the first time on. It is the cluster that routes lead to: not there yet while the
    revision is not AWAKE. `before` is the number of the one that requests under way still have. `next` is that of one
    that no proxy has heard of, and that may begin once it is written where another control plane reads it; 0 is none.
    """

    number: int = 0
    sleep: Sleep = Sleep.AWAKE
    before: int | None = None
    next: int = 0

    @property
    def told(self) -> tuple[int, int | None]:
        """The number and the one before that whoever leads next has to go on from."""
        return (self.next, self.number) if self.next else (self.number, self.before)

    @property
    def cold(self) -> bool:
        """Whether routes lead to a cluster that is not there."""
        return self.sleep is not Sleep.AWAKE


AWAKE = Epoch()  # of a revision that was never at zero


@dataclass(frozen=True, slots=True)
class FleetObservation:
    """What the infrastructure says of a fleet: how many pods there should be, which are ready, and what is wrong.

    `addresses` are where clients reach it, as host or host:port.
    """

    replicas: int = 0
    ready: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The operator's own place in a cluster, which the edge pods share.

    `name` is that of the operator's Deployment, and what its objects' names begin with; `uid` is that Deployment's: it
    owns what the operator makes beside itself, so that an uninstallation takes it away. `trust_bundle` holds the
    certificates (PEM) by which proxies know the control plane.
    """

    namespace: str
    name: str = "edgerun"
    uid: str = ""
    image: str = ""
    image_pull_policy: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    xds_port: int = 18000
    trust_bundle: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """`routes`, `origins` and `proxies` hold the versions to serve: the newest good one of each object.

    `refusals` tell of newer versions that are not served; an object without any good version is only there.
    `revisions` are those that there are, and `revised` is what was decided of those of each OriginService. By
    OriginRevision are: `observations`; `scales`, how many replicas were decided, where anything was; and `epochs`, of
    those that were at zero once.
    In a cluster there is an `installation`, and every EdgeProxy is an edge; elsewhere `edge` is the only one.
    """

    edge: Edge = Edge()
    trust: Trust = Trust()
    installation: Installation | None = None
    proxies: tuple[EdgeProxy, ...] = ()
    routes: tuple[EdgeRoute, ...] = ()
    origins: tuple[OriginService, ...] = ()
    revisions: Mapping[ObjectKey, OriginRevision] = field(default_factory=dict)
    revised: Mapping[ObjectKey, Outcome] = field(default_factory=dict)
    observations: Mapping[ObjectKey, OriginObservation] = field(default_factory=dict)
    scales: Mapping[ObjectKey, int] = field(default_factory=dict)
    epochs: Mapping[ObjectKey, Epoch] = field(default_factory=dict)
    fleets: Mapping[str, FleetObservation] = field(default_factory=dict)
    referred: Referred = Referred()
    refusals: Mapping[ObjectKey, Refusal] = field(default_factory=dict)
