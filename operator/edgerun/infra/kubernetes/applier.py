"""Brings the cluster to what a plan wants: applies what differs, deletes what is ours and not wanted any more.

Level-triggered: it compares what is wanted with what is there, whenever either changes, and an object that is right is
left alone: nothing is written at rest. What was refused is tried again with growing pauses, each object by itself.

Trap: nothing may be wanted before everything is known: what is not wanted is deleted.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ...api.meta import ObjectKey
from ...errors import ApiError, NotFoundError, UnavailableError
from .applying import Applied, Object, differs, key_of, stamped, view

CONCURRENCY = 8
BACKOFF_S = 0.5  # doubled with every refusal of the same object
BACKOFF_LIMIT_S = 300.0
logger = logging.getLogger(__name__)


class Api(Protocol):
    """What is asked of the API server; `Client` has it."""

    async def get(self, key: ObjectKey) -> Object: ...

    async def apply(self, manifest: Object) -> Object: ...

    async def delete(self, key: ObjectKey, uid: str) -> None: ...


Result = Literal["changed", "deleted", "refused", "error"]


class Observer(Protocol):
    """Who is told how it went, in the applier's loop."""

    def applied(self, kind: str, result: Result) -> None:
        """Something was written, or should have been."""

    def refused(self, manifest: Object, error: ApiError | None) -> None:
        """The server will not have this object, and says why; None when it has it now."""


class TakenError(ApiError):
    """An object of that name is there, and somebody else's."""


@dataclass(slots=True)
class _Pause:
    """After how many failures in a row the next attempt is when."""

    failures: int
    until: float


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A manifest, and what is sent of it."""

    manifest: Object
    stamped: Object


@dataclass(slots=True)
class Applier:
    """`may_write` is asked right before each write. `ours` tells the objects that may be changed or deleted."""

    api: Api
    may_write: Callable[[], bool]
    observer: Observer
    ours: Callable[[Object], bool]
    _wanted: Mapping[ObjectKey, _Wanted] | None = None
    _spared: Callable[[Object], bool] = lambda raw: False
    _there: dict[ObjectKey, Object] = field(default_factory=dict)
    _applied: dict[ObjectKey, Applied] = field(default_factory=dict)
    _pauses: dict[ObjectKey, _Pause] = field(default_factory=dict)
    _busy: set[ObjectKey] = field(default_factory=set)
    _doubtful: dict[ObjectKey, None] = field(default_factory=dict)  # where something changed, in that order
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, manifests: Iterable[Object], spared: Callable[[Object], bool] = lambda raw: False) -> None:
        """From now on exactly these should be there; what is `spared` is not deleted although it is not among them."""
        before, wanted = self._wanted or {}, dict[ObjectKey, _Wanted]()
        for manifest in manifests:
            key = key_of(manifest)
            known = before.get(key)
            wanted[key] = known if known and known.manifest == manifest else _Wanted(manifest, stamped(manifest))
        changed = [key for key, one in wanted.items() if one is not before.get(key)]
        superfluous = [key for key in self._there if key not in wanted]
        for key in changed:
            self._pauses.pop(key, None)
        self._wanted, self._spared = wanted, spared
        self._doubt(*changed, *superfluous)

    def see(self, raw: Object) -> None:
        """An object of a kind that we make is there, as it is now."""
        key = key_of(raw)
        if not _older(raw, self._there.get(key)):
            self._there[key] = raw
            self._doubt(key)

    def gone(self, key: ObjectKey) -> None:
        """It is not there any more."""
        if self._there.pop(key, None):
            self._doubt(key)

    def replace(self, kind: str, listed: Iterable[Object]) -> tuple[ObjectKey, ...]:
        """These are all objects of a kind that nobody watches; the keys of those that are gone."""
        now = {key_of(raw): raw for raw in listed}
        gone = tuple(key for key in self._there if key.kind == kind and key not in now and key not in self._busy)
        for key in gone:
            self.gone(key)
        for raw in now.values():
            self.see(raw)
        return gone

    def nudge(self) -> None:
        """Look again: this process may write now."""
        self._pauses.clear()
        self._doubt(*(self._wanted or {}), *self._there)

    async def run(self) -> None:
        """Keep the cluster as it is wanted, until cancelled."""
        slots = asyncio.Semaphore(CONCURRENCY)
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for key, work in self._due():
                    self._busy.add(key)
                    tasks.create_task(self._carry_out(key, work, slots), name=f"apply {key}")
                await self._something_new()

    def _doubt(self, *keys: ObjectKey) -> None:
        self._doubtful.update(dict.fromkeys(keys))
        self._wake.set()

    def _due(self) -> list[tuple[ObjectKey, Object | None]]:
        """What has to be done now: the manifest to apply, None for an object to delete."""
        if self._wanted is None or not self.may_write():
            return []
        now = asyncio.get_running_loop().time()
        free = [key for key in self._doubtful if self._free(key, now)]
        for key in free:
            del self._doubtful[key]
        return [(key, work) for key in free for work in self._work(key)]

    def _work(self, key: ObjectKey) -> Iterator[Object | None]:
        wanted, there = (self._wanted or {}).get(key), self._there.get(key)
        if wanted:
            if differs(wanted.stamped, there, self._applied.get(key)):
                yield wanted.stamped
        elif there and self.ours(there) and not self._spared(there) and not _ending(there):
            yield None

    def _free(self, key: ObjectKey, now: float) -> bool:
        pause = self._pauses.get(key)
        return key not in self._busy and (pause is None or now >= pause.until)

    async def _something_new(self) -> None:
        now = asyncio.get_running_loop().time()
        until = min((pause.until for pause in self._pauses.values() if pause.until > now), default=None)
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _carry_out(self, key: ObjectKey, work: Object | None, slots: asyncio.Semaphore) -> None:
        try:
            async with slots:
                if not self.may_write():
                    self._doubt(key)
                    return
                await (self._delete(key) if work is None else self._apply(key, work))
        except ApiError as error:
            self._failed(key, work, error)
        else:
            self._pauses.pop(key, None)
        finally:
            self._busy.discard(key)
            self._wake.set()  # what became doubtful meanwhile had to wait

    async def _apply(self, key: ObjectKey, manifest: Object) -> None:
        await self._claim(key)
        if not self.may_write():  # the answer may have taken its time
            self._doubt(key)
            return
        there = await self.api.apply(manifest)
        self._there[key] = there
        self._applied[key] = Applied(manifest, view(manifest, there))
        self.observer.applied(key.kind, "changed")
        self.observer.refused(manifest, None)

    async def _claim(self, key: ObjectKey) -> None:
        """Raises TakenError when the object is somebody else's: an apply would take it over without a word."""
        there = self._there.get(key)
        if there is None:
            try:
                there = await self.api.get(key)
            except NotFoundError:
                return
        if not self.ours(there):
            said = f"{key} is there already and not made by Edgerun; rename or remove one of the two"
            raise TakenError(said, status=409)

    async def _delete(self, key: ObjectKey) -> None:
        there = self._there[key]
        await self.api.delete(key, there["metadata"]["uid"])
        self._there.pop(key, None)
        self._applied.pop(key, None)
        self.observer.applied(key.kind, "deleted")

    def _failed(self, key: ObjectKey, work: Object | None, error: ApiError) -> None:
        failures = self._pauses[key].failures + 1 if key in self._pauses else 1
        wait_s = min(BACKOFF_S * 2 ** min(failures - 1, 16), BACKOFF_LIMIT_S)
        outage = isinstance(error, UnavailableError)
        if isinstance(error, UnavailableError):
            wait_s = max(min(wait_s, 10.0), error.retry_after_s)
        elif work is not None:
            self.observer.refused(work, error)
        self._doubt(key)
        self._pauses[key] = _Pause(failures, asyncio.get_running_loop().time() + wait_s)
        self.observer.applied(key.kind, "error" if outage else "refused")
        if failures == 1:
            logger.warning("%s: %s", key, error)


def _ending(raw: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in raw["metadata"]


def _older(raw: Object, known: Object | None) -> bool:
    """Whether this is late news of an object that has answered to our own apply meanwhile."""
    if known is None or known["metadata"].get("uid") != raw["metadata"].get("uid"):
        return False
    return bool(raw["metadata"].get("generation", 0) < known["metadata"].get("generation", 0))
