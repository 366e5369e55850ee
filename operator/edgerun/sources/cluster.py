"""A cluster as a source: what the watches tell, and a sweep that finds what they did not.

The first sweep is the beginning of everything: nothing is `synced` before each kind was listed once, and the watches
start after it. Later ones compare uids, for a watch that was interrupted never tells what was deleted meanwhile, and
their age is the proof that the API server is heard at all.

Trap: all of it lives in the loop of `run`. Only what the sensor tells comes from another thread.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..access import Login
from ..complaint import Complaint
from ..errors import ApiError, UnavailableError
from .kubernetes import Sensor, Watched
from .ledger import Corrections, Ledger
from .store import Feed

logger = logging.getLogger(__name__)

Object = Mapping[str, Any]


class Lister(Protocol):
    """All objects of a kind, now; `Client.list_` is one. Raises ApiError."""

    def __call__(self, kind: str, *, namespace: str, label_selector: str) -> Awaitable[Sequence[Object]]: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds."""

    sweep_s: float = 60.0
    """Between two sweeps: how long a ghost may live."""

    soon_s: float = 10.0
    """Until the next one after a sweep found something: the watches may be deaf."""

    settle_s: float = 1.0
    """What the watches get to tell of the newest changes before a LIST is compared, and to list when they begin."""

    retry_s: float = 1.0
    """After a LIST that failed, doubled each time up to `sweep_s`."""


class Cluster:
    """`synced` says whether all there is has been fed once; nothing may be published before."""

    def __init__(
        self,
        watched: Sequence[Watched],
        feed: Feed,
        lister: Lister,
        login: Login,
        *,
        namespaces: Sequence[str] = (),
        pace: Pace = Pace(),
    ) -> None:
        self._watched, self._lister, self._namespaces, self._pace = watched, lister, namespaces, pace
        self._loop = asyncio.get_running_loop()
        self._ledger = Ledger(feed, self._loop.time)
        self._sensor = Sensor(watched, self, login, namespaces=namespaces)
        self._hasten = asyncio.Event()
        self._swept_at: float | None = None
        self._tried_at = self._loop.time()
        self._deaf = False
        self._complaint = Complaint(logger, "objects cannot be listed")
        self.corrections = Corrections()

    @property
    def synced(self) -> bool:
        return self._swept_at is not None

    @property
    def sweep_age_s(self) -> float | None:
        """Since when what was fed is known to have been all there is; None before the first sweep."""
        return None if self._swept_at is None else self._loop.time() - self._swept_at

    @property
    def tried_age_s(self) -> float:
        """Since a sweep ended, well or not: much more than a period means that this process hangs, not the server."""
        return self._loop.time() - self._tried_at

    @property
    def alive(self) -> bool:
        """Whether the thread of the watches lives; it starts them anew by itself."""
        return not self._sensor.dead

    @property
    def restarts(self) -> int:
        """How often the watches had to begin anew."""
        return max(0, self._sensor.runs - 1)

    async def run(self, synced: Callable[[], None] = lambda: None) -> None:
        """Feed until cancelled; `synced` is called once, after the first sweep."""
        try:
            await self._sweep_surely()
            synced()
            self._sensor.start()
            while True:
                await self._pause(self._pace.soon_s if self._deaf else self._pace.sweep_s)
                await self._sweep_surely()
        finally:
            await self._sensor.stop()

    # What the sensor tells, in its own thread.

    def watching(self) -> None:
        self._tell(self._hasten.set)

    def event(self, type_: str | None, raw: Object) -> None:
        self._tell(self._take, type_, raw)

    def _tell(self, act: Callable[..., object], *arguments: Any) -> None:
        if not self._loop.is_closed():  # else nobody is left to be told
            self._loop.call_soon_threadsafe(act, *arguments)

    def _take(self, type_: str | None, raw: Object) -> None:
        if type_ == "DELETED":
            self._ledger.bury(raw)
            return
        if type_ is None and self._ledger.knows(raw):
            self._hasten.set()  # the watch was interrupted, and listed: what did it miss?
        self._ledger.see(raw)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hasten.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._pace.settle_s)

    async def _sweep_surely(self) -> None:
        """Sweep, however often it has to be tried."""
        wait_s = self._pace.retry_s
        while True:
            try:
                return await self._sweep()
            except ApiError as error:
                self._complaint.say(str(error))
                wish_s = error.retry_after_s if isinstance(error, UnavailableError) else 0.0
                self._tried_at = self._loop.time()
            await asyncio.sleep(max(wait_s, wish_s))
            wait_s = min(wait_s * 2, self._pace.sweep_s)

    async def _sweep(self) -> None:
        expected, began = self._hasten.is_set() or not self.synced, self._loop.time()
        self._hasten.clear()
        listed = {watched.resource.kind: await self._list(watched) for watched in self._watched}
        if self.synced:
            await asyncio.sleep(self._pace.settle_s)
        found = Corrections()
        for kind, objects in listed.items():
            found += self._ledger.compare(kind, objects, began)
        self._ledger.forget(began - self._pace.sweep_s)
        self._judge(found, expected=expected)
        self._swept_at, self._tried_at = began, self._loop.time()
        self._complaint.end()

    async def _list(self, watched: Watched) -> list[Object]:
        found: list[Object] = []
        for namespace in self._namespaces or ("",):
            kind, selector = watched.resource.kind, watched.label_selector
            found += await self._lister(kind, namespace=namespace, label_selector=selector)
        return found

    def _judge(self, found: Corrections, *, expected: bool) -> None:
        """Watches that twice in a row did not tell what they should have are dead, whatever they say of themselves."""
        if self.synced:
            self.corrections += found
        if found and not expected:
            logger.warning("the watches had missed %d changes and %d deletions", found.missed, found.ghosts)
        deaf = bool(found) and not expected
        if deaf and self._deaf:
            self._sensor.restart()
        self._deaf = deaf
