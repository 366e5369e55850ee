"""What people see while a cluster is built and started, and how long anything may take.

Lines go to stderr, since stdout carries what a script wants to know: the path of a kubeconfig. Owns no process.
Trap: `within` polls, so a check must be cheap and must time out by itself.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PAUSE_S = 0.1
ALIVE_S = 60


class ClusterError(Exception):
    """The command cannot go on; the message says what to do."""


def say(line: str) -> None:
    print(f"edgerun: {line}", file=sys.stderr, flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Shows how long the block took, once it is through."""
    started = time.monotonic()
    yield
    say(f"{time.monotonic() - started:5.1f} s  {name}")


def within(seconds: float, what: str, holds: Callable[[], bool]) -> None:
    """Waits until the check holds. Raises `ClusterError` when the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(PAUSE_S)


def run(*command: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Runs a program to its end and gives what it printed. Raises `ClusterError` with its complaint when it fails."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=env)
    except FileNotFoundError:
        raise ClusterError(f"{command[0]} is missing") from None
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}\n{(done.stderr or done.stdout).strip()}")
    return done.stdout


def run_and_tell(command: Sequence[str], what: str, *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    """Runs a program that takes long, with a sign of life every minute; what it printed is shown when it fails."""
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            for output in _outputs(running):
                if output is None:
                    say(f"{time.monotonic() - started:5.0f} s  {what}: building")
                elif running.returncode:
                    raise ClusterError(f"{what} cannot be built\n{output.strip()}")
        finally:
            running.terminate()


def _outputs(running: subprocess.Popen[str]) -> Iterator[str | None]:
    """None for every minute that passes, at last all that was printed."""
    while True:
        try:
            yield running.communicate(timeout=ALIVE_S)[0]
            return
        except subprocess.TimeoutExpired:
            yield None
