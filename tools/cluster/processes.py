"""Processes that outlive the command that starts them: started, remembered in a file, watched, and ended.

A process is its number and the time at which it began: after a crash the number may be another's.
Trap: a process whose parent does not ask for its end stays as a zombie. It holds nothing any more: it counts as gone.
"""

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.progress import ClusterError, within

# No proxy settings, nothing of the caller's: every address is the cluster's own.
ENVIRONMENT: Mapping[str, str] = {"LANG": "C.UTF-8", "HOME": "/nonexistent"}
ENDED_WITHIN_S = 30
SHOWN_LINES = 15


@dataclass(frozen=True, slots=True)
class Identity:
    pid: int
    began: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Of a process that lives."""
        try:
            # The second field is the program's name in brackets and may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else cls(pid, fields[19])

    @property
    def alive(self) -> bool:
        return Identity.of(self.pid) == self

    def kill(self) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Register:
    """The processes of one cluster: a file for each, beside the logs."""

    pids: Path
    logs: Path

    def start(self, name: str, command: Sequence[str], *, path: str, log: str | None = None) -> Identity:
        """Starts a program that nobody's Ctrl-C reaches."""
        with self._log(log or name).open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**ENVIRONMENT, "PATH": path},
                start_new_session=True,
            )
        identity = Identity.of(process.pid) or Identity(process.pid, "ended-at-once")
        self.remember(name, identity)
        return identity

    def remember(self, name: str, identity: Identity) -> None:
        (self.pids / name).write_text(f"{identity.pid} {identity.began}")

    def known(self) -> dict[str, Identity]:
        return {path.name: _parsed(path.read_text()) for path in sorted(self.pids.iterdir())}

    def wait(self, seconds: float, what: str, holds: Callable[[], bool]) -> None:
        """Waits until the check holds, or a process ends that should not have."""

        def holds_or_fails() -> bool:
            for name, identity in self.known().items():
                if not identity.alive:
                    raise ClusterError(f"{name} has ended:\n{self.tail(name)}")
            return holds()

        within(seconds, what, holds_or_fails)

    def tail(self, name: str) -> str:
        with contextlib.suppress(FileNotFoundError), self._log(name).open(errors="replace") as lines:
            return f"{self._log(name)}\n" + "".join(deque(lines, SHOWN_LINES)).rstrip()
        return "it wrote nothing"

    def end(self) -> None:
        """Kills all. What they wrote is about to be deleted, so nobody has to say goodbye."""
        known = self.known()
        for identity in known.values():
            identity.kill()
        within(ENDED_WITHIN_S, f"the end of {', '.join(known)}", lambda: not any(one.alive for one in known.values()))

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def _parsed(text: str) -> Identity:
    pid, began = text.split()
    return Identity(int(pid), began)
