"""The revisions of a plan as local processes.

`LocalOrigins.apply` may be called at any time with all the revisions that are to run, and how many replicas of each; a
change of anything else restarts nothing. What a new revision is, and how many replicas it needs, is decided above; how
the replicas of one come and go, in `replicasets`.

Trap: `observe` is called from within `apply` too. It must only take note.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path

from ...api.meta import ObjectKey
from ...translate.plan import Running
from ...translate.world import OriginObservation
from .guards import Guards
from .leash import Leash
from .replicas import Replica
from .replicasets import ReplicaSet
from .site import PATIENT, Site, Timing

logger = logging.getLogger(__name__)

Observe = Callable[[ObjectKey, OriginObservation | None], None]


class LocalOrigins:
    """`observe` hears of every change, None when a revision is gone; `acknowledged` returns when all proxies have
    acknowledged the newest plan; `say` gets what the revisions print, with their name; `guards` is where the guarded
    ones get a guard from; `root` is what `workingDir` is relative to."""

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
        self._wanted: tuple[Running, ...] = ()
        self._revisions: dict[ObjectKey, ReplicaSet] = {}
        self._replicas: set[Replica] = set()
        self._removals: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._stopped = asyncio.Event()

    def apply(self, running: tuple[Running, ...]) -> None:
        """Makes `running` what runs, as far as `run` is under way."""
        self._wanted = running
        if self._group is None or self._stopped.is_set():
            return
        wanted = {one.key: one for one in running}
        for key in [key for key in self._revisions if key not in wanted]:
            removal = self._spawn(self._removed(key, self._revisions.pop(key)), f"remove {key}")
            self._removals.add(removal)
            removal.add_done_callback(self._removals.discard)
        for key, one in wanted.items():
            if key not in self._revisions:
                self._revisions[key] = self._replica_set(key)
            self._revisions[key].want(one)

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

    def _start(self, run: Running, changed: Callable[[Replica], None]) -> Replica:
        replica = Replica(run, self._site, changed)
        self._replicas.add(replica)
        self._spawn(self._whole_life(replica), f"replica {replica.name}")
        return replica

    def _replica_set(self, key: ObjectKey) -> ReplicaSet:
        made = ReplicaSet(self._start, lambda observation: self._tell(key, made, observation))
        return made

    def _tell(self, key: ObjectKey, source: ReplicaSet, observation: OriginObservation | None) -> None:
        """A revision that was removed and came back is two for a while: only the newer one is heard."""
        if self._revisions.get(key, source) is source:
            self._observe(key, observation)

    async def _removed(self, key: ObjectKey, revision: ReplicaSet) -> None:
        await self._site.acknowledged()
        revision.leave()
        self._tell(key, revision, None)

    async def _whole_life(self, replica: Replica) -> None:
        try:
            await replica.run()
        except Exception:
            logger.exception("replica %s: lost", replica.name)  # the keeper has its process group
        finally:
            self._replicas.discard(replica)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        assert self._group is not None, "apply spawns only while run is under way"
        return self._group.create_task(work, name=name)
