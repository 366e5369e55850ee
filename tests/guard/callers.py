"""Clients that keep their connection and ask again and again, each time with the credential of the moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from support.poll import eventually

CLIENTS = 8


@dataclass
class Callers:
    """`token` is what is asked with from now on. `answers` has the status of each request, in the order of answers."""

    port: int
    token: Callable[[], str]
    answers: list[int] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, count: int = 100) -> list[int]:
        """The answers to so many more requests of all clients."""
        before = len(self.answers)
        await eventually(lambda: len(self.answers) >= before + count, what="answers", step_s=0.001)
        return self.answers[before:]

    async def all_say(self, status: int) -> None:
        """Return when nothing but this is heard any more, on any connection."""

        async def check() -> bool:
            return set(await self.more(4 * CLIENTS)) == {status}

        await eventually(check, step_s=0.001, what=f"{status} alone")

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.connections += 1
        try:
            while not self.ended.is_set():
                self.answers.append(await self._ask(reader, writer))
        finally:
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        credential = f"x-edgerun-authorization: Bearer {self.token()}"
        writer.write(f"GET /?size=2 HTTP/1.1\r\nhost: app\r\n{credential}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b"connection: close" not in head, "the connection is drained"
        _, _, length = head.partition(b"content-length: ")
        await reader.readexactly(int(length.split(b"\r\n")[0]))
        return int(head.split()[1])


@asynccontextmanager
async def calling(port: int, token: Callable[[], str]) -> AsyncIterator[Callers]:
    callers = Callers(port, token)
    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            tasks.create_task(callers.run(), name=f"caller {number}")
        try:
            yield callers
        finally:
            callers.ended.set()
