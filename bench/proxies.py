"""Proxies that are no Envoys: they take what the control plane sends, say so, and count the bytes.

A hundred guards as processes are more than one machine can run beside what is measured. Trap: the bytes are those of
the messages, as gRPC gets them; frames, and TLS, come on top.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_OWN = [("grpc.use_local_subchannel_pool", 1)]  # a connection for each


@dataclass(slots=True)
class Proxy:
    """`wanted` are the names it asks for, by type. `secrets` is what it has of those."""

    name: str
    fleet: str
    wanted: Mapping[str, Sequence[str]]
    received: int = 0
    secrets: dict[str, Any] = field(default_factory=dict)

    async def run(self, address: str) -> None:
        """Until cancelled."""
        async with grpc.aio.insecure_channel(address, options=_OWN) as channel:
            call = channel.stream_stream(METHOD)()  # bytes out, bytes in
            for request in self._requests():
                await call.write(request.SerializeToString())
            async for data in call:
                await call.write(self._taken(data).SerializeToString())

    def _requests(self) -> list[Any]:
        node = {"id": self.name, "cluster": self.fleet}
        return [
            discovery_pb2.DeltaDiscoveryRequest(node=node, type_url=type_url, resource_names_subscribe=names)
            for type_url, names in self.wanted.items()
        ]

    def _taken(self, data: bytes) -> Any:
        self.received += len(data)
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
        for one in response.resources:
            if one.resource.Is(secret_pb2.Secret.DESCRIPTOR):
                self.secrets[one.name] = secret_pb2.Secret.FromString(one.resource.value)
        return discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)


@asynccontextmanager
async def connected(socket: Path, proxies: Sequence[Proxy]) -> AsyncIterator[None]:
    """Each at work while the block is."""
    tasks = [asyncio.create_task(proxy.run(f"unix:{socket}"), name=proxy.name) for proxy in proxies]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
