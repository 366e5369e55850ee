"""What must not cost a single request, proven under constant load on a real Envoy."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from support.load import Result, load
from support.origins import origin
from support.poll import eventually
from support.standalone import Standalone, standalone

pytestmark = [pytest.mark.envoy, pytest.mark.load]

ECHO = Path(__file__).parents[1] / "support" / "origins.py"


def service(name: str, **env: str) -> str:
    pairs = ", ".join(f'{{name: {key}, value: "{value}"}}' for key, value in {"NAME": name, **env}.items())
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: {name}}}
spec: {{template: {{spec: {{containers: [{{command: [python3, "{ECHO}"], env: [{pairs}]}}]}}}}}}
---"""


def route(target: str) -> str:
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: web}}
spec: {{rules: [{{origins: [{{service: {{name: {target}}}}}]}}]}}
---"""


async def assert_untouched(here: Standalone) -> None:
    """Once it exists, no edit of an object has touched the listener."""
    assert here.runtime.edge
    stats = await here.runtime.edge.admin("stats?filter=listener_manager.listener_(modified|added|in_place_updated)")
    counters = dict(line.split(": ") for line in stats.splitlines())
    assert counters["listener_manager.listener_added"] == "1"
    assert counters["listener_manager.listener_modified"] == "0"
    assert counters["listener_manager.listener_in_place_updated"] == "0"


def assert_none_failed(result: Result) -> None:
    assert result.answered > 10
    assert result.failed == 0, result


@pytest.fixture
async def two_origins(tmp_path: Path) -> AsyncIterator[Standalone]:
    async with standalone(tmp_path, service("a") + service("b") + route("a")) as here:
        for name in ("a", "b"):
            await here.until(name, kind="OriginService")
        await here.until("web")
        yield here


async def test_a_route_moves_between_two_origins_200_times(two_origins: Standalone) -> None:
    here, key = two_origins, ObjectKey("EdgeRoute", "default", "web")
    served = set()
    async with load(here.port, connections=3) as result:
        for number in range(200):
            target = "ab"[(number + 1) % 2]
            here.write(service("a") + service("b") + route(target))
            moved = time.monotonic()
            await here.until("web", type="Programmed", generation=2 + number)
            served.add((await here.get()).header("x-origin"))
            await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - moved)))  # one change each 100 ms, as asked
    assert here.runtime.controller.board.lines[key].status.observed_generation == 201
    assert_none_failed(result)
    await assert_untouched(here)


async def test_a_new_version_of_an_origin_takes_over(two_origins: Standalone) -> None:
    here = two_origins
    async with load(here.port, connections=3) as result:
        for number in range(5):
            here.write(service("a", VERSION=str(number)) + service("b") + route("a"))
            await here.until("a", kind="OriginService", generation=2 + number)
    assert_none_failed(result)
    await assert_untouched(here)


async def test_an_origin_is_removed_after_its_route_has_left_it(two_origins: Standalone) -> None:
    here = two_origins
    async with load(here.port, connections=3) as result:
        here.write(service("b") + route("b"))
        await here.until("web", type="Programmed", generation=2)
        gone = ObjectKey("OriginService", "default", "a")
        await eventually(lambda: gone not in here.runtime.controller.store.observations)
    assert_none_failed(result)


async def test_an_origin_that_is_removed_while_in_use_finishes_what_it_has_and_then_the_rule_says_500(
    two_origins: Standalone,
) -> None:
    here = two_origins
    slow = asyncio.create_task(here.get("/?delay=2s"))
    await eventually(lambda: here.get("/"))
    here.write(service("b") + route("a"))
    await here.until("web", "False", "ResolvedRefs")
    await eventually(lambda: _status_is(here, 500))
    assert (await slow).status == 200


async def _status_is(here: Standalone, status: int) -> bool:
    return (await here.get("/")).status == status


async def test_long_streams_survive_every_edit(tmp_path: Path) -> None:
    async with origin("a") as a, origin("b") as b:
        text = """
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: web}}
spec: {{rules: [{{origins: [{{url: "http://127.0.0.1:{port}"}}], responseHeaders: {{set: {{x-edit: "{number}"}}}}}}]}}
"""
        async with standalone(tmp_path, text.format(port=a.port, number=0)) as here:
            await here.until("web")
            stream = asyncio.create_task(here.get("/?stream=6"))
            started = time.monotonic()
            number = 0
            while time.monotonic() - started < 5:
                number += 1
                here.write(text.format(port=(a, b)[number % 2].port, number=number))
                await here.until("web", type="Programmed", generation=1 + number)
            answer = await stream
            assert number > 20
            assert answer.status == 200
            assert len(answer.body.splitlines()) >= 55
            await assert_untouched(here)


async def test_envoy_is_killed_and_serves_again(two_origins: Standalone) -> None:
    here = two_origins
    assert here.runtime.edge
    before = here.runtime.edge.pid
    assert before
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: here.runtime.edge and here.runtime.edge.pid not in (None, before))
    await eventually(lambda: _status_is(here, 200))
    await here.until("web")


async def test_a_bad_edit_disturbs_nothing_that_serves(two_origins: Standalone) -> None:
    here = two_origins
    async with load(here.port, connections=3) as result:
        bad = route("a").replace("rules:", "ruls:")
        here.write(service("a") + service("b") + bad)
        refused = await here.until("web", "False", "Accepted", generation=2)
        here.write("{ this is: [not, YAML")
        await eventually(lambda: bool(here.audience.found))
        here.write(service("a") + service("b") + route("b"))
        await here.until("web", generation=3)
    assert 'unknown field "spec.ruls"' in refused.message
    assert_none_failed(result)
