"""Resources as the bytes that go out: framed once per version, shared by every stream and by successive snapshots.

Concatenated protobuf messages merge, so a response is a small head of its own followed by frames that exist already.
A type whose resources did not change keeps its very mapping from one snapshot to the next: `is` tells "nothing new".
Trap: a version must be a hash of the content. Frames are reused by it, and proxies compare it after a reconnect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2

from ..translate.plan import CLUSTER, Resource, Resources


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

    def of(self, type_url: str) -> FramedSet:
        return self.sets.get(type_url, _NOTHING)

    def age(self) -> int:
        """For sorting, the oldest first."""
        return self.serial


def snapshot(serial: int, resources: Resources, before: Snapshot | None = None) -> Snapshot:
    """`resources` framed, with the frames of the snapshot `before` where nothing changed."""
    known = before or Snapshot(0, {})
    return Snapshot(serial, {type_url: _framed_set(one, known.of(type_url)) for type_url, one in resources.items()})


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
