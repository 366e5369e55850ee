"""What people see while a cluster is built and started, and how long anything may take.

Lines go to stderr, since stdout carries what a script wants to know: the path of a kubeconfig. Owns no process.
Trap: `within` polls, so a check must be cheap and must time out by itself.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

PAUSE_S = 0.1


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
