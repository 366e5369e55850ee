"""The origins of a plan as local processes: which template runs, and which one takes over.

`LocalOrigins.apply` may be called at any time with all the origins that are wanted; it compares templates, and whether
they are guarded, and nothing else restarts anything. A new template starts beside the old one, which leaves only when
the new one is ready and every proxy knows it.

Trap: `observe` is called from within `apply` too. It must only take note.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from pathlib import Path

from ...api.meta import ObjectKey
from ...api.originservice import OriginService
from ...translate.world import OriginObservation
from .guards import Guards
from .leash import Leash
from .replicas import Replica
from .site import PATIENT, Site, Timing

logger = logging.getLogger(__name__)

Observe = Callable[[ObjectKey, OriginObservation | None], None]


class LocalOrigins:
    """`observe` hears of every change, None when an origin is gone; `acknowledged` returns when all proxies have
    acknowledged the newest plan; `say` gets what the origins print, with their name; `guards` is where the guarded ones
    get a guard from; `root` is what `workingDir` is relative to."""

    def __init__(
        self,
        observe: Observe,
        acknowledged: Callable[[], Awaitable[None]],
        say: Callable[[str, str], None],
        *,
        leash: Leash,
        guards: Guards,
        root: Path,
        environ: Mapping[str, str] = os.environ,
        timing: Timing = PATIENT,
    ) -> None:
        self._observe = observe
        self._site = Site(leash, guards, root, say, acknowledged, environ, timing)
        self._wanted: tuple[OriginService, ...] = ()
        self._origins: dict[ObjectKey, _Origin] = {}
        self._replicas: set[Replica] = set()
        self._removals: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._stopped = asyncio.Event()

    def apply(self, origins: tuple[OriginService, ...]) -> None:
        """Makes `origins` the ones that run, as far as `run` is under way."""
        self._wanted = origins
        if self._group is None or self._stopped.is_set():
            return
        wanted = {origin.key: origin for origin in origins}
        for key in [key for key in self._origins if key not in wanted]:
            removal = self._spawn(self._removed(key, self._origins.pop(key)), f"remove {key}")
            self._removals.add(removal)
            removal.add_done_callback(self._removals.discard)
        for key, origin in wanted.items():
            known = self._origins.setdefault(key, _Origin(self, key))
            known.want(origin)

    async def run(self) -> None:
        """Supervises until `stop` has done its work. When cancelled, all processes are killed at once."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.apply(self._wanted)
            await self._stopped.wait()

    async def stop(self) -> None:
        """Ends all processes together: SIGTERM, and SIGKILL after a grace period."""
        self._stopped.set()
        for removal in self._removals:
            removal.cancel()
        for replica in self._replicas:
            replica.leave(drain=False)
        alive = [process for replica in self._replicas for process in replica.processes()]
        marks, groups = [process.mark for process in alive], [process.pid for process in alive]
        await self._site.leash.end(marks, groups, grace_s=self._site.timing.grace_s)

    def start(self, origin: OriginService, revision: str, changed: Callable[[Replica], None]) -> Replica:
        replica = Replica(origin, revision, self._site, changed)
        self._replicas.add(replica)
        self._spawn(self._whole_life(replica), f"replica {revision}")
        return replica

    def tell(self, key: ObjectKey, source: "_Origin", observation: OriginObservation | None) -> None:
        """An origin that was removed and came back is two for a while: only the newer one is heard."""
        if self._origins.get(key, source) is source:
            self._observe(key, observation)

    async def _removed(self, key: ObjectKey, origin: "_Origin") -> None:
        await self._site.acknowledged()
        origin.leave()
        self.tell(key, origin, None)

    async def _whole_life(self, replica: Replica) -> None:
        try:
            await replica.run()
        except Exception:
            logger.exception("replica %s: lost", replica.revision)  # the keeper has its process group
        finally:
            self._replicas.discard(replica)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        assert self._group is not None, "apply spawns only while run is under way"
        return self._group.create_task(work, name=name)


class _Origin:
    """One OriginService: the replica that serves, and the one that is to take over."""

    def __init__(self, origins: LocalOrigins, key: ObjectKey) -> None:
        self._origins = origins
        self._key = key
        self._generation = 0
        self._changes = 0
        self._serving: Replica | None = None
        self._starting: Replica | None = None
        self._last: OriginObservation | None = None

    def want(self, origin: OriginService) -> None:
        self._generation = origin.metadata.generation
        newest = self._starting or self._serving
        if newest is None or not newest.fits(origin):
            self._drop_starting()
            if self._serving is None or not self._serving.fits(origin):
                self._changes += 1
                revision = f"{origin.metadata.name}-{self._changes:05d}"
                self._starting = self._origins.start(origin, revision, self._changed)
        self._tell()

    def leave(self) -> None:
        for replica in self._replicas():
            replica.leave(drain=True)

    def _replicas(self) -> Iterator[Replica]:
        yield from (replica for replica in (self._serving, self._starting) if replica is not None)

    def _drop_starting(self) -> None:
        if self._starting is not None:
            self._starting.leave(drain=False)
            self._starting = None

    def _changed(self, replica: Replica) -> None:
        if replica not in self._replicas():
            return
        if replica is self._starting and replica.state.endpoints:
            before, self._serving, self._starting = self._serving, replica, None
            self._tell()
            if before is not None:
                before.leave(drain=True)
            return
        self._tell()

    def _tell(self) -> None:
        newest = self._starting or self._serving
        if newest is None:
            return
        endpoints = self._serving.state.endpoints if self._serving else ()
        state = newest.state
        observation = OriginObservation(self._generation, state.phase, endpoints, state.reason, state.message)
        if observation != self._last:
            self._last = observation
            self._origins.tell(self._key, self, observation)
