"""All inputs of the translator, as one immutable value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ..api.edgeroute import EdgeRoute
from ..api.meta import ObjectKey
from ..api.originservice import OriginService
from ..api.problems import Refusal


@dataclass(frozen=True, slots=True)
class Edge:
    """One fleet of edge proxies and where it listens.

    `ca_file` holds the certificate authorities that https origins are verified against. `reuse_port` gives each worker
    of Envoy a socket of its own, but lets a second edge on the machine share the port unnoticed.
    """

    name: str = "default"
    address: str = "127.0.0.1"
    port: int = 8080
    ca_file: str = "/etc/ssl/certs/ca-certificates.crt"
    reuse_port: bool = True


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where a ready replica of an origin accepts connections."""

    address: str
    port: int


class OriginPhase(StrEnum):
    PENDING = "Pending"
    STARTING = "Starting"
    READY = "Ready"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class OriginObservation:
    """What the infrastructure says of an origin now.

    `endpoints` are ready; they may belong to the version before `generation` while a new one starts.
    `reason` is CamelCase (CrashLoopBackOff, NotListening, CommandNotFound, ...); `message` carries the last words of
    the process.
    """

    generation: int
    phase: OriginPhase
    endpoints: tuple[Endpoint, ...] = ()
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """`routes` and `origins` hold the versions to serve: the newest good one of each object.

    `refusals` tell of newer versions that are not served; an object without any good version is only there.
    """

    edge: Edge = Edge()
    routes: tuple[EdgeRoute, ...] = ()
    origins: tuple[OriginService, ...] = ()
    observations: Mapping[ObjectKey, OriginObservation] = field(default_factory=dict)
    refusals: Mapping[ObjectKey, Refusal] = field(default_factory=dict)
