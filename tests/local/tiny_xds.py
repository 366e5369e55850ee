"""The smallest control plane that makes Envoy listen: one listener over delta ADS, and nothing of anything else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
TYPE = "type.googleapis.com/envoy.extensions."
NEEDED_BY_NAME = (
    stream_pb2,
    router_pb2,
    http_connection_manager_pb2,
)  # json_format resolves "@type" from what is imported


def listener(port: int) -> Any:
    """Answers "/" itself, forwards "/slow" to nobody who answers, and logs as JSON."""
    log = {"@type": TYPE + "access_loggers.stream.v3.StdoutAccessLog"}
    log["log_format"] = {"json_format": {"path": "%REQ(:PATH)%", "status": "%RESPONSE_CODE%"}}  # type: ignore[assignment]
    hcm = {
        "@type": TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "access_log": [{"name": "stdout", "typed_config": log}],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
                    ],
                }
            ]
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}],
    }
    chain = {"filters": [{"name": "hcm", "typed_config": hcm}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    document = {"name": "edge", "address": address, "filter_chains": [chain], "enable_reuse_port": False}
    return json_format.ParseDict(document, listener_pb2.Listener())


@asynccontextmanager
async def control_plane(socket: Path, port: int | None) -> AsyncIterator[None]:
    """Serves a listener on `port`; with None, an edge without listeners."""

    async def stream(requests: Any, _context: Any) -> AsyncIterator[Any]:
        answered = set()
        async for request in requests:
            if request.type_url in answered:
                continue
            answered.add(request.type_url)
            answer = discovery_pb2.DeltaDiscoveryResponse(type_url=request.type_url, nonce="1")
            if request.type_url == LISTENER and port is not None:
                answer.resources.add(name="edge", version="1").resource.Pack(listener(port))
            yield answer

    handler = grpc.stream_stream_rpc_method_handler(
        stream,
        request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
    )
    service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"DeltaAggregatedResources": handler}),)
    )
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)
