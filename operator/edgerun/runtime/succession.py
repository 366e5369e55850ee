"""Keeps what an operator without revisions has made of an OriginService, one Deployment, until its first revision has
taken over.

It goes when that revision has as many replicas of its own, and every proxy knows them. Its pods end as any pod does:
they are taken from the edges, and serve on until these have heard.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..api import originservice
from ..api.meta import ObjectKey
from ..sources.workloads import UNREVISED, owner_of, revision_of
from .observing import Observing

LOOK_S = 1.0

Object = Mapping[str, Any]


@dataclass(slots=True)
class Succession:
    """`caught_up` returns when every proxy serves what is known now; `over` hears that another Deployment may go."""

    observing: Observing
    caught_up: Callable[[], Awaitable[None]]
    over: Callable[[], None]
    _relieved: frozenset[ObjectKey] = frozenset()

    def spares(self, raw: Object) -> bool:
        """Whether it is such a Deployment, and still of use."""
        owner = owner_of(raw)
        if raw["kind"] != "Deployment" or owner is None or owner.kind != originservice.KIND:
            return False
        return revision_of(raw) == UNREVISED and owner not in self._relieved

    async def run(self, reunion: Callable[[], Awaitable[None]]) -> None:
        """Look while `reunion` returns, which is when all proxies have come back, until cancelled."""
        while True:
            await reunion()
            found = self.observing.relieved()
            if found != self._relieved:
                await self.caught_up()
                self._relieved = found & self.observing.relieved()
                self.over()
            await asyncio.sleep(LOOK_S)
