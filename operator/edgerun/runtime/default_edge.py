"""Makes the EdgeProxy `default` when a route needs it and nobody has: a first route should need no platform team.

It is the user's from then on: nothing of it is ever changed or deleted here. Who deletes it while routes name it gets
a new one.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..api import API_VERSION, edgeproxy, edgeroute
from ..api.edgeproxy import DEFAULT_NAME
from ..api.edgeroute import EdgeRoute
from ..api.meta import ObjectKey
from ..complaint import Complaint
from ..errors import ApiError, ConflictError
from ..sources.entries import Entry
from ..translate.labels import MANAGED_BY, MANAGER

RETRY_S = 10.0
KEY = ObjectKey(edgeproxy.KIND, "", DEFAULT_NAME)
logger = logging.getLogger(__name__)

Object = Mapping[str, Any]


class Api(Protocol):
    async def create(self, manifest: Object) -> Object: ...


@dataclass(slots=True)
class DefaultEdge:
    """`spec` is what it is made with. `may_write` is asked right before it is made."""

    api: Api
    spec: Mapping[str, Any]
    may_write: Callable[[], bool]
    _missing: bool = False
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _complaint: Complaint = field(
        default_factory=lambda: Complaint(logger, f"the EdgeProxy {DEFAULT_NAME} cannot be made")
    )

    def look(self, entries: Mapping[ObjectKey, Entry]) -> None:
        """These are all objects there are."""
        self._missing = KEY not in entries and any(
            isinstance(entry.serving, EdgeRoute) and entry.serving.spec.edge == DEFAULT_NAME
            for key, entry in entries.items()
            if key.kind == edgeroute.KIND
        )
        self.nudge()

    def nudge(self) -> None:
        """Look again: this process may write now."""
        if self._missing:
            self._wake.set()

    async def run(self) -> None:
        """Make it whenever it is missed, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._missing and self.may_write():
                await self._make()

    async def _make(self) -> None:
        metadata = {"name": DEFAULT_NAME, "labels": {MANAGED_BY: MANAGER}}
        manifest = {"apiVersion": API_VERSION, "kind": edgeproxy.KIND, "metadata": metadata, "spec": self.spec}
        try:
            await self.api.create(manifest)
        except ConflictError:
            return  # somebody was faster
        except ApiError as error:
            self._complaint.say(str(error))
            await asyncio.sleep(RETRY_S)
            self._wake.set()
        else:
            self._complaint.end()
            logger.info("made the EdgeProxy %s, for a route needs it", DEFAULT_NAME)
