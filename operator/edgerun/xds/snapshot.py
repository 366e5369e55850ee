"""Resources as the bytes that go out: framed once per version, shared by every stream and by successive snapshots.

Concatenated protobuf messages merge, so a response is a small head of its own followed by frames that exist already.
A type whose resources did not change keeps its very mapping from one snapshot to the next: `is` tells "nothing new".
A snapshot also says which clusters are cold: routes lead to them before they are there, and proxies hold the requests.
One stays cold until it has endpoints, for without any Envoy would answer 503 to all requests that it holds.
Trap: a version must be a hash of the content. Frames are reused by it, and proxies compare it after a reconnect.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2

from ..translate.plan import CLUSTER, ENDPOINTS, Resource, Resources


class Framed(NamedTuple):
    """`frame` is the resource as field `resources` of a response. `endpoints` names the EDS resource of a Cluster."""

    version: str
    frame: bytes
    endpoints: str = ""


FramedSet = Mapping[str, Framed]
_NOTHING: FramedSet = {}


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Everything that proxies should have from `serial` on."""

    serial: int
    sets: Mapping[str, FramedSet]
    cold: Set[str] = frozenset()

    def of(self, type_url: str) -> FramedSet:
        return self.sets.get(type_url, _NOTHING)

    def age(self) -> int:
        """For sorting, the oldest first."""
        return self.serial


def snapshot(serial: int, resources: Resources, before: Snapshot | None = None, cold: Iterable[str] = ()) -> Snapshot:
    """`resources` framed, with the frames of the snapshot `before` where nothing changed. Of a cluster that is called
    `cold` nothing is told, be it there or not, and it stays so until it has endpoints."""
    known = before or Snapshot(0, {})
    asleep = frozenset(cold)
    asleep |= {name for name in known.cold - asleep if _is_bare(name, resources)}
    sets = {type_url: _framed_set(one, known.of(type_url)) for type_url, one in _without(asleep, resources).items()}
    return Snapshot(serial, sets, asleep)


def _without(clusters: Set[str], resources: Resources) -> Resources:
    """Without their endpoints, too: a stream that is still at this snapshot when they wake must not be sent these."""
    there = resources.get(CLUSTER, {})
    hidden = {CLUSTER: clusters & there.keys()}
    hidden[ENDPOINTS] = {_endpoints(there[name]) for name in hidden[CLUSTER]}
    if not hidden[CLUSTER]:
        return resources
    return {
        type_url: {name: one for name, one in found.items() if name not in hidden.get(type_url, ())}
        for type_url, found in resources.items()
    }


def _is_bare(name: str, resources: Resources) -> bool:
    """Whether there is such a cluster, and not one endpoint of it."""
    cluster = resources.get(CLUSTER, {}).get(name)
    wanted = _endpoints(cluster) if cluster else ""
    if not wanted:
        return False
    found = resources.get(ENDPOINTS, {}).get(wanted)
    localities = endpoint_pb2.ClusterLoadAssignment.FromString(found.body).endpoints if found else ()
    return not any(one.lb_endpoints for one in localities)


def _framed_set(resources: Mapping[str, Resource], before: FramedSet) -> FramedSet:
    after = {}
    for name, resource in resources.items():
        old = before.get(name)
        after[name] = old if old and old.version == resource.version else _framed(name, resource)
    unchanged = len(after) == len(before) and all(after[name] is before.get(name) for name in after)
    return before if unchanged else after


def _framed(name: str, resource: Resource) -> Framed:
    body = {"type_url": resource.type_url, "value": resource.body}
    entry = discovery_pb2.Resource(name=name, version=resource.version, resource=body)
    frame: bytes = discovery_pb2.DeltaDiscoveryResponse(resources=[entry]).SerializeToString()
    return Framed(resource.version, frame, _endpoints(resource))


def _endpoints(resource: Resource) -> str:
    if resource.type_url != CLUSTER:
        return ""
    cluster = cluster_pb2.Cluster.FromString(resource.body)
    if cluster.type != cluster_pb2.Cluster.EDS:
        return ""
    return str(cluster.eds_cluster_config.service_name or cluster.name)


@dataclass(frozen=True, slots=True)
class Response:
    """One DeltaDiscoveryResponse. `versions` says what `frames` hold; updates and removals never travel together."""

    type_url: str
    nonce: str
    serial: int
    versions: Mapping[str, str]
    frames: tuple[bytes, ...] = ()
    removed: tuple[str, ...] = ()

    def payload(self) -> bytes:
        head: bytes = discovery_pb2.DeltaDiscoveryResponse(
            system_version_info=str(self.serial),  # what Envoy shows as version_info in its config dump
            type_url=self.type_url,
            nonce=self.nonce,
            removed_resources=self.removed,
        ).SerializeToString()
        return b"".join((head, *self.frames))
