"""gRPC from a client to an app: through a real edge and a real guard, and without the guard."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from edgerun.translate.guard import queue
from edgerun.translate.guard_answers import BUSY
from support.grpc_echo import SERVICE
from support.poll import eventually
from support.standalone import Standalone, standalone

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

ECHO = Path(__file__).parents[1] / "support" / "grpc_echo.py"
ROUTE = """
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: echo}
spec: {rules: [{origins: [{service: {name: echo}}]}]}
---"""


def service(*, guard: str = "Enabled", pod: str = "containerConcurrency: 0", name: str = "one") -> str:
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: echo}}
spec:
  guard: {guard}
  scaling: {{maxScale: 1}}
  template:
    spec:
      {pod}
      containers:
      - command: ["{sys.executable}", "{ECHO}"]
        ports: [{{containerPort: 8080, name: h2c}}]
        env: [{{name: NAME, value: {name}}}, {{name: GRACE, value: "30"}}]
---"""


@asynccontextmanager
async def serving(folder: Path, text: str) -> AsyncIterator[tuple[Standalone, Any]]:
    """The edge, and a channel to it."""
    async with standalone(folder, text + ROUTE) as here:
        await here.until("echo")
        async with channel_to(here) as channel:
            yield here, channel


def channel_to(here: Standalone, *options: tuple[str, int]) -> Any:
    return grpc.aio.insecure_channel(f"127.0.0.1:{here.port}", (("grpc.enable_retries", 0), *options))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["Enabled", "Disabled"])
async def channel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    async with serving(tmp_path_factory.mktemp("grpc"), service(guard=request.param)) as (_, made):
        yield made


async def test_a_call_is_answered_and_its_trailers_come_along(channel: Any) -> None:
    call = channel.unary_unary(f"/{SERVICE}/Once")(b"hello", metadata=(("x-mine", "1"),))
    assert await call == b"hello"
    assert dict(await call.trailing_metadata())["x-answered-by"] == "one"
    assert await call.code() is grpc.StatusCode.OK


async def test_a_large_message_arrives_whole_both_ways(channel: Any) -> None:
    message = bytes(range(256)) * 15_000
    assert await channel.unary_unary(f"/{SERVICE}/Once")(message) == message


async def test_an_error_has_the_status_and_the_words_of_the_app(channel: Any) -> None:
    call = channel.unary_unary(f"/{SERVICE}/Fail")(b"not today")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "not today")
    assert dict(caught.value.trailing_metadata())["x-answered-by"] == "one"


async def test_a_method_that_the_app_does_not_have_is_unimplemented(channel: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(f"/{SERVICE}/Nothing")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_stream_of_the_server_comes_piece_by_piece(channel: Any) -> None:
    call = channel.unary_stream(f"/{SERVICE}/Count")(b"5")
    assert [message async for message in call] == [b"0", b"1", b"2", b"3", b"4"]
    assert await call.code() is grpc.StatusCode.OK
    long = channel.unary_stream(f"/{SERVICE}/Count")(b"10000")
    assert await anext(aiter(long)) == b"0", "they are not kept back until the end"
    long.cancel()


async def test_both_talk_in_turns_for_as_long_as_they_like(channel: Any) -> None:
    call = channel.stream_stream(f"/{SERVICE}/Chat")()
    for number in range(50):
        await call.write(str(number).encode())
        assert await call.read() == str(number).encode()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_deadline_ends_a_call_and_the_app_goes_on_with_others(channel: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(f"/{SERVICE}/Hold")(b"", timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await channel.unary_unary(f"/{SERVICE}/Once")(b"next") == b"next"


async def test_many_calls_share_a_connection_and_none_waits_for_another(channel: Any) -> None:
    held = [asyncio.ensure_future(channel.unary_unary(f"/{SERVICE}/Hold")(b"", timeout=600)) for _ in range(50)]
    assert await channel.unary_unary(f"/{SERVICE}/Once")(b"now") == b"now"
    assert not any(call.done() for call in held)
    for call in held:
        call.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_calls_beyond_concurrency_and_queue_are_unavailable(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, service(pod="containerConcurrency: 1")) as (here, channel),
        channel_to(here, ("grpc.use_local_subchannel_pool", 1)) as another,  # one connection has 100 calls at once
    ):
        await channel.unary_unary(f"/{SERVICE}/Once")(b"")
        holds = [one.unary_unary(f"/{SERVICE}/Hold") for one in (channel, another)]
        calls = [asyncio.ensure_future(holds[number % 2](b"", timeout=600)) for number in range(1 + queue(1) + 1)]
        await eventually(lambda: any(call.done() for call in calls))
        (refused,) = [call for call in calls if call.done()]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await refused
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, BUSY)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_long_stream_finishes_on_the_revision_on_which_it_began(tmp_path: Path) -> None:
    async with serving(tmp_path, service(name="one")) as (here, channel):
        stream = channel.unary_stream(f"/{SERVICE}/Count")(b"60")
        messages = aiter(stream)
        first = await anext(messages)
        here.write(service(name="two") + ROUTE)

        async def by_the_next() -> bool:
            call = channel.unary_unary(f"/{SERVICE}/Once")(b"")
            await call
            return bool(dict(await call.trailing_metadata())["x-answered-by"] == "two")

        await eventually(by_the_next)
        rest = [message async for message in messages]
        assert [int(message) for message in (first, *rest)] == list(range(60))
        assert dict(await stream.trailing_metadata())["x-answered-by"] == "one"
