"""One child process in a session of its own: its output, its exit, its end together with all that it started.

Used for origins and for Envoy alike. It does not restart anything.

Trap: a process whose leader has exited may still have children that hold its port and its pipes; `end` is for them too,
and has to be called even after an exit.
"""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from contextlib import suppress
from os import killpg
from typing import cast

from . import keeper
from .launch import Launch
from .leash import Leash
from .output import MAX_LINE, Lines, Tail

REPLICA = "EDGERUN_REPLICA"  # one process and its descendants; keeper.MARK is all of an instance
REAPED_WITHIN_S = 1.0  # by asyncio, which warns when closing a transport has reaped the process before
LAST_WORDS_S = 0.3  # the exit is noticed before the pipes are read to their end


class Process:
    """A child that is started once. `serial` is unique within the instance."""

    def __init__(
        self,
        serial: str,
        *,
        leash: Leash,
        out: Callable[[str], None],
        err: Callable[[str], None],
        max_line: int = MAX_LINE,
    ) -> None:
        self.pid = 0
        self.mark = f"{REPLICA}={leash.instance_id}/{serial}"
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._leash = leash
        self._tail = Tail()
        self._streams = {1: Lines(out, max_line), 2: Lines(self._tail.before(err), max_line)}
        self._silent = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None

    async def start(self, launch: Launch) -> None:
        """Raises OSError when the kernel will not run it."""
        name, _, value = self.mark.partition("=")
        await asyncio.get_running_loop().subprocess_exec(
            lambda: _Protocol(self),
            *launch.argv,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env={**launch.env, keeper.MARK: self._leash.instance_id, name: value},
            cwd=launch.cwd,
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        return not self.exited.done()

    def members(self) -> set[int]:
        """The processes that this one is made of now."""
        return keeper.belonging(frozenset({self.mark.encode()}), frozenset({self.pid}))

    async def last_words(self) -> str:
        """The end of what it wrote to its standard error, once it has exited."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):  # wait_for may swallow a cancellation before Python 3.12
                await self._silent.wait()
        return str(self._tail)

    async def end(self, *, grace_s: float) -> None:
        """SIGTERM to all its members, SIGKILL after `grace_s`. Returns when none is left."""
        if not self.pid:
            return
        try:
            await self._leash.end([self.mark], [self.pid], grace_s=grace_s)
            await asyncio.wait({self.exited}, timeout=REAPED_WITHIN_S)
        except asyncio.CancelledError:
            self.kill()
            raise
        self._close()

    def kill(self) -> None:
        """At once and without a wait, for a task that is being cancelled; the keeper sees to stragglers."""
        if self._transport is not None:
            with suppress(ProcessLookupError, PermissionError):
                killpg(self.pid, signal.SIGKILL)
        self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None


class _Protocol(asyncio.SubprocessProtocol):
    """Callbacks instead of a task per stream: an exit is told at once, whoever still holds the pipes."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._open = set(process._streams)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        process = self._process
        process._transport = cast(asyncio.SubprocessTransport, transport)
        process.pid = process._transport.get_pid()
        process._leash.hold(process.pid)

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        self._process._streams[fd].feed(cast(bytes, data))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._process._streams[fd].close()
        self._open.discard(fd)
        if not self._open:
            self._process._silent.set()

    def process_exited(self) -> None:
        transport = self._process._transport
        code = transport.get_returncode() if transport is not None else None
        if not self._process.exited.done():
            self._process.exited.set_result(code if code is not None else -signal.SIGKILL)


def ending(code: int) -> str:
    """How a process ended, for people."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
