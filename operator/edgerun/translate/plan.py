"""All outputs of the translator, as one immutable value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from ..api.meta import Condition, Kept, ObjectKey
from ..api.originrevision import OriginRevisionStatus
from ..api.originservice import LiveTraffic, OriginService, Replicas
from .identities import Claim
from .revisions.memory import Memory
from .world import FleetObservation, Version

_PREFIX = "type.googleapis.com/envoy."
CLUSTER = _PREFIX + "config.cluster.v3.Cluster"
ENDPOINTS = _PREFIX + "config.endpoint.v3.ClusterLoadAssignment"
LISTENER = _PREFIX + "config.listener.v3.Listener"
SECRET = _PREFIX + "extensions.transport_sockets.tls.v3.Secret"
EXTENSION = _PREFIX + "config.core.v3.TypedExtensionConfig"
ROUTES = _PREFIX + "config.route.v3.RouteConfiguration"


class Resource(NamedTuple):
    """One xDS resource, serialised once. `version` is a hash of `body`: equal on every replica and after a restart."""

    type_url: str
    name: str
    version: str
    body: bytes


def resource(name: str, message: Any) -> Resource:
    """The protobuf `message` as a resource."""
    type_url = "type.googleapis.com/" + message.DESCRIPTOR.full_name
    return serialised(type_url, name, message.SerializeToString(deterministic=True))


def serialised(type_url: str, name: str, body: bytes) -> Resource:
    """A resource from the bytes of its message."""
    return Resource(type_url, name, blake2b(body, digest_size=8).hexdigest(), body)


Resources = Mapping[str, Mapping[str, Resource]]  # type URL -> name -> resource
Fleets = Mapping[str, Resources]  # name of an edge, or of the guards of an origin -> what its proxies should have
Manifest = Mapping[str, Any]  # an object of Kubernetes, as it is applied
Contribution = tuple[str, str, str]  # name of an edge, type URL, name of a resource


@dataclass(frozen=True, slots=True)
class Rotation:
    """Of an OriginService whose pods follow what they read. What is None is not known now, and what was said holds.

    `resolved` tells whether all of it is there, `versions` with which of it the pods that serve were made.
    """

    resolved: Condition | None
    versions: tuple[Version, ...] | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What translating says of one object, before anybody has been asked whether it runs.

    `conditions` lack Programmed and Ready, transition times and nothing else. `waits_for` is a Ready condition
    that holds although everything else is fine: an origin without a replica, say. `edge` names who has to serve it.
    `kept` is what serves in the place of the generation that was refused. `memory` is what the status of an
    OriginService carries of its revisions, `revision` what that of an OriginRevision remembers.
    """

    key: ObjectKey
    generation: int
    conditions: tuple[Condition, ...]
    url: str = ""
    waits_for: Condition | None = None
    edge: str = ""
    kept: Kept | None = None
    fleet: FleetObservation | None = None
    rotation: Rotation | None = None
    replicas: Replicas | None = None
    memory: Memory | None = None
    revision: OriginRevisionStatus | None = None
    traffic: tuple[LiveTraffic, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """A revision that is there: `key` is the OriginRevision's, and `service` has its template in the place of the
    newest one. `epoch` and the one `before` are what whoever leads next has to go on from."""

    key: ObjectKey
    service: OriginService
    replicas: int
    epoch: int = 0
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """`fleets` has the resources of each edge, `manifests` what must exist in the cluster; `running` tells what is to
    run. `cold` are clusters of an edge that its routes lead to and that are not there yet: it asks for them.

    `contributors` maps a resource of an edge to the objects that shaped it: the suspects of a NACK.

    No secret is in it. What secrets the proxies of a fleet are to have beside its resources, `claims` and `identities`
    tell: a credential for each claim, and a certificate of that SPIFFE ID with the authorities that know the others.
    """

    fleets: Fleets = field(default_factory=dict)
    manifests: tuple[Manifest, ...] = ()
    running: tuple[Running, ...] = ()
    cold: Mapping[str, frozenset[str]] = field(default_factory=dict)
    verdicts: Mapping[ObjectKey, Verdict] = field(default_factory=dict)
    contributors: Mapping[Contribution, frozenset[ObjectKey]] = field(default_factory=dict)
    claims: Mapping[str, frozenset[Claim]] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)
