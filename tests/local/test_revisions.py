"""Revisions side by side: which ones run, what becomes of those that are no more, and of those that do not come up."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from edgerun.api.originservice import OriginService
from edgerun.infra.local import procfs
from edgerun.translate.phases import OriginPhase
from local.harness import FIRST, IMPATIENT, PAY, SECOND, SERVER, House, ask, housed, origin, revision, steadily
from support.poll import eventually


def greeting(word: str) -> OriginService:
    return origin(env={"GREETING": word})


async def test_two_revisions_run_side_by_side_each_observed_by_itself(house: House) -> None:
    house.apply(revision(greeting("one"), 1), revision(greeting("two"), 2, replicas=2))
    (first,) = (await house.until_ready(FIRST)).endpoints
    second = (await house.until_ready(SECOND, replicas=2)).endpoints
    assert [await ask(endpoint.port) for endpoint in (first, *second)] == ["one", "two", "two"]
    assert len(house.pids()) == 3


async def test_a_new_revision_touches_nothing_of_those_that_serve(house: House) -> None:
    house.apply(greeting("one"))
    await house.until_ready()
    told = house.observations()
    house.apply(revision(greeting("one")), revision(greeting("two"), 2))
    await house.until_ready(SECOND)
    assert house.observations() == told


async def test_a_removed_revision_serves_until_the_proxies_know_and_then_ends(house: House) -> None:
    house.apply(revision(greeting("one"), 1), revision(greeting("two"), 2))
    (endpoint,) = (await house.until_ready()).endpoints
    await house.until_ready(SECOND)
    house.may_acknowledge.clear()
    house.apply(revision(greeting("two"), 2))
    await steadily(lambda: house.observed() is not None and len(house.pids()) == 2)
    assert await ask(endpoint.port) == "one"
    house.may_acknowledge.set()
    await eventually(lambda: house.observed() is None)
    await eventually(lambda: len(house.pids()) == 1)
    assert house.observed(SECOND) is not None


async def test_a_request_that_is_under_way_when_its_revision_is_removed_is_finished(house: House) -> None:
    slow = "import time\n" + SERVER.replace("body = greeting if", "time.sleep(1.5); body = greeting if")
    house.apply(revision(origin(slow), 1), revision(greeting("two"), 2))
    (endpoint,) = (await house.until_ready()).endpoints
    asked = asyncio.create_task(ask(endpoint.port), name="a long request")
    await eventually(lambda: procfs.connections(endpoint.port))
    house.apply(revision(greeting("two"), 2))
    await eventually(lambda: house.observed() is None)
    assert not asked.done()
    assert await asked == "hello"
    await eventually(lambda: len(house.pids()) == 1)


async def test_the_wait_for_connections_has_an_end(tmp_path: Path) -> None:
    async with housed(tmp_path, timing=replace(IMPATIENT, drain_s=1)) as house:
        house.apply(greeting("one"))
        (endpoint,) = (await house.until_ready()).endpoints
        _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        house.apply()
        await eventually(lambda: not house.pids())
        writer.close()


async def test_a_revision_that_crashes_leaves_the_one_before_serving(house: House) -> None:
    house.apply(greeting("one"))
    (endpoint,) = (await house.until_ready()).endpoints
    told = house.observations()
    house.apply(revision(greeting("one")), revision(origin("raise SystemExit('no database')"), 2))
    seen = await house.until(lambda seen: "no database" in seen.message, SECOND)
    assert (seen.phase, seen.reason, seen.endpoints) == (OriginPhase.FAILED, "CrashLoopBackOff", ())
    assert house.observations() == told
    assert await ask(endpoint.port) == "one"


async def test_a_revision_whose_command_is_nowhere_leaves_the_one_before_serving(house: House) -> None:
    house.apply(greeting("one"))
    (endpoint,) = (await house.until_ready()).endpoints
    house.apply(revision(greeting("one")), revision(origin(command=("no-such-thing",)), 2))
    assert (await house.until_reason("CommandNotFound", SECOND)).phase is OriginPhase.FAILED
    assert await ask(endpoint.port) == "one"


async def test_a_revision_that_never_listens_is_dropped_without_a_wait(house: House) -> None:
    house.apply(greeting("one"))
    await house.until_ready()
    told = house.observations()
    house.apply(revision(greeting("one")), revision(origin("import time; time.sleep(60)"), 2))
    assert (await house.until_reason("NotListening", SECOND)).phase is OriginPhase.STARTING
    house.apply(revision(greeting("one")))
    await eventually(lambda: len(house.pids()) == 1)
    assert house.observed(SECOND) is None
    assert house.observations() == told


async def test_many_changes_at_once_end_with_one_process_of_the_last(house: House) -> None:
    for number in range(1, 12):
        house.apply(revision(greeting(f"number {number}"), number))
        await asyncio.sleep(0)
    seen = await house.until_ready(FIRST._replace(name="cart-00011"))
    assert await ask(seen.endpoints[0].port) == "number 11"
    await eventually(lambda: len(house.pids()) == 1)


async def test_what_is_not_the_template_restarts_nothing(house: House) -> None:
    house.apply(greeting("one"))
    await house.until_ready()
    told = len(house.history)
    metadata = msgspec.structs.replace(greeting("one").metadata, generation=2, labels={"team": "shop"})
    house.apply(msgspec.structs.replace(greeting("one"), metadata=metadata))
    assert len(house.history) == told
    await steadily(lambda: len(house.pids()) == 1, for_s=0.2)


async def test_a_process_is_told_its_service_and_its_revision_and_so_is_who_reads_its_output(house: House) -> None:
    script = "import os; print(os.environ['K_SERVICE'], os.environ['K_REVISION'], flush=True)"
    house.apply(revision(origin(script), 1), revision(origin(script), 2))
    await eventually(lambda: house.lines("shop/cart-00001")[:1] == ["cart cart-00001"])
    await eventually(lambda: house.lines("shop/cart-00002")[:1] == ["cart cart-00002"])


async def test_a_revision_that_comes_back_while_it_leaves_is_not_reported_gone(house: House) -> None:
    house.apply(greeting("one"))
    await house.until_ready()
    house.may_acknowledge.clear()
    house.apply()
    house.apply(greeting("back"))
    await eventually(lambda: len(house.pids()) == 2)
    seen = await house.until_ready()
    house.may_acknowledge.set()
    await eventually(lambda: len(house.pids()) == 1)
    assert None not in house.observations()
    assert await ask(seen.endpoints[0].port) == "back"


async def test_stop_does_not_wait_for_proxies_or_connections(house: House) -> None:
    house.apply(greeting("one"), origin(name="pay"))
    (endpoint,) = (await house.until_ready()).endpoints
    await house.until_ready(PAY)
    _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    house.may_acknowledge.clear()
    house.apply(revision(greeting("two"), 2))
    await house.until_ready(SECOND)
    await asyncio.wait_for(house.origins.stop(), 2)
    assert not house.pids()
    with suppress(ConnectionError):
        writer.close()


async def test_what_was_applied_before_the_run_starts_with_it(house: House) -> None:
    names = [f"o{n}" for n in range(12)]
    house.apply(*(origin(name=name) for name in names))
    for name in names:
        await house.until_ready(FIRST._replace(name=f"{name}-00001"))
    assert len(house.pids()) == 12
