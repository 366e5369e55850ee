"""Clusters and their endpoints: one of each per origin and caller, shared by all routes that call in the same name.

Every request takes its caller's credential along, by a filter behind the router: nothing at the edge ever sees it.
An OriginService's endpoints travel by EDS, so that a replica that comes or goes touches neither cluster nor route.
Where a guard stands before a replica, the edge proves itself to it and it to the edge; some replicas of an origin may
have one while others have none. An origin elsewhere is resolved by Envoy; https is verified against the system's
authorities and its own name.

Trap: an app may close a connection after 5 s of silence, just when the edge uses it; a guard does not. So how long one
is kept depends on who is there.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.filters.http.credential_injector.v3 import credential_injector_pb2
from envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2
from envoy.extensions.http.injected_credentials.generic.v3 import generic_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import struct_pb2

from .guard_policy import CREDENTIAL_HEADER
from .identities import Claim, credential_secret
from .messages import ADS, Packed, packed
from .mutual_tls import common_context, socket
from .names import url_parts
from .plan import Resource, resource
from .world import Endpoint

BUFFER_BYTES = 32_768  # Envoy's edge best practices
# Envoy's own limit of 1,024 turns an edge away long before its origins are busy.
CIRCUIT_BREAKERS = {
    "thresholds": [{name: {"value": 65_536} for name in ("max_connections", "max_pending_requests", "max_requests")}]
}
# Shorter than the keep-alive of common servers (Node and uvicorn: 5 s), so that none closes under a request.
IDLE_TIMEOUT_S = 4
GUARDED_IDLE_TIMEOUT_S = 60  # each new one is a handshake; the guard would keep it for an hour
# A stream buffers little, and a connection enough for all of its streams: none that stands still holds up another.
HTTP2_STREAMS, _STREAM_WINDOW = 1_000, 65_536
HTTP2_WINDOWS = {
    "initial_stream_window_size": {"value": _STREAM_WINDOW},
    "initial_connection_window_size": {"value": HTTP2_STREAMS * _STREAM_WINDOW},
}
# Who is there answers within a millisecond; where too many come at once, a lost SYN comes again after one second.
NEAR_CONNECT_S, FAR_CONNECT_S = 2, 3


def service_cluster_message(
    name: str, claim: Claim, *, guarded: bool, http2: bool = False, affine: bool = False
) -> Any:
    """The cluster of an OriginService, whose audience is also what its guards' certificates say. `guarded` means that
    all of its replicas are, `http2` that their apps speak it, `affine` that clients stay with the one that they had."""
    idle_s = GUARDED_IDLE_TIMEOUT_S if guarded else IDLE_TIMEOUT_S
    return cluster_pb2.Cluster(
        name=name,
        type="EDS",
        eds_cluster_config={"eds_config": ADS},
        connect_timeout={"seconds": NEAR_CONNECT_S},
        transport_socket_matches=[_to_guards(claim.audience), _TO_OTHERS],
        typed_extension_protocol_options={_HTTP: _http_options(HTTP2 if http2 else _HTTP1, claim, idle_s)},
        **(_common() | ({"lb_policy": "MAGLEV"} if affine else {})),
    )


def url_cluster_message(name: str, url: str, claim: Claim, ca_file: str) -> Any:
    """The cluster of an origin elsewhere. `ca_file` holds the authorities that an https one is verified against."""
    scheme, host, port = url_parts(url)
    protocol = _HTTP1 if scheme == "http" else {"auto_config": {}}
    secure = {"transport_socket": _tls(host, ca_file)} if scheme == "https" else {}
    return cluster_pb2.Cluster(
        name=name,
        connect_timeout={"seconds": FAR_CONNECT_S},
        load_assignment=endpoints_message(name, (Endpoint(host, port),)),
        typed_extension_protocol_options={_HTTP: _http_options(protocol, claim, IDLE_TIMEOUT_S)},
        **(_discovery(host) | secure | _common()),
    )


def endpoints_message(name: str, endpoints: Sequence[Endpoint]) -> Any:
    """The ready endpoints of the cluster `name`; none is a valid answer, and a request then gets 503 at once."""
    ready = [_endpoint(endpoint) for endpoint in sorted(endpoints)]
    localities = [{"lb_endpoints": ready}] if ready else []
    return endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=localities)


def service_resources(
    name: str,
    claim: Claim,
    endpoints: Sequence[Endpoint],
    *,
    guarded: bool,
    http2: bool = False,
    affine: bool = False,
) -> tuple[Resource, Resource]:
    """Cluster and endpoints of an OriginService; `guarded` tells of replicas that are not there yet."""
    all_guarded = all(one.guarded for one in endpoints) if endpoints else guarded
    return _service_cluster(name, claim, all_guarded, http2, affine), resource(name, endpoints_message(name, endpoints))


# Most clusters are as they were at the last rebuild.
@lru_cache(maxsize=16_384)
def _service_cluster(name: str, claim: Claim, guarded: bool, http2: bool, affine: bool) -> Resource:
    return resource(name, service_cluster_message(name, claim, guarded=guarded, http2=http2, affine=affine))


@lru_cache(maxsize=16_384)
def url_resource(name: str, url: str, claim: Claim, ca_file: str) -> Resource:
    """The cluster of an origin elsewhere."""
    return resource(name, url_cluster_message(name, url, claim, ca_file))


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    address = {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}
    made: dict[str, Any] = {"endpoint": {"address": address}}
    if endpoint.guarded:
        made["metadata"] = {"filter_metadata": {"envoy.transport_socket_match": _GUARDED}}
    return made


_HTTP1: dict[str, Any] = {"explicit_http_config": {"http_protocol_options": {}}}
HTTP2: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": HTTP2_WINDOWS}}
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_GUARDED = struct_pb2.Struct(fields={"guarded": struct_pb2.Value(bool_value=True)})
_RAW = {"name": "envoy.transport_sockets.raw_buffer", "typed_config": packed(raw_buffer_pb2.RawBuffer())}
_TO_OTHERS: Mapping[str, Any] = {"name": "other", "match": {}, "transport_socket": _RAW}


def _to_guards(spiffe_id: str) -> Mapping[str, Any]:
    tls = tls_pb2.UpstreamTlsContext(common_tls_context=common_context({"exact": spiffe_id}))
    return {"name": "guard", "match": _GUARDED, "transport_socket": socket(tls)}


def _common() -> dict[str, Any]:
    return {
        "lb_policy": "LEAST_REQUEST",
        "per_connection_buffer_limit_bytes": {"value": BUFFER_BYTES},
        "circuit_breakers": CIRCUIT_BREAKERS,
    }


def _discovery(host: str) -> dict[str, Any]:
    if _is_address(host):
        return {"type": "STATIC"}
    # A resolver that does not answer must not hold back the warming of other clusters: 2 x 2 s instead of 4 x 5 s.
    resolver = cares_dns_resolver_pb2.CaresDnsResolverConfig(
        query_timeout_seconds={"value": 2}, query_tries={"value": 2}
    )
    return {
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": packed(resolver)},
    }


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _http_options(protocol: dict[str, Any], claim: Claim, idle_s: int) -> Packed:
    options = http_protocol_options_pb2.HttpProtocolOptions(
        common_http_protocol_options={"idle_timeout": {"seconds": idle_s}},
        http_filters=[_credential(claim), _CODEC],
        **protocol,
    )
    return packed(options)


_CODEC = {"name": "envoy.filters.http.upstream_codec", "typed_config": packed(upstream_codec_pb2.UpstreamCodec())}


def _credential(claim: Claim) -> Mapping[str, Any]:
    secret = {"name": credential_secret(claim), "sds_config": ADS}
    generic = packed(generic_pb2.Generic(credential=secret, header=CREDENTIAL_HEADER))
    injector = credential_injector_pb2.CredentialInjector(
        overwrite=True, credential={"name": "envoy.http.injected_credentials.generic", "typed_config": generic}
    )
    return {"name": "envoy.filters.http.credential_injector", "typed_config": packed(injector)}


def _tls(host: str, ca_file: str) -> dict[str, Any]:
    kind = "IP_ADDRESS" if _is_address(host) else "DNS"
    validation = {
        "trusted_ca": {"filename": ca_file},
        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": host}}],
    }
    context = tls_pb2.UpstreamTlsContext(
        sni="" if _is_address(host) else host, common_tls_context={"validation_context": validation}
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": packed(context)}
