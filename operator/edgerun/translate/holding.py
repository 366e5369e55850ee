"""Requests that wait for a replica: how long, how they ask for it, and what they get when there is none in the end.

A share of a route that leads to revisions which may sleep switches Envoy's on_demand filter on: a request for a cluster
that is not there is held, and its name asked for on a stream of its own. Over ADS, the filter's other way, all requests
for a name would end 15 s after the first of them; `xds/demand.py` has the other side, and more of the reasons.
A request keeps its share of a split while it waits: measured with Envoy 1.40, over one and over two wake-ups.

What bounds the waiting: each request waits for HELD_S at most, of its body no more is taken in than a buffer holds, a
client has 100 streams on a connection, of which an edge takes so many and no more; and one whose heap is full takes no
more requests (`listeners`).
Trap: to the client both a wait in vain and a share without an origin are a cluster that is not found. So the share of
a missing origin says in the answer what it is.
"""

from functools import lru_cache
from typing import Any

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.filters.http.on_demand.v3 import on_demand_pb2

from .bootstrap import XDS_CLUSTER
from .messages import packed

FILTER = "envoy.filters.http.on_demand"
HELD_S = 60.0
RETRY_AFTER_S = 5
IN_VAIN_BODY = "The origin sleeps, and no replica of it could take this request in time.\n"
MISSING_ORIGIN_BODY = "The origin of this route does not exist; its EdgeRoute says why in the condition ResolvedRefs.\n"
_MISSING = "x-edgerun-origin"

_BACK_OFF = {"base_interval": {"nanos": 100_000_000}, "max_interval": {"seconds": 2}}
_SERVICE = {"envoy_grpc": {"cluster_name": XDS_CLUSTER, "retry_policy": {"retry_back_off": _BACK_OFF}}}
_SOURCE = {
    "resource_api_version": "V3",
    "initial_fetch_timeout": {"nanos": 10_000_000},  # until then only the first name of a stream is asked for
    "api_config_source": {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [_SERVICE],
    },
}


def holding(request_s: float) -> dict[str, Any]:
    """The fields of a share whose requests wait, for no longer than they may take: 0 is for ever."""
    return {"typed_per_filter_config": {FILTER: _switched_on(min(request_s or HELD_S, HELD_S))}}


def of_nobody() -> dict[str, Any]:
    """The fields of a share that has no origin, beside others in a route that holds requests."""
    return {"response_headers_to_add": [{"header": {"key": _MISSING, "value": "missing"}}]}


def in_vain() -> list[dict[str, Any]]:
    """What becomes of the answers to those whose cluster is not found: 500 without an origin, 503 without a replica."""
    return [
        {
            "filter": _not_found(f"'{_MISSING}' in response.headers"),
            "status_code": {"value": 500},
            "body": {"inline_string": MISSING_ORIGIN_BODY},
        },
        {
            "filter": _not_found("response.code == 503"),
            "headers_to_add": [{"header": {"key": "retry-after", "value": str(RETRY_AFTER_S)}}],
            "body": {"inline_string": IN_VAIN_BODY},
        },
    ]


@lru_cache(maxsize=64)
def _switched_on(held_s: float) -> Any:
    whole = int(held_s)
    timeout = {"seconds": whole, "nanos": round((held_s - whole) * 1e9)}
    config = on_demand_pb2.PerRouteConfig(odcds={"source": _SOURCE, "timeout": timeout})
    return packed(route_components_pb2.FilterConfig(config=packed(config)))


def _not_found(also: str) -> dict[str, Any]:
    expression = cel_pb2.ExpressionFilter(expression=f"response.code_details == 'cluster_not_found' && {also}")
    which = {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": packed(expression)}
    return {"extension_filter": which}
