"""What is asked for: edges hold the requests for a cluster that is cold, and ask for it by its name.

Envoy's on_demand filter asks on a stream of its own, `DeltaClusters`. Its answer is the cluster, which comes over delta
ADS as any other, and the requests go on as soon as it is warm. Here is only told that there is no such cluster and none
to come, which ends the requests held for it with 503 at once.

Measured with Envoy 1.40. Over ADS, the filter's other way, all requests for a name end 15 s after the first of them,
whatever any timeout says, and nothing is asked while some cluster is warming; here neither is so. In its life it asks
for a name once, and on a new stream for all that it ever asked for. Therefore a name must not come back: it holds an
epoch, and those of earlier ones are denied. It does not withdraw a question when the client has gone, and who comes
later waits without a new one. So demand is a level: it ends with the cluster, the denial or the stream. Whoever waits
does so for that name; another route does not help him, another origin's endpoints under the name do.
Trap: until `initial_fetch_timeout` of the filter's source Envoy keeps all names but the first to itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Set
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from ..translate.plan import CLUSTER
from .authentication import Identity
from .observer import Demand
from .side import SideStream
from .snapshot import Snapshot

SERVICE = "envoy.service.cluster.v3.ClusterDiscoveryService"
METHOD = "DeltaClusters"


class Questions(SideStream):
    """One stream of questions. `demand` are the cold clusters that are asked for; `changed` is called when it became
    other ones, `newest` tells what the fleet has now."""

    def __init__(
        self,
        who: Identity,
        closing: asyncio.Event,
        changed: Callable[[], None],
        newest: Callable[[str], Snapshot | None],
        hears: Demand | None = None,
    ) -> None:
        super().__init__(who, closing)
        self.demand: Set[str] = frozenset()
        self._changed, self._newest, self._hears = changed, newest, hears
        self._asked: set[str] = set()
        self._denied: set[str] = set()
        self._wake = asyncio.Event()

    async def serve(self, first: Any, requests: AsyncIterator[bytes], context: Any) -> None:
        """Until the proxy leaves."""
        try:
            self._take(first)
            await self.run(self._read(requests), self._write(context))
        finally:
            self._demanded(frozenset())

    def refresh(self) -> None:
        """Look again at what was asked for: something else was published."""
        newest = self._newest(self.who.fleet)
        if newest:
            self._denied |= self._asked - newest.cold - newest.of(CLUSTER).keys()
            self._asked &= newest.cold
            self._wake.set()
        self._demanded(frozenset(self._asked) if newest else frozenset())

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            try:
                self._take(discovery_pb2.DeltaDiscoveryRequest.FromString(data))
            except DecodeError as error:
                self.not_understood("DeltaDiscoveryRequest", error)
                return

    def _take(self, request: Any) -> None:
        self._asked.update(request.resource_names_subscribe)
        self._asked.difference_update(request.resource_names_unsubscribe)
        self.refresh()

    async def _write(self, context: Any) -> None:
        """Nobody waits for an ACK of these."""
        nonce = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            denied, self._denied, nonce = sorted(self._denied), set(), nonce + 1
            if denied:
                response = discovery_pb2.DeltaDiscoveryResponse(
                    type_url=CLUSTER, nonce=str(nonce), removed_resources=denied
                )
                await context.write(response.SerializeToString())

    def _demanded(self, demand: Set[str]) -> None:
        before, self.demand = self.demand, demand
        if before == demand:
            return
        self._changed()
        if self._hears and (new := demand - before):
            self._hears.demanded(self.who.pod, new)
        if self._hears and (old := before - demand):
            self._hears.undemanded(self.who.pod, old)
