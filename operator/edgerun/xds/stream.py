"""One open gRPC stream: bytes in, bytes out, and nothing decided here.

A reader feeds the session what the proxy says, a writer sends what the session has, each a task of its own: a proxy
that does not read stops only its own writer, and finds the newest state when it goes on. Nothing is queued.
Trap: `write` returns when HTTP/2 flow control has let the bytes go, which is never for a proxy that is stopped.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from .authentication import Identity
from .nacks import Nack
from .observer import Observer, Proxy, Refused, Traffic
from .session import Session
from .snapshot import Snapshot

logger = logging.getLogger(__name__)


class Stream:
    """`proxy` is None until the first request says who is there. `changed` is called when `proxy` became another,
    `newest` tells what its fleet should have. Where there is an `identity`, nothing that the node says of itself counts
    but an id where the identity has none.

    `ending` is what the proxy should hear when it was us who ended the stream.
    """

    def __init__(
        self,
        observer: Observer,
        changed: Callable[[], None],
        newest: Callable[[str], Snapshot | None],
        identity: Identity | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self.proxy: Proxy | None = None
        self.ending: tuple[grpc.StatusCode, str] | None = None
        self._observer = observer
        self._changed = changed
        self._newest = newest
        self._identity = identity
        self._traffic = traffic
        self._session = Session()
        self._wake = asyncio.Event()

    def refresh(self) -> None:
        """Work towards what the proxy's fleet should have now, if that is known."""
        newest = self._newest(self.proxy.fleet) if self.proxy else None
        if newest:
            self._session.publish(newest)
            self._wake.set()

    def close(self) -> None:
        """Have `run` return as soon as the response that is being written is out."""
        self.ending = grpc.StatusCode.UNAVAILABLE, "this server goes away"
        self._wake.set()

    async def run(self, requests: AsyncIterator[bytes], context: Any) -> None:
        """Serve until the proxy leaves, `close` is called, or the connection is lost."""
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(requests), name="xds reader")
                writer = tasks.create_task(self._write(context), name="xds writer")
                reader.add_done_callback(lambda _: writer.cancel())
                writer.add_done_callback(lambda _: reader.cancel())
        except* grpc.aio.BaseError as lost:
            logger.debug("a stream broke off: %s", lost.exceptions)
        finally:
            self._part()

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            try:
                request = discovery_pb2.DeltaDiscoveryRequest.FromString(data)
            except DecodeError as error:
                self.ending = grpc.StatusCode.INVALID_ARGUMENT, f"this is no DeltaDiscoveryRequest: {error}"
                return
            nack = self._session.on_request(request, _now())
            proxy = self.proxy or self._greet()
            if nack:
                self._report(proxy, nack)
            self._wake.set()

    async def _write(self, context: Any) -> None:
        while self.ending is None:
            self._wake.clear()
            for response in self._session.responses(_now()):
                await context.write(response.payload())
                if self._traffic:
                    self._traffic.pushed(response.type_url)
            self._credit()
            await self._something_new()

    async def _something_new(self) -> None:
        try:
            async with asyncio.timeout_at(self._session.deadline()):
                await self._wake.wait()
        except TimeoutError:
            return

    def _greet(self) -> Proxy:
        node = self._session.node
        assert node, "a session knows the node from the first request on"
        proven = self._identity or Identity(node.cluster)
        self.proxy = Proxy(proven.pod or node.id, proven.fleet, datetime.now(UTC))
        logger.info("proxy %s of %s connected", self.proxy.id or "?", self.proxy.fleet or "?")
        self.refresh()
        self._changed()
        self._observer.connected(self.proxy)
        return self.proxy

    def _part(self) -> None:
        proxy, self.proxy = self.proxy, None
        if proxy:
            logger.info("proxy %s of %s disconnected", proxy.id or "?", proxy.fleet or "?")
            self._changed()
            self._observer.disconnected(proxy)

    def _credit(self) -> None:
        serial = self._session.acked_serial
        if self.proxy and serial > self.proxy.acked_serial:
            self.proxy = replace(self.proxy, acked_serial=serial)
            self._changed()
            self._observer.acknowledged(self.proxy, serial)

    def _report(self, proxy: Proxy, nack: Nack) -> None:
        what = ", ".join(nack.names) or "one of several resources"
        kind = nack.type_url.rpartition(".")[2]
        logger.warning("proxy %s refused %s %s: %s", proxy.id or "?", kind, what, nack.message)
        if self._traffic:
            self._traffic.nacked(nack.type_url)
        if nack.names:
            self._observer.refused(Refused(proxy, nack.type_url, nack.names, nack.message, nack.serial))


def _now() -> float:
    return asyncio.get_running_loop().time()
