"""The edge's listener: constant, hardened, and never touched by an EdgeRoute.

Any change of a listener's HTTP filters drains its connections and cuts streams that live longer than the drain.
So every filter that a route may ever ask for stands by, disabled, in its fixed place; a route switches one on for
itself through `typed_per_filter_config`. What changes with the objects travels by RDS, CDS and EDS.
"""

from typing import Any

from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.health_check.v3 import health_check_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.http.on_demand.v3 import on_demand_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2

from .bootstrap import ADMIN_CLUSTER
from .clusters import BUFFER_BYTES
from .holding import FILTER as HOLDING_FILTER
from .holding import RETRY_AFTER_S, in_vain
from .messages import ADS, packed
from .names import LISTENER_NAME, PROBES_LISTENER_NAME, ROUTES_NAME
from .plan import Resource, resource
from .world import Edge

KIB = 1024
READY_PATH = "/ready"
METRICS_PATH = "/metrics"
STREAM_IDLE_TIMEOUT_S = 300
NO_CREDENTIAL = "The edge has no credential for this origin yet.\n"

# Without a range of its own Envoy calls private and loopback addresses internal, and believes their x-envoy headers.
_NOBODY = {"address_prefix": "255.255.255.255", "prefix_len": {"value": 32}}

# Who may enter is decided before anything is woken or asked. The order is part of the product: docs/architecture.md.
_STANDING_BY = (
    ("envoy.filters.http.cors", cors_pb2.Cors()),
    ("envoy.filters.http.local_ratelimit", local_rate_limit_pb2.LocalRateLimit(stat_prefix="edge")),
    ("envoy.filters.http.jwt_authn", jwt_authn_pb2.JwtAuthentication()),
    ("envoy.filters.http.rbac", rbac_pb2.RBAC()),
    (HOLDING_FILTER, on_demand_pb2.OnDemand()),
)

# Enough to tell where a request died. No query string and no header of the client: those carry secrets.
ACCESS_LOG_FIELDS = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "authority": "%REQ(X-ENVOY-ORIGINAL-HOST?:AUTHORITY)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "protocol": "%PROTOCOL%",
    "rule": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream": "%UPSTREAM_HOST%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
}


def listeners(edge: Edge) -> tuple[Resource, ...]:
    """All listeners of `edge`: the one for clients and, where somebody asks how a proxy is, the one for them."""
    found = [resource(LISTENER_NAME, listener(edge))]
    if edge.probes_port:
        found.append(resource(PROBES_LISTENER_NAME, probes_listener(edge)))
    return tuple(found)


def listener(edge: Edge) -> Any:
    """The listener of `edge`: plain HTTP/1.1 and HTTP/2, routed by the RouteConfiguration that comes over ADS."""
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": packed(_http_manager())}
    return listener_pb2.Listener(
        name=LISTENER_NAME,
        address={"socket_address": {"address": edge.address, "port_value": edge.port}},
        per_connection_buffer_limit_bytes={"value": BUFFER_BYTES},
        enable_reuse_port={"value": edge.reuse_port},
        filter_chains=[{"filters": [manager]}],
    )


def probes_listener(edge: Edge) -> Any:
    """Where the kubelet asks whether the proxy is ready, and Prometheus how it fares; nothing else is answered.

    It comes over xDS as the other one does, and workers accept nothing before both are there: ready means serving.
    `/ready` fails as soon as the proxy drains.
    """
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": packed(_probes_manager())}
    return listener_pb2.Listener(
        name=PROBES_LISTENER_NAME,
        address={"socket_address": {"address": edge.address, "port_value": edge.probes_port}},
        ignore_global_conn_limit=True,  # a proxy that is full of clients is not ill
        filter_chains=[{"filters": [manager]}],
    )


def _probes_manager() -> Any:
    health = health_check_pb2.HealthCheck(
        pass_through_mode={"value": False}, headers=[{"name": ":path", "string_match": {"exact": READY_PATH}}]
    )
    metrics = {
        "match": {"path": METRICS_PATH, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
        "route": {"cluster": ADMIN_CLUSTER, "prefix_rewrite": "/stats/prometheus", "timeout": {"seconds": 30}},
    }
    return http_connection_manager_pb2.HttpConnectionManager(
        stat_prefix="probes",
        route_config={"name": "probes", "virtual_hosts": [{"name": "probes", "domains": ["*"], "routes": [metrics]}]},
        http_filters=[
            {"name": "envoy.filters.http.health_check", "typed_config": packed(health)},
            {"name": "envoy.filters.http.router", "typed_config": packed(router_pb2.Router())},
        ],
        normalize_path={"value": True},
        request_headers_timeout={"seconds": 10},
        stream_idle_timeout={"seconds": 60},
    )


def _http_manager() -> Any:
    return http_connection_manager_pb2.HttpConnectionManager(
        stat_prefix="edge",
        rds={"route_config_name": ROUTES_NAME, "config_source": ADS | {"initial_fetch_timeout": {"seconds": 0}}},
        early_header_mutation_extensions=[_own_headers_removed()],
        http_filters=_http_filters(),
        access_log=[_access_log()],
        local_reply_config={"mappers": [_without_credential(), _overloaded(), *in_vain()]},
        upgrade_configs=[{"upgrade_type": "websocket"}],
        always_set_request_id_in_response=True,
        **_hardening(),
    )


def _without_credential() -> dict[str, Any]:
    """Envoy says 401 when it has no credential to show: that is the edge's fault, and no client can mend it."""
    expression = cel_pb2.ExpressionFilter(expression="response.code_details == 'failed_to_inject_credential'")
    which = {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": packed(expression)}
    return {
        "filter": {"extension_filter": which},
        "status_code": {"value": 503},
        "body": {"inline_string": NO_CREDENTIAL},
    }


def _overloaded() -> dict[str, Any]:
    """When its heap is full an edge takes no more requests: that is what bounds how many wait in it."""
    expression = cel_pb2.ExpressionFilter(expression="response.code_details == 'overload'")
    which = {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": packed(expression)}
    return {
        "filter": {"extension_filter": which},
        "headers_to_add": [{"header": {"key": "retry-after", "value": str(RETRY_AFTER_S)}}],
    }


def _hardening() -> dict[str, Any]:
    """Envoy's edge best practices, and no word about the edge itself in responses."""
    return {
        "use_remote_address": {"value": True},
        "internal_address_config": {"cidr_ranges": [_NOBODY]},
        "normalize_path": {"value": True},
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "strip_trailing_host_dot": True,
        "server_header_transformation": "PASS_THROUGH",
        "common_http_protocol_options": {
            "idle_timeout": {"seconds": 3600},
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": {"value": 100},
            "initial_stream_window_size": {"value": 64 * KIB},
            "initial_connection_window_size": {"value": 1024 * KIB},
        },
        "max_request_headers_kb": {"value": 60},
        "stream_error_on_invalid_http_message": {"value": True},
        "request_headers_timeout": {"seconds": 10},
        "stream_idle_timeout": {"seconds": STREAM_IDLE_TIMEOUT_S},
        "delayed_close_timeout": {"seconds": 1},
    }


def _own_headers_removed() -> dict[str, Any]:
    """What only the edge may say of a request is taken from the client before anything looks at it."""
    mutation = header_mutation_pb2.HeaderMutation(
        mutations=[{"remove_on_match": {"key_matcher": {"prefix": "x-edgerun-", "ignore_case": True}}}]
    )
    name = "envoy.http.early_header_mutation.header_mutation"
    return {"name": name, "typed_config": packed(mutation)}


def _http_filters() -> list[dict[str, Any]]:
    waiting = [{"name": name, "typed_config": packed(config), "disabled": True} for name, config in _STANDING_BY]
    return [*waiting, {"name": "envoy.filters.http.router", "typed_config": packed(router_pb2.Router())}]


def _access_log() -> dict[str, Any]:
    stdout = stream_pb2.StdoutAccessLog(log_format={"json_format": ACCESS_LOG_FIELDS})
    return {"name": "envoy.access_loggers.stdout", "typed_config": packed(stdout)}
