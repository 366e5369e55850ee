"""The guard: an Envoy in front of one origin container, that knows who calls before the app spends a CPU cycle.

Its listener and its app are in the bootstrap, constant for the life of a pod: ports and limits are those of a revision,
and several revisions of an origin live at once. Keys and policy, which all of them share, come by ECDS
(`guard_policy`), so that a key that is revoked is refused on open connections, and none is drained; certificates come
by SDS. It does not listen before all of that has come; where a policy is taken away, everybody is refused.

Traps: one worker only (`--concurrency 1`), or the limit of concurrency holds per worker. And Envoy counts a request
that waits for a connection being opened as one that queues, so the queue is never shorter than the concurrency: an app
that is idle would otherwise turn away the first of those that it has room for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import json_format

from ..api.meta import ObjectKey
from .clusters import (
    BUFFER_BYTES,
    CIRCUIT_BREAKERS,
    HTTP2_STREAMS,
    HTTP2_WINDOWS,
    IDLE_TIMEOUT_S,
    NEAR_CONNECT_S,
    endpoints_message,
)
from .guard_answers import access_log, answers
from .guard_policy import HYGIENE, INVOKERS, JWT_FILTER, UNCONFIGURED, VERIFICATION, denial
from .identities import edge_prefix
from .listeners import STREAM_IDLE_TIMEOUT_S, probes_listener
from .messages import ADS, packed
from .mutual_tls import common_context, socket
from .names import app_cluster
from .world import Edge, Endpoint

LISTENER_NAME = "guard"
QUEUED, LEAST_QUEUE = 10, 100
CALLER_HEADER = "x-edgerun-caller"
# In an environment of CGI or WSGI a dash and an underscore are the same.
_OWN_HEADERS = "[xX][-_][eE][dD][gG][eE][rR][uU][nN]([-_].*)?"
_LOOPBACK = "127.0.0.1"
# Envoy would believe the x-envoy headers of whoever it calls internal, by an address that the caller writes.
_NOBODY = {"address_prefix": "255.255.255.255", "prefix_len": {"value": 32}}
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The guard of the origin that listens on the loopback interface at `app_port`.

    Whoever connects has to be an edge of `trust_domain`. The app gets at most `concurrency` requests at once, 0 for any
    number; `queue` more wait, and the rest is turned away. `http2` is what the app speaks.
    """

    origin: ObjectKey
    trust_domain: str
    app_port: int
    listen_port: int
    probes_port: int = 0
    address: str = "0.0.0.0"  # noqa: S104
    concurrency: int = 0
    queue: int = 0
    http2: bool = False


def queue(concurrency: int) -> int:
    """How many requests wait in front of an app that may have so many: ten times as many, as with Knative, and no fewer
    than its 100, so that a burst for the only replica lasts until others have started."""
    return max(LEAST_QUEUE, QUEUED * concurrency) if concurrency else 0


def static_resources(guard: Guard) -> dict[str, Any]:
    """What the bootstrap of this guard has beside its control plane, as JSON; equal guards give equal values."""
    listeners = [_listener(guard), *_probes(guard)]
    return {"listeners": [_plain(one) for one in listeners], "clusters": [_plain(_app(guard))]}


def _plain(message: Any) -> Any:
    text = json_format.MessageToJson(message, preserving_proto_field_name=True, sort_keys=True)
    return msgspec.json.decode(text)


def _app(guard: Guard) -> Any:
    """The app. One connection of HTTP/1 carries one request at a time, so their number is the concurrency; of HTTP/2
    there is one alone, and it is the number of its streams."""
    name = app_cluster(guard.origin)
    options = http_protocol_options_pb2.HttpProtocolOptions(
        common_http_protocol_options={"idle_timeout": {"seconds": IDLE_TIMEOUT_S}},
        explicit_http_config=_protocol(guard),
    )
    return cluster_pb2.Cluster(
        name=name,
        type="STATIC",
        connect_timeout={"seconds": NEAR_CONNECT_S},
        load_assignment=endpoints_message(name, (Endpoint(_LOOPBACK, guard.app_port),)),
        typed_extension_protocol_options={_HTTP: packed(options)},
        per_connection_buffer_limit_bytes={"value": BUFFER_BYTES},
        circuit_breakers=_limits(guard),
    )


def _protocol(guard: Guard) -> Mapping[str, Any]:
    if not guard.http2:
        return {"http_protocol_options": {}}
    streams = {"max_concurrent_streams": {"value": guard.concurrency}} if guard.concurrency else {}
    return {"http2_protocol_options": HTTP2_WINDOWS | streams}


def _limits(guard: Guard) -> Mapping[str, Any]:
    if not guard.concurrency:
        return CIRCUIT_BREAKERS
    waiting = max(guard.queue, guard.concurrency)
    connections = 1 if guard.http2 else guard.concurrency
    limits = {"max_connections": connections, "max_pending_requests": waiting, "max_requests": 65_536}
    return {"thresholds": [{name: {"value": value} for name, value in limits.items()}]}


def _listener(guard: Guard) -> Any:
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": packed(_http_manager(guard))}
    return listener_pb2.Listener(
        name=LISTENER_NAME,
        address={"socket_address": {"address": guard.address, "port_value": guard.listen_port}},
        per_connection_buffer_limit_bytes={"value": BUFFER_BYTES},
        enable_reuse_port={"value": False},
        filter_chains=[{"filters": [manager], "transport_socket": _tls(guard)}],
    )


def _tls(guard: Guard) -> Mapping[str, Any]:
    context = {**common_context({"prefix": edge_prefix(guard.trust_domain)}), "alpn_protocols": ["h2", "http/1.1"]}
    return socket(tls_pb2.DownstreamTlsContext(require_client_certificate={"value": True}, common_tls_context=context))


def _probes(guard: Guard) -> tuple[Any, ...]:
    if not guard.probes_port:
        return ()
    return (probes_listener(Edge(address=guard.address, probes_port=guard.probes_port)),)


def _http_manager(guard: Guard) -> Any:
    """Paths, and what the edge says of the client, reach the app as the edge sent them: the edge has cleaned them."""
    return http_connection_manager_pb2.HttpConnectionManager(
        stat_prefix="guard",
        route_config=_route(app_cluster(guard.origin)),
        http_filters=_http_filters(),
        access_log=[access_log()],
        local_reply_config=answers(),
        upgrade_configs=[{"upgrade_type": "websocket"}],
        use_remote_address={"value": False},
        internal_address_config={"cidr_ranges": [_NOBODY]},
        server_header_transformation="PASS_THROUGH",
        common_http_protocol_options={"idle_timeout": {"seconds": 3600}},
        http2_protocol_options=HTTP2_WINDOWS | {"max_concurrent_streams": {"value": HTTP2_STREAMS}},
        max_request_headers_kb={"value": 60},
        stream_error_on_invalid_http_message={"value": True},
        request_headers_timeout={"seconds": 10},
        stream_idle_timeout={"seconds": STREAM_IDLE_TIMEOUT_S + 30},  # the edge is the first to give up
        delayed_close_timeout={"seconds": 1},
    )


def _route(cluster: str) -> Mapping[str, Any]:
    everything = {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": {"seconds": 0}}}
    hosts = [{"name": "app", "domains": ["*"], "routes": [everything]}]
    return {"name": "app", "virtual_hosts": hosts, "validate_clusters": {"value": False}}


def _http_filters() -> list[Mapping[str, Any]]:
    router = router_pb2.Router(suppress_envoy_headers=True)
    return [
        *(_by_discovery(name) for name in (VERIFICATION, HYGIENE, INVOKERS)),
        {"name": "envoy.filters.http.header_mutation", "typed_config": packed(_identity())},
        {"name": "envoy.filters.http.router", "typed_config": packed(router)},
    ]


def _by_discovery(name: str) -> Mapping[str, Any]:
    """A filter that comes over ADS. The listener waits for it, and without it nobody is let in."""
    kinds = (jwt_authn_pb2.JwtAuthentication, rbac_pb2.RBAC)
    source = {
        "config_source": ADS | {"initial_fetch_timeout": {"seconds": 0}},
        "default_config": packed(denial(UNCONFIGURED)),
        "type_urls": [f"type.googleapis.com/{kind.DESCRIPTOR.full_name}" for kind in kinds],
    }
    return {"name": name, "config_discovery": source}


def _identity() -> Any:
    """Takes the credential, and all that a caller says in our name, from the request; and says who calls."""
    caller = {"key": CALLER_HEADER, "value": f"%DYNAMIC_METADATA({JWT_FILTER}:payload:sub)%"}
    return header_mutation_pb2.HeaderMutation(
        mutations={
            "request_mutations": [
                {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": _OWN_HEADERS}}}},
                {"append": {"header": caller, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}},
            ]
        }
    )
