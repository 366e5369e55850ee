"""A closed-loop HTTP/1.1 load generator for tests: some keep-alive connections, each sending the next request as soon
as the last is answered, and a tally of what came back.

It retries nothing and forgives nothing: a connection lost with a request on its way is a transport error, also when the
server merely closed an idle connection at the wrong moment. A server that says `connection: close` first is not wrong.
Trap: it shares the test's event loop, so a test that blocks the loop measures itself.
"""

import asyncio
import ssl
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from .http1 import BadResponseError, ResponseReader

_KEPT_FAILURES = 20
_REDIAL_S = 0.01  # a refused connection must not turn into a busy loop
_SWEEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Failure:
    """`at_s` counts from the start of the load."""

    at_s: float
    description: str


@dataclass(slots=True)
class Result:
    """Grows while the load runs. `failures` keeps the first few, `failed_at_s` the time of each."""

    expected_status: int
    started_s: float
    statuses: Counter[int] = field(default_factory=Counter)
    transport_errors: int = 0
    failures: list[Failure] = field(default_factory=list)
    failed_at_s: "array[float]" = field(default_factory=lambda: array("d"))
    latencies_ms: "array[float]" = field(default_factory=lambda: array("f"))
    finished_s: float | None = None

    @property
    def answered(self) -> int:
        return len(self.latencies_ms)

    @property
    def sent(self) -> int:
        return self.answered + self.transport_errors

    @property
    def failed(self) -> int:
        """Requests without an answer, or with another status than the expected one."""
        return len(self.failed_at_s)

    @property
    def seconds(self) -> float:
        return (self.finished_s or asyncio.get_running_loop().time()) - self.started_s

    def latency_ms(self, quantile: float) -> float:
        """The nearest-rank quantile, 0 when nothing was answered."""
        ranked = sorted(self.latencies_ms)
        return ranked[min(len(ranked) - 1, int(quantile * len(ranked)))] if ranked else 0.0

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} of {status}" for status, count in sorted(self.statuses.items())) or "no answers"
        first = "".join(f"\n  {failure.at_s:.3f} s: {failure.description}" for failure in self.failures)
        return f"{statuses}, {self.transport_errors} transport errors in {self.seconds:.2f} s{first}"


@dataclass(frozen=True, slots=True)
class _Bounds:
    ends_s: float
    requests: int
    timeout_s: float
    pause_s: float


@asynccontextmanager
async def load(
    port: int,
    *,
    address: str = "127.0.0.1",
    host: str = "localhost",
    path: str = "/",
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    connections: int = 3,
    tls: ssl.SSLContext | None = None,
    expected_status: int = 200,
    max_seconds: float = 300.0,
    max_requests: int = 1_000_000,
    timeout_s: float = 60.0,
    pause_s: float = 0.0,
) -> AsyncIterator[Result]:
    """Sends requests for as long as the block runs, or until a bound is reached; `pause_s` is after each answer.

    Leaving the block waits for the requests that are on their way, so that each one that was sent is counted.
    """
    loop = asyncio.get_running_loop()
    result = Result(expected_status, loop.time())
    bounds = _Bounds(loop.time() + max_seconds, max_requests, timeout_s, pause_s)
    request = _request(method, path, {"host": host, **(headers or {})})
    clients = [_Client(result, request, bounds, head=method == "HEAD") for _ in range(connections)]
    server_name = host.partition(":")[0] if tls else None
    # No TaskGroup: a failed assertion in the block must come out as it is, not wrapped in a group.
    runs = [
        asyncio.create_task(
            client.run(address, port, tls=tls, server_name=server_name), name=f"load {host}{path} #{number}"
        )
        for number, client in enumerate(clients)
    ]
    try:
        yield result
    finally:
        for client in clients:
            client.stop()
        await asyncio.gather(*runs)
    result.finished_s = result.finished_s or loop.time()


def _request(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class _Client:
    """One connection after the other, one request at a time."""

    def __init__(self, result: Result, request: bytes, bounds: _Bounds, *, head: bool) -> None:
        self.result, self.request, self.bounds, self.head = result, request, bounds, head
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()

    async def run(self, address: str, port: int, *, tls: ssl.SSLContext | None, server_name: str | None) -> None:
        while not self.over():
            try:
                async with asyncio.timeout(self.bounds.timeout_s):
                    _, connection = await self.loop.create_connection(
                        lambda: _Connection(self), address, port, ssl=tls, server_hostname=server_name
                    )
            except (OSError, TimeoutError) as error:
                self.fail(f"connect: {error or type(error).__name__}")
                await self.pause(_REDIAL_S)
                continue
            await connection.watch()
        self.result.finished_s = self.loop.time()

    def over(self) -> bool:
        enough = self.result.sent >= self.bounds.requests or self.loop.time() >= self.bounds.ends_s
        return enough or self.stopped.is_set()

    def stop(self) -> None:
        self.stopped.set()

    async def pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.stopped.wait()
        except TimeoutError:
            return

    def succeed(self, status: int, sent_s: float) -> None:
        self.result.statuses[status] += 1
        self.result.latencies_ms.append((self.loop.time() - sent_s) * 1000)
        if status != self.result.expected_status:
            self.remember(f"status {status}")

    def fail(self, description: str) -> None:
        self.result.transport_errors += 1
        self.remember(description)

    def remember(self, description: str) -> None:
        at_s = self.loop.time() - self.result.started_s
        self.result.failed_at_s.append(at_s)
        if len(self.result.failures) < _KEPT_FAILURES:
            self.result.failures.append(Failure(at_s, description))


class _Connection(asyncio.Protocol):
    """Sends the next request from within the callback that completes the last: no task switch on the hot path."""

    def __init__(self, client: _Client) -> None:
        self.client = client
        self.reader = ResponseReader(head=client.head)
        self.sent_s: float | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def data_received(self, data: bytes) -> None:
        try:
            self.reader.feed(data)
        except BadResponseError as error:
            self.give_up(f"bad response: {error}")
            return
        if (status := self.reader.take()) is not None:
            self.complete(status)

    def complete(self, status: int) -> None:
        if self.sent_s is None:
            self.give_up(f"an answer ({status}) that nobody asked for")
            return
        self.client.succeed(status, self.sent_s)
        self.sent_s = None
        if self.client.bounds.pause_s and not self.reader.closing:
            self.client.loop.call_later(self.client.bounds.pause_s, self.go_on)
        else:
            self.go_on()

    def go_on(self) -> None:
        if self.reader.closing or self.client.over():
            self.transport.close()
        elif not self.closed.is_set():
            self.send()

    def send(self) -> None:
        self.sent_s = self.client.loop.time()
        self.transport.write(self.client.request)

    def connection_lost(self, error: Exception | None) -> None:
        if self.sent_s is not None and self.reader.finishes_at_eof:
            self.client.succeed(self.reader.status, self.sent_s)
        elif self.sent_s is not None:
            self.client.fail(f"connection lost before the {self.reader.missing}: {error or 'closed by the server'}")
        self.sent_s = None
        self.closed.set()

    def give_up(self, why: str) -> None:
        self.sent_s = None
        self.client.fail(why)
        self.transport.abort()

    async def watch(self) -> None:
        """Returns when the connection is over; a request that takes too long ends it."""
        try:
            while not self.closed.is_set():
                if self.sent_s is not None and self.client.loop.time() - self.sent_s > self.client.bounds.timeout_s:
                    self.give_up(f"no answer within {self.client.bounds.timeout_s:g} s")
                await self.tick()
        finally:
            self.transport.abort()

    async def tick(self) -> None:
        try:
            async with asyncio.timeout(_SWEEP_S):
                await self.closed.wait()
        except TimeoutError:
            return
