"""Connections that live long, through a real edge and a real guard: they finish where they began, and they count."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from support.poll import eventually
from support.sockets import websocket
from support.standalone import Standalone, standalone

pytestmark = pytest.mark.envoy

ECHO = Path(__file__).parents[1] / "support" / "origins.py"
FIRST = ObjectKey("OriginRevision", "default", "chat-00001")


def files(name: str = "one", scaling: str = "{maxScale: 1}") -> str:
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: chat}}
spec:
  scaling: {scaling}
  template: {{spec: {{containers: [{{command: [python3, "{ECHO}"], env: [{{name: NAME, value: {name}}}]}}]}}}}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: chat}}
spec: {{rules: [{{origins: [{{service: {{name: chat}}}}]}}]}}
---"""


async def _answers(here: Standalone, name: str) -> bool:
    return (await here.get()).header("x-origin") == name


async def test_a_websocket_outlives_the_revision_on_which_it_began(tmp_path: Path) -> None:
    async with standalone(tmp_path, files("one")) as here:
        await here.until("chat")
        async with websocket(here.port, "/chat") as talk:
            assert await talk.exchange(b"before") == b"before"
            here.write(files("two"))
            await eventually(lambda: _answers(here, "two"))
            for _ in range(10):
                assert await talk.exchange(b"after") == b"after"
                await asyncio.sleep(0.1)


async def test_events_go_on_to_their_end_while_others_get_the_next_revision(tmp_path: Path) -> None:
    async with standalone(tmp_path, files("one")) as here:
        await here.until("chat")
        stream = asyncio.create_task(here.get("/?stream=6"))
        here.write(files("two"))
        await eventually(lambda: _answers(here, "two"))
        assert not stream.done()
        answer = await stream
        assert (answer.status, answer.header("x-origin")) == (200, "one")
        assert len(answer.body.splitlines()) >= 55


async def test_streams_on_which_nothing_moves_count_as_requests_under_way(tmp_path: Path) -> None:
    async with standalone(tmp_path, files(scaling="{maxScale: 4, target: 1}")) as here, AsyncExitStack() as stack:
        await here.until("chat")
        talks = [await stack.enter_async_context(websocket(here.port, "/chat")) for _ in range(4)]
        scales = here.runtime.controller.store.scales
        await eventually(lambda: scales.get(FIRST) == 4)
        for talk in talks:
            assert await talk.exchange(b"still here") == b"still here"


async def test_the_pieces_of_a_stream_arrive_when_they_are_sent(tmp_path: Path) -> None:
    async with standalone(tmp_path, files("one")) as here:
        await here.until("chat")
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"GET /?stream=30 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 60)).startswith(b"HTTP/1.1 200 ")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        assert await asyncio.wait_for(reader.readuntil(b"\n"), 60)
        writer.close()
