"""One replica of a revision, kept running as a process: started, watched, started again, sent away.

Owns the life of the replica from the first start to the last connection. How many are wanted, and when one is too many,
is decided in replicasets.py.

Trap: ready is said once, and holds until the process exits, or its guard does. From then on it is Envoy that notices
trouble.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ...translate.phases import OriginPhase
from ...translate.plan import Running
from ...translate.world import Endpoint
from . import ports, procfs
from .clusteronly import require_local
from .connections import unused
from .guards import Guard
from .launch import Launch, LaunchError, launch
from .probes import ADDRESS, Look, Target, look, pause_s, target
from .process import Process, ending
from .site import Site, State

logger = logging.getLogger(__name__)

CRASHED = "CrashLoopBackOff"
PORTS_TO_TRY = 3


class Replica:
    """`changed` is called after every change of `state`. `guarded`: it has a guard, or is to have one."""

    def __init__(self, run: Running, site: Site, changed: Callable[["Replica"], None]) -> None:
        self.name = f"{run.key.namespace}/{run.key.name}"
        self.guarded = run.service.guarded
        self.state = State()
        self.process: Process | None = None
        self.guard: Guard | None = None
        self._run = run
        self._site = site
        self._changed = changed
        self._listens: Endpoint | None = None
        self._under_way: asyncio.Task[None] | None = None
        self._left = self._drains = False

    def processes(self) -> tuple[Process, ...]:
        """Those that were started last, of the origin and of its guard; they may have ended."""
        found = (self.process, self.guard.process if self.guard is not None else None)
        return tuple(process for process in found if process is not None and process.pid)

    async def run(self) -> None:
        """From the start until `leave` has been carried out. When cancelled, the process is killed at once."""
        try:
            if not self._left:
                await self._until_left(self._supervise())
            if self._drains:
                await self._until_left(self._withdrawn())
            await self._end(grace_s=self._site.timing.grace_s)
        except BaseException:
            for process in self.processes():
                process.kill()
            raise

    def leave(self, *, drain: bool) -> None:
        """Ends the replica. With `drain`, only once the proxies know of it and their connections are gone."""
        if self._left and drain:
            return
        self._left, self._drains = True, drain
        if self._under_way is not None:
            self._under_way.cancel()

    async def _until_left(self, work: Coroutine[None, None, None]) -> None:
        async with asyncio.TaskGroup() as group:  # takes the cancellation of its task for an ordinary end
            self._under_way = group.create_task(work, name=f"replica {self.name}")

    async def _supervise(self) -> None:
        timing, pause = self._site.timing, self._site.timing.first_pause_s
        while not self._left:
            healthy_s = await self._attempt_on_free_port()
            if healthy_s >= timing.healthy_s:
                pause = timing.first_pause_s
            await asyncio.sleep(pause)
            pause = min(2 * pause, timing.longest_pause_s)

    async def _attempt_on_free_port(self) -> float:
        """The life of one process. A stranger who takes its port before it does is no fault of its own."""
        for _ in range(PORTS_TO_TRY):
            port = ports.origin_port(frozenset(self._site.claimed))
            self._site.claimed.add(port)
            try:
                healthy_s = await self._attempt(port)
            except LaunchError as error:
                return await self._failed(error.reason, str(error))
            except Exception as error:
                logger.exception("replica %s: cannot be supervised", self.name)
                return await self._failed("InternalError", repr(error))
            finally:
                self._site.claimed.discard(port)
            if healthy_s is not None:
                return healthy_s
        return await self._failed("PortTaken", f"{PORTS_TO_TRY} ports in a row were taken by other processes")

    async def _failed(self, reason: str, message: str) -> float:
        self._become(State(OriginPhase.FAILED, (), reason, message))
        await self._end(grace_s=0)
        return 0.0

    async def _end(self, *, grace_s: float) -> None:
        if self.process is not None:
            await self.process.end(grace_s=grace_s)
        await self._end_guard()

    async def _end_guard(self) -> None:
        """After its process, whose last answers it passes on."""
        if self.guard is not None:
            await self._unused(self._site.timing.last_answers_s)
            await self.guard.end()
            self.guard = None

    async def _attempt(self, port: int) -> float | None:
        """Seconds for which the process was ready; None when it lost its port to a stranger."""
        require_local(self._run.service.spec.template.spec)
        where = target(self._run.service.container, port)
        process = await self._started(port)
        if not self.guarded:
            return await self._life(process, where, port)
        guard = self.guard = Guard(self._site.guards, self._run, port, self._settle)
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(guard.keep(), name=f"{self.name} guard")
            healthy_s = await self._life(process, where, port)
            keeping.cancel()
        await self._end_guard()
        return healthy_s

    async def _life(self, process: Process, where: Target, port: int) -> float | None:
        """As `_attempt`, of a process that was started."""
        seen = await self._first_sight_or_exit(process, where)
        if seen is None:
            return await self._stillborn(process, port)
        if seen is Look.STRANGER:
            await process.end(grace_s=0)
            return None
        self._listens = Endpoint(ADDRESS, port)
        self._settle()
        clock = asyncio.get_running_loop().time
        ready_at = clock()
        await asyncio.wait({process.exited})
        self._listens = None
        healthy_s = clock() - ready_at
        end = ending(process.exited.result())
        self._become(State(OriginPhase.FAILED, (), CRASHED, end))  # at once; the last words follow when they are known
        await self._mourn(process)
        return healthy_s

    def _settle(self) -> None:
        """What a process that is ready means, as its guard fares."""
        if self._listens is None:
            return
        if self.guard is None:
            self._become(State(OriginPhase.READY, (self._listens,)))
        elif self.guard.endpoint is not None:
            self._become(State(OriginPhase.READY, (self.guard.endpoint,)))
        elif self.guard.trouble:
            self._become(State(OriginPhase.STARTING, (), "GuardNotListening", self.guard.trouble))

    async def _first_sight_or_exit(self, process: Process, where: Target) -> Look | None:
        async with asyncio.TaskGroup() as group:
            probing = group.create_task(self._first_sight(process, where), name=f"{self.name} probe")
            either: set[asyncio.Future[Any]] = {probing, process.exited}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            probing.cancel()
        return probing.result() if process.running else None

    async def _stillborn(self, process: Process, port: int) -> float | None:
        await process.last_words()
        await process.end(grace_s=0)
        if await asyncio.to_thread(ports.accepts, port):
            return None  # whoever accepts now is none of ours
        await self._mourn(process)
        return 0.0

    async def _mourn(self, process: Process) -> None:
        end, words = ending(process.exited.result()), await process.last_words()
        await process.end(grace_s=0)  # its children may hold the port
        self._become(State(OriginPhase.FAILED, (), CRASHED, f"{end}:\n{words}" if words else end))

    async def _started(self, port: int) -> Process:
        launched = self._launch(port)
        process = self.process = Process(
            f"{self.name}/{next(self._site.serials)}",
            leash=self._site.leash,
            out=self._say,
            err=self._say,
        )
        try:
            await process.start(launched)
        except OSError as error:
            raise LaunchError("StartFailed", f"{launched.argv[0]}: {error.strerror}") from error
        return process

    def _launch(self, port: int) -> Launch:
        name, revision = self._run.service.metadata.name, self._run.key.name
        platform = {"PORT": str(port), "K_SERVICE": name, "K_REVISION": revision, "K_CONFIGURATION": name}
        return launch(self._run.service.container, platform, root=self._site.root, parent=self._site.environ)

    def _say(self, line: str) -> None:
        self._site.say(self.name, line)

    def _become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed(self)

    async def _first_sight(self, process: Process, where: Target) -> Look:
        """Looks until there is something to see, and says once when that takes long."""
        clock, timing = asyncio.get_running_loop().time, self._site.timing
        began, complain_after_s = clock(), timing.not_listening_s
        while (seen := await look(where, process)) is Look.NOT_YET:
            waited_s = clock() - began
            if waited_s >= complain_after_s:
                complain_after_s = float("inf")
                self._become(await asyncio.to_thread(_not_ready, process, where))
            await asyncio.sleep(pause_s(waited_s, timing.probe_period_s))
        return seen

    async def _withdrawn(self) -> None:
        """Waits until no proxy uses the process any more."""
        if self.state.endpoints:
            await self._site.acknowledged()
            await self._unused(self._site.timing.drain_s)

    async def _unused(self, within_s: float) -> None:
        """Waits until nobody is connected to what proxies ask, within bounds."""
        endpoint, process = (self.guard.endpoint, self.guard.process) if self.guard else (self._listens, self.process)
        if endpoint is not None and process is not None:
            await unused(process, endpoint.port, within_s=within_s, blind_s=self._site.timing.blind_drain_s)


def _not_ready(process: Process, where: Target) -> State:
    heard = procfs.listening_ports(process.members()) if procfs.AVAILABLE else ()
    if where.port in heard:
        asked = (
            "accept a connection" if where.path is None else f"answer GET {where.path} with a status from 200 to 399"
        )
        return State(OriginPhase.STARTING, (), "ProbeFailing", f"it listens on port {where.port}, but does not {asked}")
    elsewhere = f"; it listens on {', '.join(map(str, heard))}" if heard else ""
    message = (
        f"nothing accepts on 127.0.0.1:{where.port}{elsewhere}; the app must listen on $PORT, which is {where.port}"
    )
    return State(OriginPhase.STARTING, (), "NotListening", message)
