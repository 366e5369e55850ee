"""Several replicas of one origin: how many run, which ones leave, and how a new version replaces them all."""

import asyncio

from edgerun.api.originservice import OriginService
from edgerun.translate.phases import OriginPhase
from edgerun.translate.world import OriginObservation
from local.harness import House, ask, origin, steadily
from support.poll import eventually


def greeting(word: str, generation: int) -> OriginService:
    return origin(env={"GREETING": word}, generation=generation)


async def until_serving(house: House, replicas: int, *, generation: int = 1) -> OriginObservation:
    def all_there(seen: OriginObservation) -> bool:
        complete = seen.phase is OriginPhase.READY and not seen.message
        return complete and (len(seen.endpoints), seen.generation) == (replicas, generation)

    return await house.until(all_there)


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


async def test_a_new_version_replaces_them_one_by_one_and_never_too_few_serve(house: House) -> None:
    house.apply(greeting("one", 1), replicas=3)
    await until_serving(house, 3)
    house.apply(greeting("two", 2), replicas=3)
    seen = await until_serving(house, 3, generation=2)
    assert [await ask(endpoint.port) for endpoint in seen.endpoints] == ["two"] * 3
    sizes = [len(seen.endpoints) for seen in house.observations() if seen and seen.generation == 2]
    assert set(sizes) == {3}
    await eventually(lambda: len(house.pids()) == 3)


async def test_a_version_that_fails_takes_no_replica_of_the_one_before(house: House) -> None:
    house.apply(greeting("one", 1), replicas=2)
    before = await until_serving(house, 2)
    house.apply(origin("raise SystemExit('no database')", generation=2), replicas=2)
    seen = await house.until(lambda seen: "no database" in seen.message)
    assert (seen.phase, seen.endpoints) == (OriginPhase.FAILED, before.endpoints)
    house.apply(greeting("one", 3), replicas=2)
    assert (await until_serving(house, 2, generation=3)).endpoints == before.endpoints


async def test_one_that_does_not_start_is_told_while_the_others_serve(house: House) -> None:
    house.apply(origin(), replicas=1)
    await until_serving(house, 1)
    house.apply(origin(), replicas=2)
    await until_serving(house, 2)
    crashed = house.observed()
    assert crashed
    assert await ask(crashed.endpoints[0].port, "/quit") == "bye"
    seen = await house.until(lambda seen: bool(seen.message))
    assert (seen.phase, len(seen.endpoints)) == (OriginPhase.READY, 1)
    assert seen.message.startswith("1 of 2 replicas take requests; CrashLoopBackOff: exit code 7")
    await until_serving(house, 2)


async def test_who_does_not_serve_leaves_first(house: House) -> None:
    house.apply(greeting("one", 1), replicas=2)
    seen = await until_serving(house, 2)
    assert await ask(seen.endpoints[0].port, "/quit") == "bye"
    await house.until(lambda seen: len(seen.endpoints) == 1)
    house.apply(greeting("one", 1), replicas=1)
    assert (await until_serving(house, 1)).endpoints == seen.endpoints[1:]
