"""Clusters and their endpoints: one of each per origin that some route uses, shared by all routes.

An OriginService's endpoints travel by EDS, so that a replica that comes or goes touches neither cluster nor route.
An origin elsewhere is resolved by Envoy; https is verified against the system's authorities and its own name.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf.any_pb2 import Any as Packed

from .names import url_cluster, url_parts
from .plan import Resource, resource
from .world import Endpoint

ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
BUFFER_BYTES = 32_768  # Envoy's edge best practices
# Envoy's own limit of 1,024 turns an edge away long before its origins are busy.
CIRCUIT_BREAKERS = {
    "thresholds": [{name: {"value": 65_536} for name in ("max_connections", "max_pending_requests", "max_requests")}]
}
# Shorter than the keep-alive of common servers (Node and uvicorn: 5 s), so that none closes under a request.
IDLE_TIMEOUT_S = 4
NEAR_CONNECT_S, FAR_CONNECT_S = 1, 3  # a pod answers within a millisecond, and a lost SYN comes again after one second


def service_cluster_message(name: str) -> Any:
    """The cluster of an OriginService."""
    return cluster_pb2.Cluster(
        name=name,
        type="EDS",
        eds_cluster_config={"eds_config": ADS},
        connect_timeout={"seconds": NEAR_CONNECT_S},
        typed_extension_protocol_options={_HTTP: _http_options(_HTTP1)},
        **_common(),
    )


def url_cluster_message(url: str, ca_file: str) -> Any:
    """The cluster of an origin elsewhere. `ca_file` holds the authorities that an https one is verified against."""
    scheme, host, port = url_parts(url)
    protocol = _HTTP1 if scheme == "http" else {"auto_config": {}}
    secure = {"transport_socket": _tls(host, ca_file)} if scheme == "https" else {}
    return cluster_pb2.Cluster(
        name=url_cluster(url),
        connect_timeout={"seconds": FAR_CONNECT_S},
        load_assignment=endpoints_message(url_cluster(url), (Endpoint(host, port),)),
        typed_extension_protocol_options={_HTTP: _http_options(protocol)},
        **(_discovery(host) | secure | _common()),
    )


def endpoints_message(name: str, endpoints: Sequence[Endpoint]) -> Any:
    """The ready endpoints of the cluster `name`; none is a valid answer, and a request then gets 503 at once."""
    ready = [
        {"endpoint": {"address": {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}}}
        for endpoint in sorted(endpoints)
    ]
    localities = [{"lb_endpoints": ready}] if ready else []
    return endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=localities)


def service_resources(name: str, endpoints: Sequence[Endpoint]) -> tuple[Resource, Resource]:
    return resource(name, service_cluster_message(name)), resource(name, endpoints_message(name, endpoints))


_HTTP1: dict[str, Any] = {"explicit_http_config": {"http_protocol_options": {}}}
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


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


def _http_options(protocol: dict[str, Any]) -> Packed:
    options = http_protocol_options_pb2.HttpProtocolOptions(
        common_http_protocol_options={"idle_timeout": {"seconds": IDLE_TIMEOUT_S}}, **protocol
    )
    return packed(options)


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


def packed(message: Any) -> Packed:
    """A message as an Any, with bytes that do not depend on the order of a map."""
    any_ = Packed()
    any_.Pack(message, deterministic=True)
    return any_
