"""The configuration that Envoy starts with: where to ask for everything else, and how much of the machine it may take.

Listeners, routes, clusters and endpoints come over delta ADS; none of them is here. The control plane is behind a Unix
socket of the same machine, or a Service to which every proxy has to prove who it is (`channel`).

Trap: `initial_fetch_timeout: 0s` makes Envoy wait for its first listeners and clusters for as long as it takes. With a
limit it would call itself ready with nothing to serve.
"""

from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from ..api.unsupported import REGEX_PROGRAM_SIZE
from .channel import CONFIG_FOLDER, Channel, xds_service_cluster

XDS_CLUSTER = "xds"
ADMIN_CLUSTER = "admin"
GIB = 1 << 30
MAX_CONNECTIONS = 50_000
GUARD_HEAP_BYTES = GIB // 8

Static = Mapping[str, list[Any]]  # the `static_resources` of a bootstrap

# What is worth keeping of the hundred and more series of each cluster: the number of routes must not drown the rest.
CLUSTER_SERIES = (
    "membership_healthy",
    "membership_total",
    "upstream_cx_active",
    "upstream_cx_connect_fail",
    "upstream_cx_total",
    "upstream_rq_active",
    "upstream_rq_pending_active",
    "upstream_rq_pending_overflow",
    "upstream_rq_retry",
    "upstream_rq_timeout",
    "upstream_rq_total",
    "upstream_rq_2xx",
    "upstream_rq_3xx",
    "upstream_rq_4xx",
    "upstream_rq_5xx",
    "upstream_rq_time",
)
SERIES_PREFIXES = (
    "cluster_manager.",
    "control_plane.",
    "http.",
    "listener.",
    "listener_manager.",
    "overload.",
    "runtime.",
    "server.",
)

STATS_TAGS = (
    "envoy.http_conn_manager_prefix",
    "envoy.listener_address",
    "envoy.rds_route_config",
    "envoy.response_code",
    "envoy.response_code_class",
    "envoy.worker_id",
)

# As statistics have it, with "_" for ":". Envoy takes a name to end at its first dot, which is in the middle of a host;
# and it says everything once more as `cluster.NAME.external.upstream_rq_time` and the like, which is left out.
_CLUSTER_NAME = rf"(origin/[^.]+|url/.+_[0-9]+@[^.]+|{XDS_CLUSTER}|{ADMIN_CLUSTER})"

_TYPE = "type.googleapis.com/envoy.extensions."
_HEAP = "envoy.resource_monitors.fixed_heap"
_CONNECTIONS = "envoy.resource_monitors.global_downstream_max_connections"
_LOAD_REPORTS: dict[str, Any] = {
    "cluster_manager": {
        "load_stats_config": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
        }
    }
}


def bootstrap(
    *,
    node_id: str,
    cluster: str,
    xds_socket: Path,
    admin_socket: Path,
    max_heap_bytes: int = 2 * GIB,
    max_downstream_connections: int = MAX_CONNECTIONS,
    static: Static | None = None,
    load_reports: bool = False,
) -> dict[str, Any]:
    """The bootstrap of a proxy whose control plane listens on `xds_socket`; `static` is what a guard has beside it.
    With `load_reports` it tells the control plane each second what its clusters are busy with."""
    node = {"id": node_id, "cluster": cluster}
    clusters = [_xds_socket_cluster(xds_socket), *([_admin_cluster(admin_socket)] if static else ())]
    made = _bootstrap(node, admin_socket, clusters, max_heap_bytes, max_downstream_connections, static)
    return made | (_LOAD_REPORTS if load_reports else {})


def pod_bootstrap(
    *,
    fleet: str,
    channel: Channel,
    admin_socket: PurePosixPath,
    config_folder: PurePosixPath = CONFIG_FOLDER,
    max_heap_bytes: int = 2 * GIB,
    max_downstream_connections: int = MAX_CONNECTIONS,
    static: Static | None = None,
    load_reports: bool = False,
) -> dict[str, Any]:
    """The bootstrap of an edge pod, one for the whole fleet: the node's id comes from `--service-node`.

    `config_folder` holds the files of `channel.sds_files`. The cluster `admin` is there for a listener that comes over
    LDS to tell the proxy's own metrics.
    """
    clusters = [xds_service_cluster(XDS_CLUSTER, channel, config_folder), _admin_cluster(admin_socket)]
    node = {"cluster": fleet}
    made = _bootstrap(node, admin_socket, clusters, max_heap_bytes, max_downstream_connections, static)
    return made | (_LOAD_REPORTS if load_reports else {})


def guard_bootstrap(
    *,
    guard: str,
    channel: Channel,
    admin_socket: PurePosixPath,
    static: Static,
    config_folder: PurePosixPath = CONFIG_FOLDER,
    max_heap_bytes: int = GUARD_HEAP_BYTES,
) -> dict[str, Any]:
    """The bootstrap of a guard, which belongs to the fleet `guard`, with the `guard.static_resources` of its pod. It
    has to run with `--concurrency 1`."""
    return pod_bootstrap(
        fleet=guard,
        channel=channel,
        admin_socket=admin_socket,
        config_folder=config_folder,
        max_heap_bytes=max_heap_bytes,
        static=static,
    )


def _bootstrap(
    node: dict[str, str],
    admin_socket: PurePath,
    clusters: list[dict[str, Any]],
    max_heap_bytes: int,
    max_connections: int,
    static: Static | None,
) -> dict[str, Any]:
    more = static or {}
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "node": node,
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}},
        "dynamic_resources": {"ads_config": _ads_config(), "lds_config": ads, "cds_config": ads},
        "static_resources": {**more, "clusters": [*clusters, *more.get("clusters", ())]},
        "overload_manager": _overload_manager(max_heap_bytes, max_connections),
        "stats_config": _stats_config(),
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "layered_runtime": layered_runtime(),
    }


def _ads_config() -> dict[str, Any]:
    # Envoy's own back-off grows to 30 s, for a control plane that is far away and shared by many.
    back_off = {"base_interval": "0.1s", "max_interval": "2s"}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [
            {"envoy_grpc": {"cluster_name": XDS_CLUSTER, "retry_policy": {"retry_back_off": back_off}}},
        ],
    }


def _xds_socket_cluster(xds_socket: Path) -> dict[str, Any]:
    keepalive = {"interval": "30s", "timeout": "5s"}
    http2 = {"explicit_http_config": {"http2_protocol_options": {"connection_keepalive": keepalive}}}
    return {
        "name": XDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": _at_socket(XDS_CLUSTER, xds_socket),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _TYPE + "upstreams.http.v3.HttpProtocolOptions",
                **http2,
            },
        },
    }


def _admin_cluster(admin_socket: PurePath) -> dict[str, Any]:
    return {
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": _at_socket(ADMIN_CLUSTER, admin_socket),
    }


def _at_socket(cluster: str, socket: PurePath) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [endpoint]}]}


def _overload_manager(max_heap_bytes: int, max_connections: int) -> dict[str, Any]:
    """Gives memory back first, then refuses requests, before the kernel ends the process."""
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            _monitor(_HEAP, "fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=max_heap_bytes),
            _monitor(
                _CONNECTIONS,
                "downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=max_connections,
            ),
        ],
        "actions": [
            _action("envoy.overload_actions.shrink_heap", 0.95),
            _action("envoy.overload_actions.stop_accepting_requests", 0.98),
        ],
    }


def _monitor(name: str, config: str, **settings: int) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_TYPE}resource_monitors.{config}", **settings}}


def _action(name: str, threshold: float) -> dict[str, Any]:
    return {"name": name, "triggers": [{"name": _HEAP, "threshold": {"value": threshold}}]}


def _stats_config() -> dict[str, Any]:
    per_cluster = rf"^cluster\.{_CLUSTER_NAME}\.({'|'.join(CLUSTER_SERIES)})$"
    by_prefix: list[dict[str, Any]] = [{"prefix": prefix} for prefix in SERIES_PREFIXES]
    patterns = [*by_prefix, {"safe_regex": {"regex": per_cluster}}]
    return {
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
        "use_all_default_tags": False,  # the one for clusters would come first
        "stats_tags": [
            {"tag_name": "envoy.cluster_name", "regex": rf"^cluster\.({_CLUSTER_NAME}\.)"},
            *({"tag_name": name} for name in STATS_TAGS),
        ],
    }


def layered_runtime() -> dict[str, Any]:
    """The runtime settings of every edge proxy; whoever asks Envoy about a configuration must use the same."""
    layer = {"name": "static", "static_layer": {"re2.max_program_size.error_level": REGEX_PROGRAM_SIZE}}
    return {"layers": [layer]}
