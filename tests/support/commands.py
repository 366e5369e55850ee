"""A command of `edgerun` as it is typed in a test, and what it said."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edgerun import cli
from edgerun.infra.kubernetes.client import access
from support.apiserver import kubeconfig
from support.poll import eventually


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str


async def typed(captured: pytest.CaptureFixture[str], *words: str) -> Said:
    code = await asyncio.to_thread(cli.main, [*words])
    return Said(code, *captured.readouterr())


async def until(command: Callable[[], Awaitable[Said]], text: str, **waits: Any) -> Said:
    """What the command says, as soon as that is in it."""
    found: list[Said] = []

    async def said() -> bool:
        found.append(await command())
        assert text in found[-1].out, found[-1]
        return True

    await eventually(said, **waits)
    return found[-1]


@dataclass(frozen=True, slots=True)
class InCluster:
    """A command with actions, typed with a kubeconfig and about a namespace; `name` comes after the action, if any."""

    command: str
    kubeconfig: Path
    namespace: str
    captured: pytest.CaptureFixture[str]
    name: str = ""

    async def __call__(self, action: str, *words: str) -> Said:
        return await typed(self.captured, *self._words(action, *words))

    async def ran(self, action: str, *words: str) -> int:
        """The code alone: several at once share what is captured."""
        return await asyncio.to_thread(cli.main, [*self._words(action, *words)])

    def _words(self, action: str, *words: str) -> tuple[str, ...]:
        name = (self.name,) if self.name else ()
        where = ("--namespace", self.namespace, "--kubeconfig", str(self.kubeconfig))
        return (self.command, action, *name, *where, *words)

    def at(self, url: str, folder: Path, **user: str) -> "InCluster":
        """The same against another server; without `user`, by nobody in particular."""
        return replace(self, kubeconfig=kubeconfig(folder / "kubeconfig", url, **user))

    async def by(self, user: dict[str, str], folder: Path) -> "InCluster":
        """The same by somebody else."""
        return self.at((await access(self.kubeconfig)).server, folder, **user)
