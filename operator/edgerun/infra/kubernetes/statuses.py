"""Writes the status of custom resources, each once it has come to rest, and none that is there already.

What makes a difference to people and tools, a condition, is written within a moment. A mere number, such as how many
proxies serve a route, changes for every route when one pod comes or goes: it may lag behind.

Trap: what the server shows is compared, not what was written last: somebody else may have changed it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ...api import API_VERSION
from ...api.meta import ObjectKey
from ...errors import ApiError, ConflictError, NotFoundError, UnavailableError

CONCURRENCY = 8
SOON_S = 0.1  # an object that was just applied is programmed within it: one write says both
SETTLED_S = 2.0  # what was written and is said not to be there: somebody changed it, or the news are late
LATER_S = 30.0
BACKOFF_S = 1.0
BACKOFF_LIMIT_S = 60.0
RECHECK_S = 0.5  # how soon it is noticed that this process may write
TICK_S = 0.001  # a timer may go off so much before its time
logger = logging.getLogger(__name__)

Object = Mapping[str, Any]
Result = Literal["changed", "conflict", "error"]


class Api(Protocol):
    async def apply_status(self, manifest: Object) -> Object: ...


@dataclass(slots=True)
class StatusWriter:
    """`may_write` is asked right before each write; `wrote` hears of each: changed, conflict or error."""

    api: Api
    may_write: Callable[[], bool]
    wrote: Callable[[Result], None] = lambda result: None
    _wanted: dict[ObjectKey, Object] = field(default_factory=dict)
    _there: dict[ObjectKey, tuple[str, Object]] = field(default_factory=dict)  # uid and status, as the server has it
    _written: dict[ObjectKey, Object] = field(default_factory=dict)  # the last status by us
    _due: dict[ObjectKey, float] = field(default_factory=dict)
    _failures: dict[ObjectKey, int] = field(default_factory=dict)
    _busy: set[ObjectKey] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, key: ObjectKey, raw: Object) -> None:
        """The object is there, with this status."""
        self._there[key] = (raw["metadata"].get("uid", ""), raw.get("status") or {})
        self._schedule(key)

    def gone(self, key: ObjectKey) -> None:
        for memory in (self._wanted, self._there, self._written, self._due, self._failures):
            memory.pop(key, None)

    def shown(self, key: ObjectKey) -> Object:
        """The status that the server has, empty when it has none."""
        return self._there.get(key, ("", {}))[1]

    def want(self, key: ObjectKey, status: Object) -> None:
        """This is what should be said of the object."""
        self._wanted[key] = status
        self._schedule(key)

    def nudge(self) -> None:
        """Look again: this process may write now."""
        self._failures.clear()
        self._due.clear()
        for key in self._wanted:
            self._schedule(key)

    async def run(self) -> None:
        """Write what is wanted, until cancelled."""
        slots = asyncio.Semaphore(CONCURRENCY)
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for key in self._ready():
                    self._busy.add(key)
                    tasks.create_task(self._write(key, slots), name=f"status of {key}")
                await self._something_due()

    def _schedule(self, key: ObjectKey) -> None:
        wanted, there = self._wanted.get(key), self._there.get(key)
        if wanted is None or there is None or wanted == there[1]:
            self._due.pop(key, None)
            return
        known = self._due.get(key)
        if known is not None and key in self._failures:
            return  # it waits until the next attempt
        soon = SETTLED_S if wanted == self._written.get(key) else SOON_S
        pause = soon if _gist(wanted) != _gist(there[1]) else LATER_S
        due = asyncio.get_running_loop().time() + pause
        self._due[key] = due if known is None else min(known, due)
        self._wake.set()

    def _ready(self) -> list[ObjectKey]:
        if not self.may_write():
            return []
        now = asyncio.get_running_loop().time()
        ready = [key for key, due in self._due.items() if due <= now + TICK_S and key not in self._busy]
        for key in ready:
            del self._due[key]
        return ready

    async def _something_due(self) -> None:
        now = asyncio.get_running_loop().time()
        until = min((due for key, due in self._due.items() if key not in self._busy), default=None)
        if until is not None and not self.may_write():
            until = max(until, now + RECHECK_S)
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _write(self, key: ObjectKey, slots: asyncio.Semaphore) -> None:
        try:
            async with slots:
                await self._apply(key)
        except NotFoundError:
            self.wrote("conflict")  # the source tells that it is gone
        except ConflictError:
            self.wrote("conflict")  # it is another object by now, and the source tells; or others wrote just now
            self._again(key)
        except ApiError as error:
            self.wrote("error")
            if self._again(key, error.retry_after_s if isinstance(error, UnavailableError) else 0.0) == 1:
                logger.warning("the status of %s cannot be written: %s", key, error)
        else:
            self._failures.pop(key, None)
        finally:
            self._busy.discard(key)
            self._wake.set()

    async def _apply(self, key: ObjectKey) -> None:
        wanted, there = self._wanted.get(key), self._there.get(key)
        if wanted is None or there is None or wanted == there[1]:
            return
        if not self.may_write():
            self._schedule(key)
            return
        uid = there[0]
        stored = await self.api.apply_status(_document(key, uid, wanted))
        if self._there.get(key, ("",))[0] == uid:
            self._there[key] = (uid, stored.get("status") or {})
            self._written[key] = wanted
        self.wrote("changed")

    def _again(self, key: ObjectKey, wish_s: float = 0.0) -> int:
        """Try again, not before `wish_s`; how often it has failed."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait_s = min(BACKOFF_S * 2 ** min(failures - 1, 16), BACKOFF_LIMIT_S)
        self._due[key] = asyncio.get_running_loop().time() + max(wait_s, wish_s)
        return failures


def _document(key: ObjectKey, uid: str, status: Object) -> Object:
    """With the uid, so that nothing is said of an object that bears the name of another one before."""
    metadata = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {}), "uid": uid}
    return {"apiVersion": API_VERSION, "kind": key.kind, "metadata": metadata, "status": status}


def _gist(status: Object) -> Any:
    """What somebody may wait for: all but numbers, and the words of what is well."""
    parts = [
        {name: value for name, value in part.items() if name != "message" or part.get("status") != "True"}
        for part in status.get("conditions", ())
    ]
    rest = {name: value for name, value in status.items() if name not in ("conditions", "edges")}
    return rest, parts
