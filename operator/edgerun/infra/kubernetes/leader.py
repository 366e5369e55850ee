"""Which replica may write: the one that holds a Lease and knows that nobody else can yet believe to hold it.

Safety rests on two rules. The holder counts its time from before it asked the API server, and stops `renew_s` later;
everybody else counts from when it saw the record change, waits `lease_s`, and never compares clocks of two machines.
The difference is what a write in flight may take. Every replacement names the version that it replaces.

Trap: a process can be stopped between two instructions. Ask `valid` right before each write, not once per round.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ...api.meta import ObjectKey
from ...complaint import Complaint
from ...errors import ApiError, ConflictError, NotFoundError

SPREAD = 1.2  # candidates wait up to so much longer, so that they do not all ask at once
TICK_S = 0.01  # no pause is shorter: near the end of its time a holder must not spin
logger = logging.getLogger(__name__)

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds; the values of Kubernetes' own components. `lease_s` is written as a whole number."""

    lease_s: float = 15.0
    """How long others wait after the last renewal that they saw."""

    renew_s: float = 10.0
    """How long the holder goes on without a renewal that succeeded."""

    retry_s: float = 2.0
    """Between two attempts."""

    call_s: float = 3.0
    """Of one call: when the server hangs, a second one fits into `renew_s`."""


class Leases(Protocol):
    """What is asked of the API server; `Client` has it."""

    async def get(self, key: ObjectKey, *, timeout_s: float) -> Object: ...

    async def create(self, manifest: Object, *, timeout_s: float) -> Object: ...

    async def replace(self, manifest: Object, *, timeout_s: float) -> Object: ...


def boot_time() -> float:
    """Seconds that go on while the machine sleeps, where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class _Record:
    """The Lease as last seen, and when its spec was first seen to be so."""

    lease: Object
    seen_at: float

    @property
    def spec(self) -> Object:
        return self.lease.get("spec") or {}

    @property
    def holder(self) -> str:
        return str(self.spec.get("holderIdentity") or "")

    @property
    def vanished(self) -> bool:
        return "resourceVersion" not in self.lease["metadata"]

    def expired(self, now: float, lease_s: float) -> bool:
        return now >= self.seen_at + float(self.spec.get("leaseDurationSeconds") or lease_s)


class Leader:
    """One candidate. No other process may have its `identity` at the same time; one that is started anew in its place
    may, and holds what that one held.

    `gained` and `lost` take turns and must not wait. Stop what writes before `run` is cancelled: that gives the Lease
    away at once. `metadata` is what the Lease has beside its name, such as an owner, should it have to be made.
    """

    def __init__(
        self,
        leases: Leases,
        key: ObjectKey,
        *,
        identity: str,
        gained: Callable[[], None],
        lost: Callable[[], None],
        metadata: Object | None = None,
        timing: Timing = Timing(),
        clock: Callable[[], float] = boot_time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._leases, self._key, self._identity = leases, key, identity
        self._metadata = {"name": key.name, "namespace": key.namespace, **(metadata or {})}
        self._gained, self._lost = gained, lost
        self._timing, self._clock, self._jitter = timing, clock, jitter
        self._record: _Record | None = None
        self._valid_until: float | None = None
        self._complaint = Complaint(logger, f"the lease {key} cannot be asked for")

    @property
    def holder(self) -> str:
        """Who holds the Lease, as far as is known; "" for nobody."""
        return self._record.holder if self._record else ""

    def valid(self) -> bool:
        """Whether this process may write at this moment."""
        return self._valid_until is not None and self._clock() < self._valid_until

    async def run(self) -> None:
        """Hold the Lease whenever it can be had, until cancelled; then give it away."""
        try:
            while True:
                await self._attempt()
                await asyncio.sleep(self._pause_s())
        finally:
            held = self._valid_until is not None
            self._end()
            if held:
                await self._release()

    async def _attempt(self) -> None:
        """Take or renew the Lease if that is possible now. No answer changes nothing but the time that is left."""
        try:
            async with asyncio.timeout(self._call_s()):
                began = await self._held_since()
        except TimeoutError:
            self._complaint.say("the API server does not answer")
        except ApiError as error:
            self._complaint.say(str(error))
        else:
            self._complaint.end()
            self._answered(began)
        if self._valid_until is not None and not self.valid():
            self._end()

    def _answered(self, began: float | None) -> None:
        until = began + self._timing.renew_s if began is not None else 0.0
        if began is None or self._clock() >= until:
            self._end()  # the time may be over before the answer is read
            return
        first, self._valid_until = self._valid_until is None, until
        if first:
            logger.info("leading as %s", self._identity)
            self._gained()

    async def _held_since(self) -> float | None:
        """When this process began to ask for what it has got now; None when another holds the Lease."""
        if self._valid_until is None or self._record is None:
            await self._look()
        if not self._may_take():
            return None
        try:
            return await self._take()
        except (ConflictError, NotFoundError):
            await self._look()  # somebody was faster, or an answer to this process got lost on its way
        return await self._take() if self._may_take() else None

    def _may_take(self) -> bool:
        record = self._record
        if record is None:
            return True
        if record.vanished:  # somebody may have taken it meanwhile, and renewed it just before
            return self.valid() or self._clock() >= record.seen_at + self._timing.lease_s
        return record.holder in ("", self._identity) or record.expired(self._clock(), self._timing.lease_s)

    async def _look(self) -> None:
        """What the Lease says now. One that vanished is remembered, for its holder may not know."""
        try:
            lease = await self._leases.get(self._key, timeout_s=self._timing.call_s)
        except NotFoundError:
            before = self._record
            if before and not before.vanished:
                self._record = _Record({**before.lease, "metadata": self._metadata}, self._clock())
            return
        self._see(lease)

    def _see(self, lease: Object) -> None:
        before = self._record
        changed = before is None or lease.get("spec") != before.lease.get("spec")
        self._record = _Record(lease, self._clock() if before is None or changed else before.seen_at)

    async def _take(self) -> float:
        began = self._clock()
        lease = self._wanted(self._record)
        new = self._record is None or self._record.vanished
        ask = self._leases.create if new else self._leases.replace
        self._see(await ask(lease, timeout_s=self._timing.call_s))
        return began

    def _wanted(self, record: _Record | None) -> Object:
        now = _micro_time()
        spec = record.spec if record else {}
        ours = spec.get("holderIdentity") == self._identity
        return self._lease(record) | {
            "spec": {
                **spec,
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(self._timing.lease_s),
                "acquireTime": spec.get("acquireTime") if ours else now,
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if ours or not record else 1),
            }
        }

    async def _release(self) -> None:
        """Give the Lease away, so that nobody has to wait for its end. Nothing is lost when that fails."""
        record = self._record
        if record is None or record.holder != self._identity:
            return
        spec = {**record.spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
        try:
            async with asyncio.timeout(self._timing.call_s):
                await self._leases.replace(self._lease(record) | {"spec": spec}, timeout_s=self._timing.call_s)
        except (ApiError, TimeoutError) as error:
            logger.warning("the lease %s ends by itself within %g s: %s", self._key, self._timing.lease_s, error)

    def _lease(self, record: _Record | None) -> dict[str, Any]:
        known = record.lease["metadata"] if record else self._metadata
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": known}

    def _end(self) -> None:
        held, self._valid_until = self._valid_until is not None, None
        if held:
            logger.info("no longer leading as %s", self._identity)
            self._lost()

    def _pause_s(self) -> float:
        if self._valid_until is None:
            return self._timing.retry_s * (1 + SPREAD * self._jitter())
        return max(TICK_S, min(self._timing.retry_s, self._valid_until - self._clock()))

    def _call_s(self) -> float:
        """A holder must notice the end of its time even while it waits for an answer."""
        left = self._timing.call_s if self._valid_until is None else self._valid_until - self._clock()
        return max(0.0, min(self._timing.call_s, left))


def _micro_time() -> str:
    """Now, for people: nobody decides by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
