"""Looks after what belongs to the edges and nobody watches: is it as it was made, and where is it reached?

Watches of these kinds would be of the whole cluster's Services, for a handful of objects that hardly anybody touches.
The one EndpointSlice is asked for by its name, for the operator may read no other.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from ..api.meta import ObjectKey
from ..complaint import Complaint
from ..errors import ApiError, NotFoundError
from ..infra.kubernetes.applier import Applier
from ..translate.labels import OURS
from .observing import Observing

LISTED = ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Service", "ServiceAccount")
UNWATCHED = ("EndpointSlice", *LISTED)
LOOK_S = 5.0  # while a fleet is not ready: its Service may be given an address
ROUNDS = 12  # of them until everything is looked at: how long somebody else's change may stay
logger = logging.getLogger(__name__)

Object = Mapping[str, Any]


class Api(Protocol):
    """What is asked of the API server; `Client` has it."""

    async def get(self, key: ObjectKey) -> Object: ...

    async def list_(self, kind: str, *, namespace: str, label_selector: str) -> Sequence[Object]: ...


@dataclass(slots=True)
class Children:
    """`endpoint` is the EndpointSlice that leads proxies here; the others are in its namespace."""

    api: Api
    applier: Applier
    observing: Observing
    endpoint: ObjectKey
    _complaint: Complaint = field(
        default_factory=lambda: Complaint(logger, "what belongs to the edges cannot be looked at")
    )

    async def run(self, leads: Callable[[], Awaitable[None]]) -> None:
        """Look again and again while `leads` returns, until cancelled."""
        for number in count():
            await leads()
            if number % ROUNDS == 0:
                await self._look(LISTED)
            elif not self.observing.fleets_ready:
                await self._look(("Service",))
            await asyncio.sleep(LOOK_S)

    async def _look(self, kinds: Sequence[str]) -> None:
        try:
            for kind in kinds:
                await self._list(kind)
            await self._look_at_endpoint()
        except ApiError as error:
            self._complaint.say(str(error))
        else:
            self._complaint.end()

    async def _list(self, kind: str) -> None:
        began = asyncio.get_running_loop().time()
        found = await self.api.list_(kind, namespace=self.endpoint.namespace, label_selector=OURS)
        for key in self.applier.replace(kind, found, began):
            self.observing.gone(key)
        if kind == "Service":
            for raw in found:
                self.observing.see(raw)

    async def _look_at_endpoint(self) -> None:
        try:
            self.applier.see(await self.api.get(self.endpoint))
        except NotFoundError:
            self.applier.gone(self.endpoint)
