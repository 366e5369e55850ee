"""Brings the cluster to what a plan wants: applies what differs, deletes what is ours and not wanted any more.

Level-triggered: it compares what is wanted with what is there, whenever either changes, and an object that is right is
left alone: nothing is written at rest. What was refused is tried again with growing pauses, each object by itself.

Trap: nothing may be wanted before everything is known: what is not wanted is deleted. And whatever was looked at before
an `await` may be another thing after it: each task looks anew when its turn has come, and again before it writes.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ...api.meta import ObjectKey, object_key
from ...errors import ApiError, NotFoundError, UnavailableError
from .applying import FIELD_MANAGER, Applied, Object, differs, left_behind, stamped, unscaled, view
from .inventory import Inventory
from .pauses import Pauses
from .yielding import Yielding

CONCURRENCY = 8
RECHECK_S = 1.0  # how soon it is noticed that this process may write again
logger = logging.getLogger(__name__)


class Api(Protocol):
    """What is asked of the API server; `Client` has it."""

    async def get(self, key: ObjectKey) -> Object: ...

    async def apply(self, manifest: Object) -> Object: ...

    async def hand_over(self, manifest: Object) -> Object: ...

    async def delete(self, key: ObjectKey, uid: str) -> None: ...


Result = Literal["changed", "deleted", "refused", "error"]


class Observer(Protocol):
    """Who is told how it went, in the applier's loop."""

    def applied(self, kind: str, result: Result) -> None:
        """Something was written, or should have been."""

    def refused(self, manifest: Object, error: ApiError | None) -> None:
        """The server will not have this object, and says why; None when it has it now, or nobody wants it any more."""

    def stored(self, raw: Object) -> None:
        """The server has told how this object of ours is now."""


class TakenError(ApiError):
    """An object of that name is there, and somebody else's."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A manifest, and what is sent of it."""

    manifest: Object
    stamped: Object


@dataclass(slots=True)
class Applier:
    """`may_write` is asked right before each write. `ours` tells the objects that may be changed or deleted, `yielding`
    the Deployments that somebody else may scale."""

    api: Api
    may_write: Callable[[], bool]
    observer: Observer
    ours: Callable[[Object], bool]
    yielding: Yielding = field(default_factory=Yielding)
    _wanted: Mapping[ObjectKey, _Wanted] | None = None
    _spared: Callable[[Object], bool] = lambda raw: False
    _there: Inventory = field(default_factory=Inventory)
    _applied: dict[ObjectKey, Applied] = field(default_factory=dict)
    _pauses: Pauses = field(default_factory=Pauses)
    _busy: set[ObjectKey] = field(default_factory=set)
    _doubtful: dict[ObjectKey, None] = field(default_factory=dict)  # where something changed, in that order
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, manifests: Iterable[Object], spared: Callable[[Object], bool] = lambda raw: False) -> None:
        """From now on exactly these should be there; what is `spared` is not deleted although it is not among them."""
        before, wanted = self._wanted or {}, dict[ObjectKey, _Wanted]()
        for manifest in manifests:
            key = object_key(manifest)
            if key in wanted:
                self.observer.refused(manifest, TakenError(f"{key} is made for something else already", status=409))
                continue
            known = before.get(key)
            wanted[key] = known if known and known.manifest == manifest else _Wanted(manifest, stamped(manifest))
        changed = [key for key, one in wanted.items() if one is not before.get(key)]
        dropped = [key for key in before if key not in wanted]
        superfluous = [key for key in self._there if key not in wanted]
        self._wanted, self._spared = wanted, spared
        for key in (*changed, *dropped):
            self._pauses.end(key)
        for key in dropped:
            self._applied.pop(key, None)
            self.yielding.forget(key)
            self.observer.refused(before[key].manifest, None)
        self._doubt(*changed, *superfluous, *self.yielding.decided())

    def see(self, raw: Object) -> None:
        """An object of a kind that we make is there, as it is now."""
        key = object_key(raw)
        if self._there.told(key, raw):
            self._doubt(key)

    def gone(self, key: ObjectKey) -> None:
        """It is not there any more."""
        if self._there.gone(key):
            self._doubt(key)

    def replace(self, kind: str, listed: Iterable[Object], began: float) -> tuple[ObjectKey, ...]:
        """These were all objects of a kind at some moment after `began`; the keys of those that are gone."""
        now = {object_key(raw): raw for raw in listed}
        gone = tuple(key for key in self._there.unlisted(kind, now.keys(), began) if key not in self._busy)
        for key in gone:
            self.gone(key)
        for raw in now.values():
            self.see(raw)
        return gone

    def nudge(self, unwatched: Collection[str] = ()) -> None:
        """Look again: this process may write now. Others wrote meanwhile, and of `unwatched` kinds nothing is known."""
        self._pauses.end_all()
        self.yielding.forget()
        self._there.forget(unwatched)
        self._doubt(*(self._wanted or {}), *self._there)

    async def run(self) -> None:
        """Keep the cluster as it is wanted, until cancelled."""
        slots = asyncio.Semaphore(CONCURRENCY)
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for key in self._due():
                    self._busy.add(key)
                    tasks.create_task(self._carry_out(key, slots), name=f"apply {key}")
                await self._something_new()

    def _doubt(self, *keys: ObjectKey) -> None:
        self._doubtful.update(dict.fromkeys(keys))
        self._wake.set()

    def _due(self) -> list[ObjectKey]:
        """Where something has to be done now."""
        if self._wanted is None or not self.may_write():
            return []
        now = asyncio.get_running_loop().time()
        free = [key for key in self._doubtful if key not in self._busy and self._pauses.over(key, now)]
        for key in free:
            del self._doubtful[key]
            self.yielding.look(key, self._there.get(key))
        return [key for key in free if key in self._pauses or self._wrong(key)]

    def _wrong(self, key: ObjectKey) -> bool:
        wanted, there = (self._wanted or {}).get(key), self._there.get(key)
        if wanted:
            return there is None or (key not in self.yielding and self._differs(key, wanted, there))
        return there is not None and self.ours(there) and not self._spared(there) and not _ending(there)

    def _differs(self, key: ObjectKey, wanted: _Wanted, there: Object) -> bool:
        return _ending(there) or differs(wanted.stamped, there, self._applied.get(key))

    async def _something_new(self) -> None:
        now = asyncio.get_running_loop().time()
        until = self._pauses.next_end(now)
        if self._doubtful and not self.may_write():
            until = now + RECHECK_S
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _carry_out(self, key: ObjectKey, slots: asyncio.Semaphore) -> None:
        async with slots:
            tried = (self._wanted or {}).get(key)
            try:
                await self._put_right(key, tried)
            except ApiError as error:
                self._failed(key, tried, error)
            else:
                self._well(key, tried)
            finally:
                self._busy.discard(key)
                self._wake.set()  # what became doubtful meanwhile had to wait

    async def _put_right(self, key: ObjectKey, wanted: _Wanted | None) -> None:
        if not self.may_write():
            self._doubt(key)
        elif self._wrong(key):
            await (self._apply(key, wanted) if wanted else self._delete(key))

    async def _apply(self, key: ObjectKey, wanted: _Wanted) -> None:
        there = await self._claimed(key)
        if there is not None and not self._differs(key, wanted, there):
            return
        if there is not None and unscaled(wanted.manifest):
            await self._leave(key, wanted)
        if not self.may_write():  # the answer may have taken its time
            self._doubt(key)
            return
        now = await self.api.apply(wanted.stamped)
        self._applied[key] = Applied(wanted.stamped, view(wanted.stamped, now))
        self.yielding.applied(key, wanted.manifest)
        self._know(key, now)
        self.observer.applied(key.kind, "changed")

    async def _leave(self, key: ObjectKey, wanted: _Wanted) -> None:
        """Who owns a field is not told by watches, so it is asked for."""
        left = left_behind(wanted.manifest, await self.api.get(key), FIELD_MANAGER)
        if left and self.may_write():
            await self.api.hand_over(left)

    async def _claimed(self, key: ObjectKey) -> Object | None:
        """What is there. Raises TakenError when it is somebody else's: an apply would take it over without a word."""
        there = self._there.get(key)
        if there is None or _ending(there):
            try:
                there = await self.api.get(key)
            except NotFoundError:
                self._there.gone(key)
                return None
            if _ending(there):  # what is applied to it would go with it
                raise UnavailableError(f"{key} is being deleted; it is made anew as soon as it is gone")
            if self.ours(there):
                self._know(key, there)
        if not self.ours(there):
            said = f"{key} is there already and not made by Edgerun; rename or remove one of the two"
            raise TakenError(said, status=409)
        return there

    async def _delete(self, key: ObjectKey) -> None:
        await self.api.delete(key, self._there[key]["metadata"]["uid"])
        self._there.deleted(key)
        self.observer.applied(key.kind, "deleted")

    def _know(self, key: ObjectKey, raw: Object) -> None:
        self._there.answered(key, raw, asyncio.get_running_loop().time())
        self.observer.stored(raw)

    def _well(self, key: ObjectKey, tried: _Wanted | None) -> None:
        self._pauses.end(key)
        if tried:
            self.observer.refused(tried.manifest, None)

    def _failed(self, key: ObjectKey, tried: _Wanted | None, error: ApiError) -> None:
        self._doubt(key)
        outage = isinstance(error, UnavailableError)
        self.observer.applied(key.kind, "error" if outage else "refused")
        if tried is not (self._wanted or {}).get(key):
            return  # it was about something that nobody wants any more
        if tried and not outage:
            self.observer.refused(tried.manifest, error)
        if self._pauses.failed(key, error, asyncio.get_running_loop().time()) == 1:
            logger.warning("%s: %s", key, error)


def _ending(raw: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in raw["metadata"]
