"""Guards as local processes: an Envoy in front of each process of a guarded origin, for as long as that serves.

Whom to let in it is told over xDS; nothing of that is here. It listens when it has been told, and not before.

Trap: a guard that dies is replaced by one on another port, for the old one may be a stranger's by now.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from ...translate import guard
from ...translate.bootstrap import GUARD_HEAP_BYTES, bootstrap
from ...translate.identities import guard_fleet
from ...translate.plan import Running
from ...translate.world import Endpoint
from . import ports
from .envoys import MAX_ACCESS_LINE, envoy_launch, sorted_out
from .instance import Instance
from .launch import Launch
from .leash import Leash
from .probes import ADDRESS, Look, Target, look, pause_s
from .process import Process, ending

POLL_S = 0.02
LISTENS_WITHIN_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S, HEALTHY_S = 0.1, 5.0, 10.0


@dataclass(frozen=True, slots=True)
class Guards:
    """What all guards of an instance share. `say` gets what they complain of and `access` every entry of their logs,
    each with the name of the revision."""

    instance: Instance
    leash: Leash
    trust_domain: str
    say: Callable[[str, str], None]
    access: Callable[[str, Mapping[str, Any]], None]
    serials: "count[int]" = field(default_factory=count)


class Guard:
    """The guard of a process that listens on `app_port`. `changed` is called whenever one of these did: `endpoint` is
    where it listens, None while it does not; `trouble` why it is being replaced, "" when all is well."""

    def __init__(self, guards: Guards, run: Running, app_port: int, changed: Callable[[], None]) -> None:
        self.endpoint: Endpoint | None = None
        self.trouble = ""
        self.process: Process | None = None
        self._guards = guards
        self._origin = run.service
        self._name = f"{run.key.namespace}/{run.key.name}"
        self._app_port = app_port
        self._changed = changed
        self._files: tuple[Path, ...] = ()
        self._leaving = False

    async def keep(self) -> None:
        """Keeps a guard running until cancelled, and leaves it running then."""
        clock, pause = asyncio.get_running_loop().time, FIRST_PAUSE_S
        try:
            while True:
                began = clock()
                trouble = await self._one_life()
                self._become(None, trouble)
                self._say(f"{trouble}; it is started again")
                await self.end()
                pause = FIRST_PAUSE_S if clock() - began >= HEALTHY_S else pause
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
        finally:
            self._leaving = True

    async def end(self) -> None:
        """At once: Envoy does not finish anything by itself, and whoever cares for requests in flight waits before."""
        if self.process is not None:
            await self.process.end(grace_s=0)
        for file in self._files:
            file.unlink(missing_ok=True)

    async def _one_life(self) -> str:
        """Why it is over."""
        serial, port = next(self._guards.serials), ports.origin_port(frozenset({self._app_port}))
        process = self.process = Process(
            f"guard/{self._name}/{serial}",
            leash=self._guards.leash,
            out=sorted_out(lambda entry: self._guards.access(self._name, entry), self._say),
            err=self._complained,
            max_line=MAX_ACCESS_LINE,
        )
        try:
            await process.start(self._launch(serial, port))
        except OSError as error:
            return f"the guard cannot be started: {error.strerror}"
        if await _listens(process, port):
            self._become(Endpoint(ADDRESS, port, guarded=True), "")
            await asyncio.wait({process.exited})
        if process.running:
            return f"the guard does not listen on port {port} after {LISTENS_WITHIN_S:g} s"
        return f"the guard ended: {ending(process.exited.result())}"

    def _launch(self, serial: int, port: int) -> Launch:
        """Names of its files are as short as those of the instance's other sockets."""
        instance = self._guards.instance
        config, admin_socket = self._files = (
            instance.directory / f"g{serial}.json",
            instance.directory / f"g{serial}.sock",
        )
        return envoy_launch(
            config,
            bootstrap(
                node_id=f"local-{instance.pid}-{serial}",
                cluster=guard_fleet(self._origin.key),
                xds_socket=instance.xds_socket,
                admin_socket=admin_socket,
                max_heap_bytes=GUARD_HEAP_BYTES,
                static=guard.static_resources(self._settings(port)),
            ),
            concurrency=1,
        )

    def _settings(self, port: int) -> guard.Guard:
        concurrency = self._origin.spec.template.spec.container_concurrency
        return guard.Guard(
            origin=self._origin.key,
            trust_domain=self._guards.trust_domain,
            app_port=self._app_port,
            listen_port=port,
            address=ADDRESS,
            concurrency=concurrency,
            queue=guard.queue(concurrency),
            http2=self._origin.container.http2,
        )

    def _become(self, endpoint: Endpoint | None, trouble: str) -> None:
        self.endpoint, self.trouble = endpoint, trouble
        self._changed()

    def _complained(self, line: str) -> None:
        if not (self._leaving and "[warning]" in line):  # that it was told to go
            self._say(line)

    def _say(self, line: str) -> None:
        self._guards.say(f"{self._name} guard", line)


async def _listens(process: Process, port: int) -> bool:
    """Whether `process` listens on `port`, once it does or its time is up."""
    clock = asyncio.get_running_loop().time
    began = clock()
    while process.running and (waited_s := clock() - began) < LISTENS_WITHIN_S:
        if await look(Target(port, None, timeout_s=1), process) is Look.READY:
            return process.running
        await asyncio.wait({process.exited}, timeout=pause_s(waited_s, POLL_S))
    return False
