"""The origins of a plan as local processes.

`LocalOrigins.apply` may be called at any time with all the origins that are wanted; it compares templates, and whether
they are guarded, and nothing else restarts anything. A new template starts beside the old one, which leaves only when
the new one is ready and every proxy knows it: see `rollouts`.

Trap: `observe` is called from within `apply` too. It must only take note.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path

from ...api.meta import ObjectKey
from ...api.originservice import OriginService
from ...translate.world import OriginObservation
from .guards import Guards
from .leash import Leash
from .replicas import Replica
from .rollouts import Rollout
from .site import PATIENT, Site, Timing

logger = logging.getLogger(__name__)

_SINGLE: Mapping[ObjectKey, int] = {}
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
        self._scales: Mapping[ObjectKey, int] = _SINGLE
        self._origins: dict[ObjectKey, Rollout] = {}
        self._replicas: set[Replica] = set()
        self._removals: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._stopped = asyncio.Event()

    def apply(self, origins: tuple[OriginService, ...], scales: Mapping[ObjectKey, int] = _SINGLE) -> None:
        """Makes `origins` the ones that run, with as many replicas as `scales` says or one, as far as `run` is under
        way."""
        self._wanted, self._scales = origins, scales
        if self._group is None or self._stopped.is_set():
            return
        wanted = {origin.key: origin for origin in origins}
        for key in [key for key in self._origins if key not in wanted]:
            removal = self._spawn(self._removed(key, self._origins.pop(key)), f"remove {key}")
            self._removals.add(removal)
            removal.add_done_callback(self._removals.discard)
        for key, origin in wanted.items():
            if key not in self._origins:
                self._origins[key] = self._rollout(key)
            self._origins[key].want(origin, scales.get(key, 1))

    async def run(self) -> None:
        """Supervises until `stop` has done its work. When cancelled, all processes are killed at once."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.apply(self._wanted, self._scales)
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

    def _start(self, origin: OriginService, revision: str, changed: Callable[[Replica], None]) -> Replica:
        replica = Replica(origin, revision, self._site, changed)
        self._replicas.add(replica)
        self._spawn(self._whole_life(replica), f"replica {revision}")
        return replica

    def _rollout(self, key: ObjectKey) -> Rollout:
        made = Rollout(self._start, lambda observation: self._tell(key, made, observation))
        return made

    def _tell(self, key: ObjectKey, source: Rollout, observation: OriginObservation | None) -> None:
        """An origin that was removed and came back is two for a while: only the newer one is heard."""
        if self._origins.get(key, source) is source:
            self._observe(key, observation)

    async def _removed(self, key: ObjectKey, origin: Rollout) -> None:
        await self._site.acknowledged()
        origin.leave()
        self._tell(key, origin, None)

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
