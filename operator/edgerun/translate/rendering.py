"""A Plan as plain data: readable and stable, for reviews, golden files and `edgerun render`."""

from typing import Any

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf import json_format

from ..api.meta import Condition
from .plan import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Plan, Resource, Verdict

_SECTIONS = {
    "listeners": (LISTENER, listener_pb2.Listener),
    "routes": (ROUTES, route_pb2.RouteConfiguration),
    "clusters": (CLUSTER, cluster_pb2.Cluster),
    "endpoints": (ENDPOINTS, endpoint_pb2.ClusterLoadAssignment),
}


def rendered(plan: Plan) -> dict[str, Any]:
    """Envoy's resources in its own JSON spelling, and what is to be said of each object."""
    resources = {
        section: [_decoded(item, message) for _, item in sorted(plan.resources.get(type_url, {}).items())]
        for section, (type_url, message) in _SECTIONS.items()
    }
    return resources | {"verdicts": [_verdict(verdict) for verdict in plan.verdicts.values()]}


def static_config(plan: Plan) -> dict[str, Any]:
    """The Plan as a bootstrap without a control plane, for `envoy --mode validate`: what it refuses, xDS would NACK."""
    resources = rendered(plan)
    for listener in resources["listeners"]:
        for chain in listener["filter_chains"]:
            manager = chain["filters"][0]["typed_config"]
            manager.pop("rds")
            manager["route_config"] = resources["routes"][0] | {"validate_clusters": False}
    static = {"listeners": resources["listeners"], "clusters": [*resources["clusters"], _NO_CONTROL_PLANE]}
    node = {"id": "validate", "cluster": "validate"}
    return {"node": node, "dynamic_resources": {"ads_config": _ADS_CONFIG}, "static_resources": static}


# EDS clusters name ADS as their source, so there must be one; nobody connects to it while validating.
_NO_CONTROL_PLANE = {"name": "xds", "type": "STATIC", "load_assignment": {"cluster_name": "xds"}}
_ADS_CONFIG = {
    "api_type": "DELTA_GRPC",
    "transport_api_version": "V3",
    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
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
