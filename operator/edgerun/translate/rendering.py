"""A Plan as plain data: readable and stable, for reviews, golden files and `edgerun render`."""

from typing import Any

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf import json_format

from ..api.edgeproxy import DEFAULT_NAME
from ..api.meta import Condition
from .bootstrap import ADMIN_CLUSTER, XDS_CLUSTER
from .plan import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Plan, Resource, Verdict

_SECTIONS = {
    "listeners": (LISTENER, listener_pb2.Listener),
    "routes": (ROUTES, route_pb2.RouteConfiguration),
    "clusters": (CLUSTER, cluster_pb2.Cluster),
    "endpoints": (ENDPOINTS, endpoint_pb2.ClusterLoadAssignment),
}


def rendered(plan: Plan, edge: str = DEFAULT_NAME) -> dict[str, Any]:
    """The resources of `edge` in Envoy's own JSON spelling, and what is to be said of each object."""
    return _resources(plan, edge) | {"verdicts": [_verdict(verdict) for verdict in plan.verdicts.values()]}


def _resources(plan: Plan, edge: str) -> dict[str, Any]:
    own = plan.fleets.get(edge, {})
    return {
        section: [_decoded(item, message) for _, item in sorted(own.get(type_url, {}).items())]
        for section, (type_url, message) in _SECTIONS.items()
    }


def static_config(plan: Plan, edge: str = DEFAULT_NAME) -> dict[str, Any]:
    """What `edge` is to have, as a bootstrap for `envoy --mode validate`: what it refuses, xDS would NACK."""
    resources = _resources(plan, edge)
    for listener in resources["listeners"]:
        for chain in listener["filter_chains"]:
            manager = chain["filters"][0]["typed_config"]
            if manager.pop("rds", None):
                manager["route_config"] = resources["routes"][0] | {"validate_clusters": False}
    clusters = [_without_secrets(cluster) for cluster in resources["clusters"]]
    static = {"listeners": resources["listeners"], "clusters": [*clusters, *_OF_THE_BOOTSTRAP]}
    node = {"id": "validate", "cluster": "validate"}
    return {"node": node, "dynamic_resources": {"ads_config": _ADS_CONFIG}, "static_resources": static}


def _without_secrets(cluster: dict[str, Any]) -> dict[str, Any]:
    """A static cluster whose secrets come over ADS makes Envoy 1.40 crash. What is left out is the same in all."""
    options = {name: {**one, "http_filters": []} for name, one in cluster["typed_extension_protocol_options"].items()}
    return {**cluster, "transport_socket_matches": [], "typed_extension_protocol_options": options}


# EDS clusters name ADS as their source, so there must be one; nobody connects to it while validating.
_OF_THE_BOOTSTRAP = [
    {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name}} for name in (XDS_CLUSTER, ADMIN_CLUSTER)
]
_ADS_CONFIG = {
    "api_type": "DELTA_GRPC",
    "transport_api_version": "V3",
    "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
}


def _decoded(item: Resource, message: Any) -> Any:
    text = json_format.MessageToJson(message.FromString(item.body), preserving_proto_field_name=True)
    return _ordered(msgspec.json.decode(text))


def _ordered(value: Any) -> Any:
    """The name first, then by the alphabet: protobuf's maps have no order of their own."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: (key != "name", key))}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _verdict(verdict: Verdict) -> dict[str, Any]:
    parts = [*verdict.conditions, *([verdict.waits_for] if verdict.waits_for else [])]
    return {"object": str(verdict.key), "url": verdict.url, "conditions": [_condition(part) for part in parts]}


def _condition(part: Condition) -> dict[str, str]:
    said = {"type": part.type, "status": part.status, "reason": part.reason}
    return said | ({"message": part.message} if part.message else {})
