"""Kubernetes Events about our objects: told by who leads, seldom, and never at anybody's expense.

`tell` only queues, and what is followed by something else within moments is not told: nobody needs to hear of a
missing EdgeProxy that is being made. What cannot be written within a few attempts is let go: an Event is a courtesy,
the status is what counts. Each has its name from the start, so a second attempt after a lost answer makes no second.

Trap: an Event of an object that belongs to the whole cluster lies in the namespace `default`; the server insists.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Protocol

from ...api import GROUP
from ...errors import ApiError, ConflictError, UnavailableError
from ...translate.events import Occurrence
from ...workqueue import Meter

CONTROLLER = f"{GROUP}/controller"
QUEUED = 1000  # older ones say less, so they go first
HELD_S = 2.0  # what an object's state gets to settle
ATTEMPTS = 3
RETRY_S = 2.0
NOTE_BYTES, NAME_LENGTH = 1024, 253  # what the API server takes
REMEMBERED = 10_000  # objects and reasons
CLUSTER_NAMESPACE = "default"
logger = logging.getLogger(__name__)

Object = Mapping[str, Any]
Outcome = Literal["written", "overtaken", "limited", "dropped", "error"]


class Creates(Protocol):
    """`Client.create` is one."""

    async def __call__(self, manifest: Object) -> Object: ...


@dataclass(frozen=True, slots=True)
class Limit:
    """So many Events of one object for one reason at once, and one more after each `refill_s`."""

    burst: int = 5
    refill_s: float = 300.0


class _Bucket(NamedTuple):
    left: float
    at: float


class _Held(NamedTuple):
    """An Event that nobody else needs to know of yet."""

    event: Object
    due: float


class Herald:
    """`may_write` says whether this replica leads at this moment, `outcome` hears what became of each Event."""

    def __init__(
        self,
        create: Creates,
        *,
        instance: str,
        may_write: Callable[[], bool],
        outcome: Callable[[Outcome], None],
        meter: Meter,
        limit: Limit = Limit(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._create, self._instance, self._may_write = create, instance, may_write
        self._outcome, self._meter = outcome, meter
        self._limit, self._clock = limit, clock
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._queue: OrderedDict[tuple[str, str], _Held] = OrderedDict()  # by uid and topic, as they are due
        self._wake = asyncio.Event()

    def tell(self, regarding: Object, occurrence: Occurrence) -> None:
        """Something happened to the object `regarding`, as the API server has it. Nothing waits, nothing is raised."""
        if not self._may_write():
            return
        uid = str(regarding["metadata"].get("uid", ""))
        if not self._granted(uid, occurrence.reason):
            self._outcome("limited")
            return
        about = uid, occurrence.topic
        if about in self._queue:
            self._forget(self._queue.pop(about), "overtaken")
        if len(self._queue) >= QUEUED:
            self._forget(self._queue.popitem(last=False)[1], "dropped")
        event = manifest(regarding, occurrence, instance=self._instance, now=datetime.now(UTC))
        self._queue[about] = _Held(event, self._clock() + HELD_S)
        self._meter.added(_name(event))
        self._wake.set()

    async def run(self) -> None:
        """Write what is told, one after the other, until cancelled."""
        while True:
            while self._queue:
                about, held = next(iter(self._queue.items()))
                if (early_s := held.due - self._clock()) > 0:
                    await asyncio.sleep(early_s)
                    continue
                del self._queue[about]
                await self._write(held.event)
            self._wake.clear()
            await self._wake.wait()

    def _forget(self, held: _Held, outcome: Outcome) -> None:
        self._meter.forgotten(_name(held.event))
        self._outcome(outcome)

    async def _write(self, event: Object) -> None:
        self._meter.taken(_name(event))
        self._outcome(await self._written(event))
        self._meter.done(_name(event))

    async def _written(self, event: Object) -> Outcome:
        for attempt in range(ATTEMPTS):
            if not self._may_write():
                return "dropped"
            try:
                await self._create(event)
            except ConflictError:
                return "written"  # by the attempt before, whose answer got lost
            except UnavailableError as error:
                logger.debug("an Event waits: %s", error)
                await asyncio.sleep(max(error.retry_after_s, RETRY_S * 2**attempt))
            except ApiError as error:  # its namespace is going, say
                logger.info("an Event cannot be written: %s", error)
                return "error"
            else:
                return "written"
        return "error"

    def _granted(self, uid: str, reason: str) -> bool:
        now, key = self._clock(), (uid, reason)
        before = self._buckets.pop(key, _Bucket(self._limit.burst, now))
        left = min(self._limit.burst, before.left + (now - before.at) / self._limit.refill_s)
        self._buckets[key] = _Bucket(left - 1 if left >= 1 else left, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return left >= 1


def manifest(regarding: Object, occurrence: Occurrence, *, instance: str, now: datetime) -> dict[str, Any]:
    """The Event, as events.k8s.io has it."""
    metadata = regarding["metadata"]
    reference = {name: metadata[name] for name in ("namespace", "name", "uid", "resourceVersion") if metadata.get(name)}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": _unique(metadata["name"], now),
            "namespace": metadata.get("namespace") or CLUSTER_NAMESPACE,
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "regarding": {"apiVersion": regarding["apiVersion"], "kind": regarding["kind"], **reference},
        "type": occurrence.type,
        "reason": occurrence.reason,
        "action": occurrence.action,
        "note": _clipped(occurrence.note),
    }


def _unique(name: str, now: datetime) -> str:
    """As client-go names Events: the object, and the moment."""
    suffix = f".{int(now.timestamp() * 1e6):x}"
    return name[: NAME_LENGTH - len(suffix)].rstrip(".-") + suffix


def _clipped(note: str) -> str:
    data = note.encode()
    if len(data) <= NOTE_BYTES:
        return note
    return data[: NOTE_BYTES - len("…".encode())].decode(errors="ignore") + "…"


def _name(event: Object) -> str:
    return str(event["metadata"]["name"])
