"""Revisions of an OriginService come, fail and go under load, as processes of this machine, and no request is lost."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.translate.phases import OriginPhase
from local.harness import marked
from support.load import Result, load
from support.poll import eventually
from support.standalone import Standalone, standalone

pytestmark = [pytest.mark.envoy, pytest.mark.load]

ECHO = Path(__file__).parents[1] / "support" / "origins.py"
SERVES = ("python3", str(ECHO))
BREAKS = ("python3", "-c", "raise SystemExit('no database')")
SHOP = """
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: shop}
spec: {rules: [{origins: [{service: {name: cart}}]}]}
---"""


def cart(
    answers: str,
    *,
    guard: str = "Disabled",
    name: str = "",
    traffic: str = "[{latestRevision: true, percent: 100}]",
    duration: str = "0s",
    command: tuple[str, ...] = SERVES,
) -> str:
    """The route and the service, whose newest revision answers with that name."""
    return f"""{SHOP}
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: cart}}
spec:
  guard: {guard}
  traffic: {traffic}
  rollout: {{duration: {duration}}}
  template:
    metadata: {{{f"name: {name}" if name else ""}}}
    spec: {{containers: [{{command: {json.dumps(command)}, env: [{{name: NAME, value: {answers}}}]}}]}}
"""


@pytest.fixture(params=["Disabled", "Enabled"])
def guard(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def here(tmp_path: Path, guard: str) -> AsyncIterator[Standalone]:
    async with standalone(tmp_path, cart("first", guard=guard)) as here:
        await here.until("cart", kind="OriginService")
        await here.until("shop")
        yield here


async def until_answers(here: Standalone, name: str) -> None:
    async def answers() -> bool:
        found = (await here.get()).header("x-origin")
        assert found == name
        return True

    await eventually(answers)


async def until_only(here: Standalone, revisions: int, *, guard: str) -> None:
    """Of so many revisions there are processes, and of no others."""
    each = 2 if guard == "Enabled" else 1
    await eventually(lambda: len(processes(here)) == revisions * each)


def processes(here: Standalone) -> set[int]:
    """Those of origins and of their guards."""
    assert here.runtime.edge
    return marked(here.instance_id) - {here.runtime.edge.pid}


def assert_none_failed(result: Result) -> None:
    assert result.answered > 100
    assert result.failed == 0, result


async def test_twenty_revisions_take_over_one_after_the_other(here: Standalone, guard: str) -> None:
    async with load(here.port, connections=3) as result:
        for number in range(20):
            here.write(cart(f"number-{number}", guard=guard))
            await until_answers(here, f"number-{number}")
        await until_only(here, 1, guard=guard)
    assert_none_failed(result)


async def test_twenty_changes_of_which_nobody_waits_for_the_one_before(here: Standalone, guard: str) -> None:
    async with load(here.port, connections=3) as result:
        for number in range(20):
            here.write(cart(f"number-{number}", guard=guard))
            told = 2 + number
            await here.until("cart", type="Accepted", kind="OriginService", generation=told)
        await until_answers(here, "number-19")
        await until_only(here, 1, guard=guard)
    assert_none_failed(result)


async def test_a_revision_that_breaks_gets_no_request_and_the_next_one_does(here: Standalone, guard: str) -> None:
    async with load(here.port, connections=3) as result:
        here.write(cart("broken", guard=guard, command=BREAKS))
        await until_broken(here, 2)
        assert (await here.get()).header("x-origin") == "first"
        here.write(cart("mended", guard=guard))
        await until_answers(here, "mended")
        await until_only(here, 1, guard=guard)
        assert (await here.get()).header("x-origin") == "mended"
    assert_none_failed(result)


async def until_broken(here: Standalone, number: int) -> None:
    def told() -> bool:
        revision = ObjectKey("OriginRevision", "default", f"cart-{number:05d}")
        seen = here.runtime.controller.store.observations.get(revision)
        assert seen, "nothing was observed"
        assert "no database" in seen.message, seen
        return seen.phase is OriginPhase.FAILED

    await eventually(told)


async def test_traffic_goes_back_to_an_older_revision_that_has_no_process_any_more(
    here: Standalone, guard: str
) -> None:
    async with load(here.port, connections=3) as result:
        here.write(cart("second", guard=guard))
        await until_answers(here, "second")
        await until_only(here, 1, guard=guard)
        here.write(cart("second", guard=guard, traffic="[{revisionName: cart-00001, percent: 100}]"))
        await until_answers(here, "first")
        await until_only(here, 1, guard=guard)
    assert_none_failed(result)


async def test_a_named_template_that_comes_back_is_its_revision_again(tmp_path: Path) -> None:
    blue, green = cart("blue", name="cart-blue"), cart("green", name="cart-green")
    async with standalone(tmp_path, blue) as here:
        await until_answers(here, "blue")
        async with load(here.port, connections=3) as result:
            for _ in range(3):
                here.write(green)
                await until_answers(here, "green")
                here.write(blue)
                await until_answers(here, "blue")
        names = {key.name for key in here.runtime.controller.store.observations}
    assert names == {"cart-blue", "cart-green"}
    assert_none_failed(result)


async def test_a_gradual_rollout_lets_both_answer_and_then_the_new_one(here: Standalone, guard: str) -> None:
    async with load(here.port, connections=3) as result:
        here.write(cart("second", guard=guard, duration="10s"))
        await eventually(lambda: both_answer(here))
        await until_only(here, 1, guard=guard)
        assert (await here.get()).header("x-origin") == "second"
    assert_none_failed(result)


async def both_answer(here: Standalone) -> bool:
    return {(await here.get()).header("x-origin") for _ in range(100)} == {"first", "second"}


async def test_streams_of_a_program_that_ends_at_once_outlive_its_requests(here: Standalone, guard: str) -> None:
    before = processes(here)
    async with load(here.port, connections=3) as result:
        streams = [asyncio.create_task(stream(here, "first", for_s=8)) for _ in range(5)]
        await eventually(lambda: result.answered > 100, within_s=10)
        here.write(cart("second", guard=guard))
        await until_answers(here, "second")
        await eventually(lambda: not wanted(here, "cart-00001"), within_s=30)
        _, cut = await asyncio.wait(streams, timeout=1)
        assert not cut, "its replicas were to end before they were done"
        await asyncio.gather(*streams)
        await eventually(lambda: not before & processes(here), within_s=20)
    assert_none_failed(result)


def wanted(here: Standalone, revision: str) -> int:
    """How many replicas it is to have."""
    assert here.runtime.controller.published
    return next(one.replicas for one in here.runtime.controller.published.plan.running if one.key.name == revision)


async def stream(here: Standalone, name: str, *, for_s: int) -> None:
    answer = await here.get(f"/?stream={for_s}s")
    assert answer.status == 200
    lines = answer.body.splitlines()
    assert lines == [f"{name} {number}" for number in range(10 * for_s)]


async def test_a_long_request_outlives_its_revision(here: Standalone, guard: str) -> None:
    async with load(here.port, connections=1, path="/?delay=3s") as slow, load(here.port, connections=3) as result:
        for number in range(4):
            here.write(cart(f"number-{number}", guard=guard))
            await until_answers(here, f"number-{number}")
        await eventually(lambda: slow.answered >= 2)
    assert not slow.failed, slow
    assert_none_failed(result)
