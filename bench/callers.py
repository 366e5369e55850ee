"""A client that asks again and again on one connection, and writes down when it was served and when it was refused.

Trap: it shares the loop of whoever runs it, so the pause between two requests is the resolution at best.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PAUSE_S = 0.002  # between an answer and the next request
_LENGTH = b"content-length: "


@dataclass(slots=True)
class Caller:
    """`answers` are the times, by the clock that all processes share, and the statuses."""

    port: int
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None = None
    answers: list[tuple[float, int]] = field(default_factory=list)

    @property
    def served(self) -> list[float]:
        return [at for at, status in self.answers if status == 200]

    @property
    def refused(self) -> list[float]:
        return [at for at, status in self.answers if status == 401]

    async def run(self) -> None:
        """Until cancelled. Raises when the connection is lost."""
        lines = [f"{name}: {value}" for name, value in self.headers.items()]
        request = "\r\n".join(("GET / HTTP/1.1", *lines, "", "")).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        try:
            while True:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_length(head))
                self.answers.append((time.monotonic(), int(head.split(b" ", 2)[1])))
                await asyncio.sleep(PAUSE_S)
        finally:
            writer.transport.abort()

    def must_be_served(self) -> None:
        if len(self.served) != len(self.answers) or not self.answers:
            raise RuntimeError(f"{len(self.answers) - len(self.served)} of {len(self.answers)} requests failed")

    def last_served_s(self) -> float:
        """When it was served for the last time, before it was refused for good."""
        last, first = max(self.served), min(self.refused)
        if last > first or len(self.served) + len(self.refused) != len(self.answers):
            raise RuntimeError(f"{self.answers[-20:]}: neither served nor refused for good")
        return last


@asynccontextmanager
async def calling(callers: Iterable[Caller]) -> AsyncIterator[None]:
    """All at work while the block is, which begins when each has been answered."""
    some = list(callers)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run(), name=f"caller of {one.port}") for one in some]
        while not all(one.answers for one in some):
            await asyncio.sleep(PAUSE_S)
        yield
        for task in tasks:
            task.cancel()


def _length(head: bytes) -> int:
    """Of the body, which says how long it is."""
    at = head.lower().index(_LENGTH) + len(_LENGTH)
    return int(head[at : head.index(b"\r", at)])
