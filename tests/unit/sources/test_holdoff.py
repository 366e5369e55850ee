"""When to rebuild, in virtual time: no test here waits for real."""

import asyncio

import pytest

from edgerun.sources.holdoff import HoldOff

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_one_change_is_acted_upon_after_a_moment_of_quiet() -> None:
    holdoff = HoldOff(quiet_s=0.02, limit_s=0.25)
    started = now()
    holdoff.mark(urgent=False)
    await holdoff.settled()
    assert now() - started == pytest.approx(0.02)


async def test_a_burst_is_one_rebuild() -> None:
    holdoff = HoldOff(quiet_s=0.02, limit_s=0.25)
    settled = asyncio.create_task(holdoff.settled())
    for _ in range(5):
        holdoff.mark(urgent=False)
        await asyncio.sleep(0.01)
    assert not settled.done()
    await settled
    assert not holdoff.pending


async def test_a_source_that_never_falls_silent_is_served_at_the_limit() -> None:
    holdoff = HoldOff(quiet_s=0.02, limit_s=0.25)
    started = now()
    settled = asyncio.create_task(holdoff.settled())
    while not settled.done():
        holdoff.mark(urgent=False)
        await asyncio.sleep(0.01)
    assert now() - started == pytest.approx(0.25, abs=0.02)


async def test_what_requests_depend_on_waits_for_nothing() -> None:
    holdoff = HoldOff(quiet_s=0.02, limit_s=0.25)
    started = now()
    settled = asyncio.create_task(holdoff.settled())
    holdoff.mark(urgent=False)
    await asyncio.sleep(0.005)
    holdoff.mark(urgent=True)
    await settled
    assert now() - started == pytest.approx(0.005)


async def test_a_change_after_the_rebuild_has_begun_counts_for_the_next_one() -> None:
    holdoff = HoldOff(quiet_s=0.02, limit_s=0.25)
    holdoff.mark(urgent=True)
    await holdoff.settled()
    assert not holdoff.pending
    holdoff.mark(urgent=False)
    assert holdoff.pending
    await holdoff.settled()


async def test_nothing_is_rebuilt_while_nothing_changes() -> None:
    holdoff = HoldOff()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(holdoff.settled(), 3600)
