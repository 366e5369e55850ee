"""The instance's end of the pipe to its keeper (keeper.py): what must not outlive this process.

Owns the keeper process and the list of process groups it has been told. It does not decide when a group ends.

Trap: the write end must stay in this process alone. Python closes it in children that are started by exec; a bare
os.fork would keep it open, and the keeper waiting.
"""

import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from . import keeper

RESTART_PAUSE_S = 0.2
FAREWELL_S = 15.0


class Leash:
    """Everything that `hold` names, or that carries `mark` in its environment, dies with this process."""

    def __init__(self, instance_id: str, directory: Path) -> None:
        self.instance_id = instance_id
        self.mark = f"{keeper.MARK}={instance_id}"
        self._directory = directory
        self._groups: set[int] = set()
        self._pipe: int | None = None
        self._keeper: asyncio.subprocess.Process | None = None
        self._stopped = False

    @property
    def keeper_pid(self) -> int | None:
        return self._keeper.pid if self._keeper else None

    async def start(self) -> None:
        reader, writer = os.pipe()
        try:
            self._keeper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", keeper.__file__, self.instance_id, str(self._directory)),
                stdin=reader,
                stdout=asyncio.subprocess.DEVNULL,  # a terminal or a pipe held open would keep its reader waiting
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={},
                cwd="/",
            )
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
        os.set_blocking(writer, False)
        self._pipe = writer
        self._tell("+", sorted(self._groups))

    async def run(self) -> None:
        """Starts another keeper whenever the one there is dies, until cancelled."""
        while self._keeper is not None:
            await self._keeper.wait()
            if self._stopped:
                return
            self._hang_up()
            await asyncio.sleep(RESTART_PAUSE_S)
            await self.start()

    def hold(self, group: int) -> None:
        self._groups.add(group)
        self._tell("+", [group])

    def release(self, group: int) -> None:
        """Only once nothing of the group is left: its number may be given to a stranger."""
        self._groups.discard(group)
        self._tell("-", [group])

    async def end(self, marks: Sequence[str], groups: Iterable[int], *, grace_s: float) -> None:
        """Ends what carries one of `marks` or belongs to `groups`, and forgets the groups."""
        doomed = frozenset(groups)
        await asyncio.to_thread(keeper.kill_all, marks, doomed, grace_s=grace_s)
        for group in doomed:
            self.release(group)

    async def stop(self, *, grace_s: float = keeper.GRACE_S) -> None:
        """Ends everything that is left and then the keeper, which takes the runtime directory with it."""
        self._stopped = True
        await self.end([self.mark], tuple(self._groups), grace_s=grace_s)
        self._hang_up()
        if self._keeper is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await self._keeper.wait()
        await asyncio.to_thread(keeper.remove, str(self._directory), self.instance_id)  # the keeper may have died

    def _tell(self, sign: str, groups: Iterable[int]) -> None:
        lines = "".join(f"{sign}{group}\n" for group in groups).encode()
        if self._pipe is not None and lines:
            # A keeper that died is replaced by `run`, and told everything; one that hangs still finds the marks.
            with suppress(BrokenPipeError, BlockingIOError):
                os.write(self._pipe, lines)

    def _hang_up(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
