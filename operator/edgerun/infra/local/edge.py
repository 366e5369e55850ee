"""Envoy as a local process: started with its bootstrap, started again when it dies, drained before it ends.

What it serves comes from the control plane over xDS and is none of this module's business.

Trap: Envoy does not drain on SIGTERM, it just goes. Whoever cares for the requests in flight calls `stop`.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .. import admin
from .envoys import MAX_ACCESS_LINE, Access, envoy_launch, of_course, sorted_out
from .instance import Instance
from .launch import Launch
from .leash import Leash
from .process import Process, ending

FIRST_PAUSE_S, LONGEST_PAUSE_S, HEALTHY_S = 0.1, 5.0, 10.0
POLL_S = 0.02
GRACE_S = 2.0
LINGER_S = 0.5  # for idle connections: whoever keeps one open without a request learns of the end by a FIN

_LIVE = "listener_manager.(workers_started|total_listeners_active)"
_BUSY = "(downstream_cx_active|downstream_rq_active)"


class LocalEdge:
    """`access` gets each JSON object that Envoy prints on its standard output, `say` every other line."""

    def __init__(
        self,
        instance: Instance,
        bootstrap: Mapping[str, Any],
        *,
        leash: Leash,
        say: Callable[[str, str], None],
        access: Access,
        concurrency: int = 2,
        drain_s: float = 5.0,
    ) -> None:
        self.restarts = 0
        self._socket = instance.admin_socket
        self._config = instance.directory / "envoy.json"
        self._bootstrap = bootstrap
        self._leash = leash
        self._say = say
        self._access = access
        self._concurrency = concurrency
        self._drain_s = drain_s
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._leaving = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.running else None

    async def run(self) -> None:
        """Keeps Envoy running until `stop`. When cancelled, Envoy is killed at once."""
        launch = self._launch()
        pause = FIRST_PAUSE_S
        clock = asyncio.get_running_loop().time
        try:
            while not self._stopping.is_set():
                began = clock()
                await self._one_life(launch)
                pause = FIRST_PAUSE_S if clock() - began >= HEALTHY_S else pause
                await self._unless_stopping(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
        finally:
            if self._process is not None:
                self._process.kill()

    async def ready(self, timeout_s: float) -> None:
        """Returns when Envoy serves a listener that came over xDS. Raises TimeoutError that says how far it got."""
        told = "it has not started"
        try:
            async with asyncio.timeout(timeout_s):
                while told:
                    told = await self._not_ready()
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise TimeoutError(f"Envoy is not ready after {timeout_s:g} s: {told}") from error

    async def admin(self, question: str, *, method: str = "GET") -> str:
        """What Envoy's admin interface answers. Raises OSError."""
        return await admin.ask(self._socket, question, method=method)

    async def stop(self) -> None:
        """Tells clients to go elsewhere, waits for their requests within bounds, and ends Envoy."""
        self._stopping.set()
        process = self._process
        if process is None or not process.running:
            return
        try:
            async with asyncio.timeout(self._drain_s):
                await self._drain(process)
        except TimeoutError:
            self._say("envoy", f"ends with requests open: not idle after {self._drain_s:g} s")
        except OSError as error:
            self._say("envoy", f"ends without a drain: {error}")
        self._leaving = True
        await process.end(grace_s=GRACE_S)

    def _launch(self) -> Launch:
        return envoy_launch(self._config, self._bootstrap, concurrency=self._concurrency, drain_s=self._drain_s)

    async def _one_life(self, launch: Launch) -> None:
        process = self._process = Process(
            f"envoy/{self.restarts}",
            leash=self._leash,
            out=sorted_out(self._access, lambda line: self._say("envoy", line)),
            err=self._complained,
            max_line=MAX_ACCESS_LINE,
        )
        await process.start(launch)
        if self._stopping.is_set():
            await process.end(grace_s=GRACE_S)
        await asyncio.wait({process.exited})
        if not self._stopping.is_set():
            self.restarts += 1
            self._say("envoy", f"{ending(process.exited.result())}; it is started again")
            await process.end(grace_s=0)

    def _complained(self, line: str) -> None:
        going = self._leaving and "[warning]" in line  # that it was told to go, and that streams end: we know
        if not (going or of_course(line)):
            self._say("envoy", line)

    async def _unless_stopping(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()

    async def _not_ready(self) -> str:
        """What is missing until it serves; "" when nothing is."""
        try:
            state = (await self.admin("ready")).strip()
            live = await admin.numbers(self._socket, _LIVE)
        except OSError as error:
            return str(error)
        if state != "LIVE":
            return f"its state is {state}"
        if not live.get("listener_manager.total_listeners_active"):
            return "no listener came over xDS"
        return "" if live.get("listener_manager.workers_started") else "its workers have not started"

    async def _drain(self, process: Process) -> None:
        await self.admin("healthcheck/fail", method="POST")
        await self.admin("drain_listeners?graceful", method="POST")
        clock = asyncio.get_running_loop().time
        patient_until = clock() + LINGER_S
        while process.running:
            connections, requests = await self._busy()
            if not connections or (not requests and clock() >= patient_until):
                return
            await asyncio.sleep(POLL_S)

    async def _busy(self) -> tuple[int, int]:
        """Connections and requests of clients that are open now."""
        active = await admin.numbers(self._socket, _BUSY)
        ours = [(name, value) for name, value in active.items() if _of_clients(name)]
        connections = sum(value for name, value in ours if name.startswith("listener."))
        return connections, sum(value for name, value in ours if name.endswith(".downstream_rq_active"))


def _of_clients(name: str) -> bool:
    scope, _, rest = name.partition(".")
    return scope in ("listener", "http") and not rest.startswith("admin.") and ".worker_" not in rest
