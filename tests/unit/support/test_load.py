"""The load generator counts every request once, and calls what went wrong by its name."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from support.load import load
from support.origins import origin
from support.poll import eventually

Reply = Callable[[int], bytes]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@asynccontextmanager
async def scripted(reply: Reply) -> AsyncIterator[int]:
    """A server that answers its n-th request with `reply(n)` and hangs up when that is empty."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                count += 1
                if not (data := reply(count)):
                    break
                writer.write(data)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_every_request_that_reached_the_server_is_counted_once() -> None:
    async with origin() as up:
        async with load(up.port, path="/?size=10", connections=3) as result:
            await eventually(lambda: result.answered >= 200)
        assert result.answered == len(up.requests) == result.statuses[200]
        assert (result.failed, result.transport_errors) == (0, 0)
        assert result.finished_s is not None
        assert 0 < result.latency_ms(0.5) <= result.latency_ms(1.0)


async def test_it_stops_by_itself_at_the_number_of_requests() -> None:
    async with origin() as up, load(up.port, connections=1, max_requests=25) as result:
        await eventually(lambda: result.finished_s)
        assert result.answered == 25


async def test_it_stops_by_itself_when_time_is_up() -> None:
    async with origin() as up, load(up.port, max_seconds=0.2) as result:
        await eventually(lambda: result.finished_s)
        assert result.seconds > 0.1


async def test_statuses_other_than_the_expected_one_are_failures_but_no_transport_errors() -> None:
    bad = b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno"
    async with scripted(lambda n: bad if n == 3 else OK) as port, load(port, connections=1, max_requests=10) as result:
        await eventually(lambda: result.finished_s)
    assert result.statuses == {200: 9, 503: 1}
    assert (result.failed, result.transport_errors) == (1, 0)
    assert result.failures[0].description == "status 503"
    assert result.failures[0].at_s == result.failed_at_s[0]
    assert "1 of 503" in str(result)


async def test_a_connection_lost_with_a_request_on_its_way_is_a_transport_error_and_a_new_one_is_opened() -> None:
    async with scripted(lambda n: b"" if n == 4 else OK) as port, load(port, connections=1, max_requests=10) as result:
        await eventually(lambda: result.finished_s)
    assert (result.answered, result.transport_errors, result.sent) == (9, 1, 10)
    assert "connection lost before the head" in result.failures[0].description


async def test_half_a_body_is_a_transport_error() -> None:
    cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
    count = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(cut)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, load(server.sockets[0].getsockname()[1], connections=1, max_requests=2) as result:
        await eventually(lambda: result.finished_s)
    assert (result.answered, result.transport_errors, count) == (0, 2, 2)
    assert "before the end of the body" in result.failures[0].description


async def test_a_server_that_announces_the_close_loses_nothing() -> None:
    closing = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    async with scripted(lambda n: closing) as port, load(port, connections=2, max_requests=20) as result:
        await eventually(lambda: result.finished_s)
    assert result.failed == 0
    assert result.answered in (20, 21)  # two connections may both see the nineteenth


async def test_nobody_listening_is_counted_without_a_busy_loop() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with load(closed.getsockname()[1], connections=1, max_seconds=0.3) as result:
            await eventually(lambda: result.finished_s)
    assert 1 <= result.transport_errors <= 31
    assert result.failures[0].description.startswith("connect: ")
    assert len(result.failures) <= 20


async def test_an_answer_that_does_not_come_in_time_is_a_failure() -> None:
    async with origin() as up, load(up.port, path="/?delay=60s", connections=1, timeout_s=0.2) as result:
        await eventually(lambda: result.transport_errors)
    assert result.failures[0].description == "no answer within 0.2 s"


async def test_a_failed_assertion_in_the_block_comes_out_as_it_is() -> None:
    async with origin() as up:
        with pytest.raises(AssertionError, match="as it is"):
            async with load(up.port):
                raise AssertionError("as it is")
