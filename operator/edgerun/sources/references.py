"""The versions of the Secrets and ConfigMaps that templates read, asked for again and again by the replica that leads.

Names and versions are asked for, contents are not. A watch would tell earlier, and of every change of everything else
in the namespace too; and it is one more right to ask for.

Trap: an old version after a newer one would be two rollouts. What was asked before this replica stopped leading is not
told, for another one may have seen newer ones meanwhile; nor is the memory of an API server that lags behind another.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from ..api.meta import ObjectKey
from ..complaint import Complaint
from ..errors import ApiError, ForbiddenError
from ..translate.world import Referred

PERIOD_S = 10.0  # between two looks at the same kind and namespace: how late a change, or the right to look, is noticed
JITTER = 0.1  # of it, so that the looks spread
_EARLY_S = 0.001  # a timer may fire by the resolution of its clock too early, and would then do so again and again
_FORBIDDEN = 403
logger = logging.getLogger(__name__)


class Lister(Protocol):
    """The version of every object of a kind by its name, and that of the list; `Client.versions` is one."""

    def __call__(self, kind: str, *, namespace: str, fresh: bool) -> Awaitable[tuple[Mapping[str, str], str]]: ...


@dataclass(slots=True)
class _Place:
    """One kind in one namespace. `versions` is "" for a name that was not found, and lacks one not looked for yet."""

    names: frozenset[str]
    due: float = 0.0
    fresh: bool = True  # whether the next look has to be
    listed: str = ""  # the version of the last list
    versions: dict[str, str] = field(default_factory=dict)
    refused: str = ""
    complaint: Complaint = field(default_factory=lambda: Complaint(logger, "references cannot be looked at"))


class References:
    """`tell` hears all that is known, whenever it is something else."""

    def __init__(self, lister: Lister, tell: Callable[[Referred], None]) -> None:
        self._lister, self._tell = lister, tell
        self._places: dict[ObjectKey, _Place] = {}
        self._wake = asyncio.Event()

    def want(self, wanted: Mapping[ObjectKey, frozenset[str]]) -> None:
        """From now on these names matter, of each kind and namespace. New ones are looked for at once."""
        if wanted == {key: place.names for key, place in self._places.items()}:
            return
        before, self._places = self._places, {}
        for key, names in wanted.items():
            place = self._places[key] = before.get(key) or _Place(names)
            if names - place.names:
                place.due, place.fresh = 0.0, True
            place.names = names
            place.versions = {name: version for name, version in place.versions.items() if name in names}
        self._told()
        self._wake.set()

    def hasten(self, namespace: str) -> None:
        """Look at this namespace now: something of it has changed, and what it refers to may have changed with it."""
        for key, place in self._places.items():
            if key.namespace == namespace:
                place.due, place.fresh = 0.0, True
                self._wake.set()

    def forget(self) -> None:
        """Another replica may lead: what this one knows is old from now on."""
        self._places = {key: _Place(place.names) for key, place in self._places.items()}
        self._told()
        self._wake.set()

    async def run(self, leads: Callable[[], Awaitable[None]]) -> None:
        """Look again and again while `leads` returns, until cancelled."""
        while True:
            await leads()
            self._wake.clear()
            key = min(self._places, key=lambda key: self._places[key].due, default=None)
            due = self._places[key].due if key else None
            if key and due is not None and due <= asyncio.get_running_loop().time() + _EARLY_S:
                await self._look(key, self._places[key])
            else:
                await self._something_due(due)

    async def _something_due(self, due: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._wake.wait()

    async def _look(self, key: ObjectKey, place: _Place) -> None:
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
        place.due = asyncio.get_running_loop().time() + PERIOD_S * spread
        fresh, place.fresh = place.fresh, False
        try:
            found, listed = await self._lister(key.kind, namespace=key.namespace, fresh=fresh)
        except ApiError as error:
            place.fresh = True
            if isinstance(error, ForbiddenError) and error.status == _FORBIDDEN:
                self._learn(key, place, place.versions, str(error))
            else:
                place.complaint.say(str(error))
            return
        if not fresh and _older(listed, place.listed):
            place.fresh = True
            return
        place.listed = listed
        self._learn(key, place, {name: found.get(name, "") for name in place.names}, "")

    def _learn(self, key: ObjectKey, place: _Place, versions: dict[str, str], refused: str) -> None:
        place.complaint.end()
        if self._places.get(key) is not place or (place.versions, place.refused) == (versions, refused):
            return
        place.versions, place.refused = versions, refused
        self._told()

    def _told(self) -> None:
        versions = {
            ObjectKey(key.kind, key.namespace, name): version
            for key, place in self._places.items()
            for name, version in place.versions.items()
        }
        self._tell(Referred(versions, {key: place.refused for key, place in self._places.items() if place.refused}))


def _older(listed: str, before: str) -> bool:
    """Versions are numbers wherever we look; where they are none, they say nothing."""
    return listed.isdecimal() and before.isdecimal() and int(listed) < int(before)
