"""A Plan as plain data: readable and stable, for reviews, golden files and `edgerun render`."""

from typing import Any

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


def _decoded(item: Resource, message: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = json_format.MessageToDict(message.FromString(item.body), preserving_proto_field_name=True)
    return decoded


def _verdict(verdict: Verdict) -> dict[str, Any]:
    parts = [*verdict.conditions, *([verdict.waits_for] if verdict.waits_for else [])]
    return {"object": str(verdict.key), "url": verdict.url, "conditions": [_condition(part) for part in parts]}


def _condition(part: Condition) -> dict[str, str]:
    said = {"type": part.type, "status": part.status, "reason": part.reason}
    return said | ({"message": part.message} if part.message else {})
