"""The replicas of one revision: how many run, from none on, and which ones leave."""

import asyncio
from dataclasses import replace
from pathlib import Path

from edgerun.translate.phases import OriginPhase
from edgerun.translate.world import OriginObservation
from local.harness import IMPATIENT, House, ask, housed, origin, revision, steadily
from support.poll import eventually


async def until_serving(house: House, replicas: int) -> OriginObservation:
    """All that are wanted, and nobody else."""
    seen = await house.until_ready(replicas=replicas)
    assert (seen.replicas, seen.message) == (replicas, "")
    return seen


async def until_asleep(house: House) -> None:
    seen = await house.until(lambda seen: seen.replicas == 0)
    assert (seen.phase, seen.endpoints, seen.reason) == (OriginPhase.PENDING, (), "")
    await eventually(lambda: not house.pids())


async def test_as_many_run_as_are_wanted_each_on_a_port_of_its_own(house: House) -> None:
    house.apply(origin(), replicas=3)
    seen = await until_serving(house, 3)
    assert len({endpoint.port for endpoint in seen.endpoints}) == 3
    assert [await ask(endpoint.port) for endpoint in seen.endpoints] == ["hello"] * 3
    await eventually(lambda: len(house.pids()) == 3)


async def test_more_are_added_to_those_that_serve(house: House) -> None:
    house.apply(origin())
    before = await until_serving(house, 1)
    house.apply(origin(), replicas=3)
    after = await until_serving(house, 3)
    assert set(before.endpoints) < set(after.endpoints)
    assert {seen.phase for seen in house.observations()[2:] if seen} == {OriginPhase.READY}


async def test_fewer_leave_only_when_the_proxies_know_and_nobody_is_connected(house: House) -> None:
    house.apply(origin(), replicas=3)
    three = await until_serving(house, 3)
    house.may_acknowledge.clear()
    house.apply(origin(), replicas=1)
    one = await until_serving(house, 1)
    (gone, _) = [endpoint for endpoint in three.endpoints if endpoint not in one.endpoints]
    await steadily(lambda: len(house.pids()) == 3, for_s=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", gone.port)
    house.may_acknowledge.set()
    await eventually(lambda: len(house.pids()) == 2)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert b"hello" in await reader.read(1000)
    writer.close()
    await eventually(lambda: len(house.pids()) == 1)
    assert await ask(one.endpoints[0].port) == "hello"


async def test_a_revision_may_have_none_and_then_has_no_process(house: House) -> None:
    house.apply(origin(), replicas=0)
    await until_asleep(house)
    assert len(house.observations()) == 1


async def test_it_tells_the_epoch_that_it_was_told(house: House) -> None:
    house.apply(origin())
    assert (await until_serving(house, 1)).epoch == 0
    house.apply(replace(revision(origin()), epoch=7, before=3))
    told = await house.until(lambda seen: seen.epoch == 7)
    assert (told.before, len(told.endpoints)) == (3, 1)


async def test_none_become_three_and_none_again(house: House) -> None:
    house.apply(origin(), replicas=0)
    await until_asleep(house)
    house.apply(origin(), replicas=3)
    await until_serving(house, 3)
    house.apply(origin(), replicas=0)
    await until_asleep(house)


async def test_the_last_one_leaves_only_when_the_proxies_know_and_its_request_is_done(house: House) -> None:
    house.apply(origin())
    (endpoint,) = (await until_serving(house, 1)).endpoints
    house.may_acknowledge.clear()
    house.apply(origin(), replicas=0)
    await house.until(lambda seen: not seen.endpoints)
    await steadily(lambda: len(house.pids()) == 1, for_s=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    house.may_acknowledge.set()
    await eventually(lambda: house.acks == 1)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert b"hello" in await reader.read(1000)
    writer.close()
    await until_asleep(house)


async def test_who_comes_back_from_none_does_not_wait_for_who_leaves(house: House) -> None:
    house.apply(origin())
    (before,) = (await until_serving(house, 1)).endpoints
    house.may_acknowledge.clear()
    house.apply(origin(), replicas=0)
    house.apply(origin())
    (after,) = (await until_serving(house, 1)).endpoints
    assert after.port != before.port
    assert await ask(after.port) == "hello"
    house.may_acknowledge.set()
    await eventually(lambda: len(house.pids()) == 1)


async def test_back_from_none_it_starts_without_a_pause(tmp_path: Path) -> None:
    async with housed(tmp_path, timing=replace(IMPATIENT, first_pause_s=600, longest_pause_s=600)) as house:
        house.apply(origin(), replicas=0)
        for _ in range(5):
            house.apply(origin())
            await until_serving(house, 1)
            house.apply(origin(), replicas=0)
            await until_asleep(house)


async def test_of_a_broken_revision_without_replicas_it_is_not_said_that_it_is_ready(house: House) -> None:
    house.apply(origin("raise SystemExit('no database')"))
    await house.until(lambda seen: "no database" in seen.message)
    house.apply(origin("raise SystemExit('no database')"), replicas=0)
    await until_asleep(house)


async def test_one_that_does_not_start_is_told_while_the_others_serve(house: House) -> None:
    house.apply(origin(), replicas=1)
    await until_serving(house, 1)
    house.apply(origin(), replicas=2)
    crashed = await until_serving(house, 2)
    assert await ask(crashed.endpoints[0].port, "/quit") == "bye"
    seen = await house.until(lambda seen: bool(seen.message))
    assert (seen.phase, len(seen.endpoints)) == (OriginPhase.READY, 1)
    assert seen.message.startswith("1 of 2 replicas take requests; CrashLoopBackOff: exit code 7")
    await until_serving(house, 2)


async def test_who_does_not_serve_leaves_first(house: House) -> None:
    house.apply(origin(), replicas=2)
    seen = await until_serving(house, 2)
    assert await ask(seen.endpoints[0].port, "/quit") == "bye"
    await house.until(lambda seen: len(seen.endpoints) == 1)
    house.apply(origin(), replicas=1)
    assert (await until_serving(house, 1)).endpoints == seen.endpoints[1:]
