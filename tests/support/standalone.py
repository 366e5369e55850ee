"""A whole `edgerun local` inside the test: real files, a real Envoy, real processes."""

import asyncio
import contextlib
import textwrap
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgerun.api.meta import Condition, ObjectKey
from edgerun.infra.local.instance import instances
from edgerun.runtime.board import Status
from edgerun.runtime.local import LocalRuntime, running
from edgerun.settings import LocalSettings
from edgerun.sources.documents import FileProblem
from support.poll import PATIENCE_S, eventually
from support.ports import free_port

WITHIN_S = PATIENCE_S


@dataclass
class Listener:
    """Remembers what an instance tells its audience."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    guards: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    found: list[FileProblem] = field(default_factory=list)

    def output(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    def request(self, entry: Mapping[str, Any]) -> None:
        self.requests.append(entry)

    def guarded(self, name: str, entry: Mapping[str, Any]) -> None:
        self.guards.append((name, entry))

    def status(self, key: ObjectKey, status: Status | None) -> None:
        pass

    def problems(self, problems: Sequence[FileProblem]) -> None:
        self.found = list(problems)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)


@dataclass
class Standalone:
    """The instance, its folder, and requests to its edge."""

    directory: Path
    port: int
    runtime: LocalRuntime
    audience: Listener

    @property
    def instance_id(self) -> str:
        """By which its processes are known."""
        (found,) = instances(self.directory)
        return found.id

    def write(self, text: str, name: str = "all.yaml") -> None:
        """Save a file as an editor does: whole, by renaming."""
        draft = self.directory / f".{name}.draft"
        draft.write_text(textwrap.dedent(text))
        draft.rename(self.directory / name)

    def condition(self, key: ObjectKey, type: str) -> Condition | None:
        line = self.runtime.controller.board.lines.get(key)
        return next((part for part in line.status.conditions if part.type == type), None) if line else None

    async def until(self, name: str, status: str = "True", type: str = "Ready", **others: Any) -> Condition:
        """Wait until the EdgeRoute or OriginService `kind` (default EdgeRoute) `name` has that condition."""
        key = ObjectKey(others.get("kind", "EdgeRoute"), others.get("namespace", "default"), name)
        generation = others.get("generation", 0)
        found: list[Condition | None] = [None]

        def has_it() -> bool:
            found[0] = self.condition(key, type)
            assert found[0], f"no condition {type}"
            assert (found[0].status, found[0].observed_generation >= generation) == (status, True), found[0]
            return True

        await eventually(has_it, within_s=WITHIN_S, what=f"{key} has {type}={status}")
        assert found[0]
        return found[0]

    async def get(
        self,
        path: str = "/",
        *,
        host: str = "localhost",
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Answer:
        """One request on a connection of its own."""
        return await fetch(self.port, path, host=host, method=method, headers=headers, body=body)


async def fetch(
    port: int,
    path: str,
    *,
    address: str = "127.0.0.1",
    host: str = "localhost",
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> Answer:
    """One HTTP/1.1 request, written byte for byte as given: no client library tidies the path or the headers."""
    async with asyncio.timeout(WITHIN_S):
        reader, writer = await asyncio.open_connection(address, port)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}"] if body else []
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        answer = await _answer(reader, bodiless=method == "HEAD")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return answer


async def _answer(reader: asyncio.StreamReader, *, bodiless: bool) -> Answer:
    first, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = tuple((name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields))
    status = int(first.split()[1])
    body = b"" if bodiless or status in (204, 304) else await _body(reader, dict(pairs))
    return Answer(status, pairs, body.decode(errors="replace"))


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    whole = b""
    while size := int(await reader.readline(), 16):
        whole += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return whole


@contextlib.asynccontextmanager
async def standalone(directory: Path, text: str = "", **settings: Any) -> AsyncIterator[Standalone]:
    """Serve `directory`, with `text` as its first file."""
    port = free_port()
    audience = Listener()
    if text:
        (directory / "all.yaml").write_text(textwrap.dedent(text))
    async with running(LocalSettings(directory=directory, port=port, concurrency=1, **settings), audience) as runtime:
        await runtime.listening()
        yield Standalone(directory, port, runtime, audience)
