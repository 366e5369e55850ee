"""Changes of what is wanted: make before break, and what happens when the new one does not come up."""

import asyncio
from contextlib import suppress

import msgspec

from edgerun.api.originservice import OriginService
from edgerun.translate.phases import OriginPhase
from local.harness import CART, House, ask, origin, steadily
from support.poll import eventually


def greeting(word: str, generation: int) -> OriginService:
    return origin(env={"GREETING": word}, generation=generation)


async def test_a_new_template_takes_over_without_a_gap(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    await house.until_ready()
    answers: list[str] = []

    async def client() -> None:
        """As the edge does: whatever endpoint is observed now is asked."""
        while True:
            seen = house.observed()
            assert seen is not None
            answers.append(await ask(seen.endpoints[0].port))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(client(), name="client")
        for generation in range(2, 6):
            house.origins.apply((greeting(f"number {generation}", generation),))
            await house.until_ready(generation=generation)
            await eventually(lambda word=f"number {generation}": answers[-1:] == [word])
        asking.cancel()
    assert all(seen and seen.endpoints for seen in house.observations()[2:])
    await eventually(lambda: len(house.pids()) == 1)


async def test_the_old_replica_stays_until_the_proxies_know_the_new_one(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    old = (await house.until_ready()).endpoints[0]
    house.may_acknowledge.clear()
    house.origins.apply((greeting("two", 2),))
    await house.until_ready(generation=2)
    await steadily(lambda: len(house.pids()) == 2)
    assert await ask(old.port) == "one"
    house.may_acknowledge.set()
    await eventually(lambda: len(house.pids()) == 1)


async def test_the_old_replica_stays_while_somebody_is_connected(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    old = (await house.until_ready()).endpoints[0]
    reader, writer = await asyncio.open_connection("127.0.0.1", old.port)
    house.origins.apply((greeting("two", 2),))
    await house.until_ready(generation=2)
    await eventually(lambda: house.acks == 1)
    for _ in range(5):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"one" in await reader.read(1000)
    writer.close()
    await eventually(lambda: len(house.pids()) == 1, within_s=2)


async def test_the_wait_for_connections_has_an_end(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    old = (await house.until_ready()).endpoints[0]
    _, writer = await asyncio.open_connection("127.0.0.1", old.port)
    house.origins.apply((greeting("two", 2),))
    await house.until_ready(generation=2)
    await eventually(lambda: len(house.pids()) == 1, within_s=6)
    writer.close()


async def test_a_new_version_that_crashes_leaves_the_old_one_serving(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    old = (await house.until_ready()).endpoints
    house.origins.apply((origin("raise SystemExit('no database')", generation=2),))
    seen = await house.until(lambda seen: "no database" in seen.message)
    assert (seen.generation, seen.phase, seen.reason) == (2, OriginPhase.FAILED, "CrashLoopBackOff")
    assert seen.endpoints == old
    assert await ask(old[0].port) == "one"


async def test_a_new_version_that_never_listens_leaves_the_old_one_serving(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    old = (await house.until_ready()).endpoints
    house.origins.apply((origin("import time; time.sleep(60)", generation=2),))
    seen = await house.until_reason("NotListening")
    assert (seen.generation, seen.phase, seen.endpoints) == (2, OriginPhase.STARTING, old)


async def test_a_revert_drops_the_new_version_and_restarts_nothing(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    old = (await house.until_ready()).endpoints
    house.origins.apply((origin("import time; time.sleep(60)", generation=2),))
    await house.until_reason("NotListening")
    house.origins.apply((greeting("one", 3),))
    seen = await house.until_ready(generation=3)
    assert seen.endpoints == old
    await eventually(lambda: len(house.pids()) == 1)


async def test_another_change_replaces_the_version_that_is_starting(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    await house.until_ready()
    house.origins.apply((origin("import time; time.sleep(60)", generation=2),))
    house.origins.apply((greeting("three", 3),))
    seen = await house.until_ready(generation=3)
    assert await ask(seen.endpoints[0].port) == "three"
    await eventually(lambda: len(house.pids()) == 1)


async def test_many_changes_at_once_end_with_one_process_of_the_last(house: House) -> None:
    for generation in range(1, 12):
        house.origins.apply((greeting(f"number {generation}", generation),))
        await asyncio.sleep(0)
    seen = await house.until_ready(generation=11)
    assert await ask(seen.endpoints[0].port) == "number 11"
    await eventually(lambda: len(house.pids()) == 1)


async def test_what_is_not_the_template_restarts_nothing(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    old = (await house.until_ready()).endpoints
    relabelled = msgspec.structs.replace(
        greeting("one", 2), metadata=msgspec.structs.replace(greeting("one", 2).metadata, labels={"team": "shop"})
    )
    house.origins.apply((relabelled,))
    assert (await house.until_ready(generation=2)).endpoints == old
    told = len(house.history)
    house.origins.apply((relabelled,))
    assert len(house.history) == told


async def test_each_change_of_the_template_is_a_revision(house: House) -> None:
    for generation in (1, 2):
        script = f"import os; print({generation}, os.environ['K_REVISION'], flush=True)"
        house.origins.apply((origin(script, generation=generation),))
        await eventually(lambda seen=str(generation): any(line.startswith(seen) for line in house.lines()))
    assert {"1 cart-00001", "2 cart-00002"} <= set(house.lines())


async def test_a_removed_origin_serves_until_the_proxies_know_and_then_ends(house: House) -> None:
    house.origins.apply((greeting("one", 1), origin(name="pay")))
    port = (await house.until_ready()).endpoints[0].port
    await house.until_ready(CART._replace(name="pay"))
    house.may_acknowledge.clear()
    house.origins.apply((origin(name="pay"),))
    await steadily(lambda: house.observed() is not None and len(house.pids()) == 2)
    assert await ask(port) == "one"
    house.may_acknowledge.set()
    await eventually(lambda: house.observed() is None)
    await eventually(lambda: len(house.pids()) == 1)
    assert house.observed(CART._replace(name="pay")) is not None


async def test_an_origin_that_comes_back_while_it_leaves_is_not_reported_gone(house: House) -> None:
    house.origins.apply((greeting("one", 1),))
    await house.until_ready()
    house.may_acknowledge.clear()
    house.origins.apply(())
    house.origins.apply((greeting("back", 2),))
    seen = await house.until_ready(generation=2)
    house.may_acknowledge.set()
    await eventually(lambda: len(house.pids()) == 1)
    assert None not in house.observations()
    assert await ask(seen.endpoints[0].port) == "back"


async def test_stop_does_not_wait_for_proxies_or_connections(house: House) -> None:
    house.origins.apply((greeting("one", 1), origin(name="pay")))
    old = (await house.until_ready()).endpoints[0]
    _, writer = await asyncio.open_connection("127.0.0.1", old.port)
    house.may_acknowledge.clear()
    house.origins.apply((greeting("two", 2),))
    await house.until_ready(generation=2)
    await asyncio.wait_for(house.origins.stop(), 2)
    assert not house.pids()
    with suppress(ConnectionError):
        writer.close()


async def test_what_was_applied_before_the_run_starts_with_it(house: House) -> None:
    origins = [origin(name=f"o{n}") for n in range(12)]
    house.origins.apply(tuple(origins))
    for one in origins:
        await house.until_ready(one.key)
    assert len(house.pids()) == 12
