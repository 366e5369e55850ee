"""What the streams beside delta ADS have in common: who is there, and how one ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from .authentication import Identity

Ending = tuple[grpc.StatusCode, str]
GOING_AWAY: Ending = grpc.StatusCode.UNAVAILABLE, "this server goes away"
logger = logging.getLogger(__name__)


class SideStream:
    """One stream. `ending` is what the proxy should hear when it was us who ended it."""

    def __init__(self, who: Identity, closing: asyncio.Event) -> None:
        self.who = who
        self.ending: Ending | None = None
        self._closing = closing

    async def run(self, *work: Coroutine[Any, Any, None]) -> None:
        """Do all of this until one part ends, the server closes or the connection is lost."""
        try:
            async with asyncio.TaskGroup() as tasks:
                parts = [tasks.create_task(one, name=type(self).__name__) for one in (*work, self._close())]
                for part in parts:
                    part.add_done_callback(lambda _: [one.cancel() for one in parts])
        except* grpc.aio.BaseError as lost:
            logger.debug("a stream of %s broke off: %s", self.who, lost.exceptions)

    async def _close(self) -> None:
        await self._closing.wait()
        self.ending = GOING_AWAY

    def not_understood(self, kind: str, error: DecodeError) -> None:
        self.ending = grpc.StatusCode.INVALID_ARGUMENT, f"this is no {kind}: {error}"


async def introduced(requests: AsyncIterator[bytes], kind: Any, proven: Identity | None) -> tuple[Identity, Any]:
    """Who calls, named as on a stream of delta ADS, and the first message, which says it; None if nothing is said."""
    data = await anext(requests, b"")
    try:
        first = kind.FromString(data)
    except DecodeError:
        return proven or Identity(""), None
    if proven is None:
        return Identity(first.node.cluster, first.node.id), first
    return Identity(proven.fleet, proven.pod or first.node.id), first
