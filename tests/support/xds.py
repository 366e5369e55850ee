"""Tiny Envoy resources, and clients of delta ADS that do what a script says: one of a bare session, one over gRPC.

A client here never acts by itself: it neither ACKs nor subscribes unless told. Trap: `version` of a builder only makes
its content differ, the version that travels is a hash.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.service.discovery.v3 import discovery_pb2

from edgerun.translate.plan import Resource, Resources, resource
from edgerun.xds.nacks import Nack
from edgerun.xds.server import Proxy, Refused
from edgerun.xds.session import Session
from edgerun.xds.snapshot import Snapshot, snapshot

ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
FLEET = "edge"  # what every client here belongs to unless it says otherwise
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def cluster(name: str, version: int = 1, *, endpoints: str = "") -> Resource:
    """An EDS cluster. `endpoints` is the name of its ClusterLoadAssignment when that is another one."""
    message = cluster_pb2.Cluster(
        name=name,
        type="EDS",
        connect_timeout={"seconds": version},
        eds_cluster_config={"eds_config": ADS, "service_name": endpoints},
    )
    return resource(name, message)


def assignment(name: str, port: int = 1) -> Resource:
    """The endpoints of a cluster: one port of the loopback interface, or none at all for port 0."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    localities = [{"lb_endpoints": [{"endpoint": {"address": address}}]}] if port else []
    return resource(name, endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=localities))


def route_table(name: str, *clusters: str) -> Resource:
    """A RouteConfiguration: everything goes to the first cluster, `/NAME/` to each of the others."""
    routes: list[dict[str, Any]] = [
        {"match": {"prefix": f"/{one}/"}, "route": {"cluster": one}} for one in clusters[1:]
    ]
    routes += [{"match": {"prefix": "/"}, "route": {"cluster": one}} for one in clusters[:1]]
    hosts = [{"name": "all", "domains": ["*"], "routes": routes}]
    return resource(name, route_pb2.RouteConfiguration(name=name, virtual_hosts=hosts))


def listener(name: str, port: int = 1, *, routes: str = "edge") -> Resource:
    """An HTTP listener on the loopback interface that takes its routes from RDS."""
    router = hcm_pb2.HttpFilter(name="router")
    router.typed_config.Pack(router_pb2.Router())
    manager = hcm_pb2.HttpConnectionManager(
        stat_prefix="edge", rds={"route_config_name": routes, "config_source": ADS}, http_filters=[router]
    )
    message = listener_pb2.Listener(name=name, address={"socket_address": {"address": "127.0.0.1", "port_value": port}})
    message.filter_chains.add().filters.add(name="hcm").typed_config.Pack(manager)
    return resource(name, message)


def resources(*some: Resource) -> Resources:
    found: dict[str, dict[str, Resource]] = {}
    for one in some:
        found.setdefault(one.type_url, {})[one.name] = one
    return found


def fleet(*some: Resource) -> dict[str, Resources]:
    """What there is to publish when there is one fleet."""
    return {FLEET: resources(*some)}


def served(*clusters: str, port: int = 1) -> tuple[Resource, ...]:
    """A whole small edge: a listener, routes to these clusters, the clusters and their endpoints."""
    origins = [one for name in clusters for one in (cluster(name), assignment(name, port))]
    return (*origins, listener("edge"), route_table("edge", *clusters))


def subscription(
    type_url: str,
    *names: str,
    drop: Iterable[str] = (),
    held: Mapping[str, str] | None = None,
    nonce: str = "",
    node: str = "",
) -> Any:
    """A request: the first of a type when nothing else is given."""
    return discovery_pb2.DeltaDiscoveryRequest(
        node={"id": node, "cluster": FLEET} if node else None,
        type_url=type_url,
        resource_names_subscribe=names,
        resource_names_unsubscribe=list(drop),
        initial_resource_versions=held or {},
        response_nonce=nonce,
    )


def ack(response: Any) -> Any:
    return discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)


def nack(response: Any, text: str = "no") -> Any:
    refusal = ack(response)
    refusal.error_detail.code = 13
    refusal.error_detail.message = text
    return refusal


def names(response: Any) -> list[str]:
    """What the response adds or updates."""
    return [one.name for one in response.resources]


def versions(response: Any) -> dict[str, str]:
    return {one.name: one.version for one in response.resources}


class Script:
    """A session and its client, at a time of the script's making. `said` is every NACK that the session made out."""

    def __init__(self, *some: Resource) -> None:
        self.session = Session()
        self.now = 100.0
        self.said: list[Nack] = []
        self._newest: Snapshot | None = None
        self._serials = count(1)
        if some:
            self.publish(*some)

    def publish(self, *some: Resource, cold: Iterable[str] = ()) -> int:
        self._newest = snapshot(next(self._serials), resources(*some), self._newest, cold)
        self.session.publish(self._newest)
        return self._newest.serial

    def say(self, request: Any) -> None:
        found = self.session.on_request(request, self.now)
        self.said += [found] if found else []

    def hear(self) -> list[Any]:
        """What the server sends now, as the client parses it."""
        sent = self.session.responses(self.now)
        return [discovery_pb2.DeltaDiscoveryResponse.FromString(one.payload()) for one in sent]

    def hear_one(self) -> Any:
        heard = self.hear()
        assert len(heard) == 1, [(one.type_url, names(one), list(one.removed_resources)) for one in heard]
        return heard[0]

    def subscribe(self, type_url: str, *wanted: str, **others: Any) -> list[Any]:
        self.say(subscription(type_url, *wanted, **others))
        return self.hear()

    def ack(self, *responses: Any) -> list[Any]:
        """ACK each of them, then listen."""
        for response in responses:
            self.say(ack(response))
        return self.hear()

    def nack(self, response: Any, text: str = "no") -> list[Any]:
        self.say(nack(response, text))
        return self.hear()

    def settle(self, *heard: Any) -> list[Any]:
        """ACK what was heard, and whatever then comes until nothing does. All of it."""
        everything: list[Any] = []
        news: Sequence[Any] = heard or self.hear()
        while news:
            everything += news
            assert len(everything) < 1000, "the session talks for ever"
            news = self.ack(*news)
        return everything

    def wait(self, seconds: float) -> list[Any]:
        self.now += seconds
        return self.hear()


class Witness:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.acks: list[tuple[str, int]] = []
        self.refusals: list[Refused] = []
        self.demands: list[tuple[str, str, tuple[str, ...]]] = []

    def connected(self, proxy: Proxy) -> None:
        self.events.append(("connected", proxy.id))

    def disconnected(self, proxy: Proxy) -> None:
        self.events.append(("disconnected", proxy.id))

    def acknowledged(self, proxy: Proxy, serial: int) -> None:
        self.acks.append((proxy.id, serial))

    def refused(self, refused: Refused) -> None:
        self.refusals.append(refused)

    def demanded(self, proxy: str, names: Set[str]) -> None:
        self.demands.append(("demanded", proxy, tuple(sorted(names))))

    def undemanded(self, proxy: str, names: Set[str]) -> None:
        self.demands.append(("undemanded", proxy, tuple(sorted(names))))


class Client:
    """One stream over gRPC. `fleet` is the cluster of its node, said with the first request as Envoy does."""

    def __init__(self, call: Any, fleet: str) -> None:
        self.call, self._fleet = call, fleet

    async def say(self, request: Any) -> None:
        if self._fleet:
            request.node.cluster, self._fleet = self._fleet, ""
        await self.call.write(request)

    async def subscribe(self, type_url: str, *wanted: str, **others: Any) -> None:
        await self.say(subscription(type_url, *wanted, **others))

    async def hear(self, *, within_s: float = 60.0) -> Any:
        async with asyncio.timeout(within_s):
            response = await self.call.read()
        assert response is not grpc.aio.EOF, "the server ended the stream"
        return response

    async def ask(self, type_url: str, *wanted: str, **others: Any) -> Any:
        """Subscribe, and ACK the answer."""
        await self.subscribe(type_url, *wanted, **others)
        return await self.take()

    async def take(self) -> Any:
        """The next response, ACKed."""
        response = await self.hear()
        await self.say(ack(response))
        return response

    async def quiet(self, for_s: float = 0.1) -> bool:
        """Whether nothing comes. The stream is of no use afterwards: a cancelled read ends it."""
        try:
            await self.hear(within_s=for_s)
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def connected(
    address: str,
    *,
    fleet: str = FLEET,
    options: Iterable[tuple[str, Any]] = (),
    metadata: Sequence[tuple[str, str]] = (),
    ca: bytes = b"",
    method: str = METHOD,
) -> AsyncIterator[Client]:
    """A stream to the server at `address`, cut when the block ends. With `ca` the server must be one that it signed."""
    async with _channel(address, ca, list(options)) as channel:
        begin = channel.stream_stream(
            method,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )
        call = begin(metadata=metadata)
        try:
            yield Client(call, fleet)
        finally:
            call.cancel()


def _channel(address: str, ca: bytes, options: list[tuple[str, Any]]) -> grpc.aio.Channel:
    if not ca:
        return grpc.aio.insecure_channel(address, options=options)
    own = ("grpc.use_local_subchannel_pool", 1)  # a connection, and so a handshake, of its own
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca), options=[own, *options])
