"""A guard before an app that speaks HTTP/2: calls pass whole, and the limit of concurrency is as exact as of HTTP/1."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import pytest

from edgerun.translate.guard_answers import BUSY
from guard.guarded import CALLER, Guarded, bearer, guard, guarded, token
from support.grpc_echo import SERVICE, Echo, echo
from support.poll import eventually
from support.tokens import Key

pytestmark = pytest.mark.envoy
KEY = Key("k1")


@asynccontextmanager
async def both(**limits: int) -> AsyncIterator[tuple[Echo, Guarded]]:
    async with echo() as app, guarded(guard(KEY, app_port=app.port, http2=True, **limits)) as running:
        yield app, running


@asynccontextmanager
async def client(running: Guarded, count: int = 1, method: str = "Hold") -> AsyncIterator[list[Any]]:
    """As many connections, each with a call of this method."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
    target = f"127.0.0.1:{running.guard.listen_port}"
    channels = [grpc.aio.insecure_channel(target, options) for _ in range(count)]
    try:
        yield [channel.unary_unary(f"/{SERVICE}/{method}") for channel in channels]
    finally:
        for channel in channels:
            await channel.close()


async def called(method: Any, timeout_s: float | None = None) -> tuple[str, str]:
    """The status of one call, and what is said to it."""
    try:
        answer = await method(b"hello", metadata=bearer(token(KEY)), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details()
    return "OK", answer.decode()


async def test_the_app_hears_who_calls_and_the_caller_its_trailers() -> None:
    async with both() as (app, running), client(running) as (hold,):
        app.release.set()
        call = hold(b"hello", metadata=bearer(token(KEY)))
        assert await call == b"hello"
        assert dict(await call.trailing_metadata())["x-answered-by"] == "echo"
        assert app.metadata[0]["x-edgerun-caller"] == CALLER
        assert "x-edgerun-authorization" not in app.metadata[0]


async def test_who_has_no_credential_is_told_so_in_the_words_of_grpc() -> None:
    async with both() as (app, running), client(running) as (hold,):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await hold(b"hello")
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert app.metadata == []


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize(("concurrency", "queue"), [(1, 1), (1, 5), (3, 5), (10, 20)])
async def test_concurrency_is_exact_so_many_wait_and_the_rest_is_turned_away(
    concurrency: int, queue: int, connections: int
) -> None:
    async with both(concurrency=concurrency, queue=queue) as (app, running), client(running, connections) as holds:
        first = [asyncio.create_task(called(holds[one % connections])) for one in range(concurrency)]
        await eventually(lambda: app.held == concurrency, what="the app is full")
        more = [asyncio.create_task(called(holds[one % connections])) for one in range(queue + 10)]
        await eventually(lambda: sum(task.done() for task in more) == 10, what="ten are turned away")
        assert {task.result() for task in more if task.done()} == {("UNAVAILABLE", BUSY)}
        assert app.held == app.most == concurrency
        app.release.set()
        answers = await asyncio.gather(*first, *more)
        assert answers.count(("OK", "hello")) == app.served == concurrency + queue
        assert app.most == concurrency


@pytest.mark.parametrize("concurrency", [1, 3, 80])
async def test_an_app_that_was_idle_gets_all_that_it_has_room_for(concurrency: int) -> None:
    async with both(concurrency=concurrency) as (app, running), client(running) as (hold,):
        app.release.set()
        answers = await asyncio.gather(*(called(hold) for _ in range(concurrency)))
        assert answers == [("OK", "hello")] * concurrency
        assert app.most <= concurrency


async def test_a_burst_never_gets_more_to_the_app_than_it_can_do() -> None:
    async with both(concurrency=3, queue=5) as (app, running), client(running, 4) as holds:
        calls = [asyncio.create_task(called(holds[one % 4])) for one in range(60)]
        await eventually(lambda: app.held == 3)
        app.release.set()
        answers = await asyncio.gather(*calls)
        assert app.most == 3
        assert set(answers) <= {("OK", "hello"), ("UNAVAILABLE", BUSY)}
        assert app.served == answers.count(("OK", "hello")) >= 3


async def test_a_call_whose_time_is_over_makes_room_for_one_that_waits() -> None:
    async with both(concurrency=1, queue=1) as (app, running), client(running) as (hold,):
        first = asyncio.create_task(called(hold, timeout_s=3))
        await eventually(lambda: app.held == 1)
        second = asyncio.create_task(called(hold))
        assert (await first)[0] == "DEADLINE_EXCEEDED"
        await eventually(lambda: app.cancelled == 1)
        await eventually(lambda: app.held == 1)
        app.release.set()
        assert await second == ("OK", "hello")
        assert app.most == 1


async def test_without_a_limit_all_come_at_once() -> None:
    async with both() as (app, running), client(running) as (hold,):
        calls = [asyncio.create_task(called(hold)) for _ in range(90)]
        await eventually(lambda: app.held == 90)
        app.release.set()
        assert set(await asyncio.gather(*calls)) == {("OK", "hello")}


async def test_an_app_that_begins_another_connection_has_no_more_calls_for_it() -> None:
    """What it has on the old one counts until it is over, and the next one waits."""
    async with (
        echo(max_connection_age_ms=300) as app,
        guarded(guard(KEY, app_port=app.port, http2=True, concurrency=2, queue=5)) as running,
        client(running) as (hold,),
        client(running, method="Once") as (once,),
    ):
        first = asyncio.create_task(called(hold))
        await eventually(lambda: app.held == 1)
        await eventually(partial(waits, once), what="the app has told of its end")
        second = asyncio.create_task(called(once))
        app.release.set()
        assert [*await asyncio.gather(first, second)] == [("OK", "hello")] * 2
        assert app.most <= 2


async def waits(method: Any) -> bool:
    return (await called(method, timeout_s=0.3))[0] == "DEADLINE_EXCEEDED"
