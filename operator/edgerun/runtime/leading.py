"""What a replica does while it leads, beside writing: it serves proxies.

They come to it one after the other when it begins, and until they have, nobody can say which route is served where.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from ..xds.server import Server

ANYWHERE = "[::]"  # of both protocols, where the machine has both
GRACE_S = 2.0
REUNION_S = 15.0  # what proxies get to find a new leader; their own pauses are at most 2 s, and 15 s until they notice
LOOK_S = 0.25
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Leading:
    """`complete` tells whether every proxy that takes requests has been heard of; `credentials` are ready then.

    `gained` and `lost` are for whoever decides who leads.
    """

    server: Server
    port: int
    credentials: Callable[[], grpc.ServerCredentials]
    complete: Callable[[], bool]
    listening: bool = False
    _leads: asyncio.Event = field(default_factory=asyncio.Event)
    _stands_by: asyncio.Event = field(default_factory=asyncio.Event)
    _reunited: bool = False
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._stands_by.set()

    @property
    def now(self) -> bool:
        return self._leads.is_set()

    def gained(self) -> None:
        self._reunited, self._since = False, asyncio.get_running_loop().time()
        self._stands_by.clear()
        self._leads.set()

    def lost(self) -> None:
        self._leads.clear()
        self._stands_by.set()

    async def leads(self) -> None:
        """Return when this replica leads."""
        await self._leads.wait()

    async def stands_by(self) -> None:
        """Return when another one may lead."""
        await self._stands_by.wait()

    async def reunion(self) -> None:
        """Return when this replica leads and is `reunited`."""
        while not self.reunited():
            await self._leads.wait()
            await asyncio.sleep(LOOK_S)

    def reunited(self) -> bool:
        """Whether what is said of routes is about all proxies, and not about those that were the first to come."""
        if not self._reunited and self.now:
            over = asyncio.get_running_loop().time() - self._since
            self._reunited = over >= REUNION_S or (self.listening and self.complete())
        return self._reunited and self.now

    async def run(self) -> None:
        """Accept proxies while leading, until cancelled."""
        while True:
            await self._leads.wait()
            await self.server.start(f"{ANYWHERE}:{self.port}", self.credentials())
            self.listening = True
            logger.info("serving proxies on port %d", self.port)
            try:
                await self._stands_by.wait()
            finally:
                self.listening = False
                await self.server.stop(GRACE_S)
