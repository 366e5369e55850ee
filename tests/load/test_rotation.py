"""Keys change all the time, edges and guards are real, and no request is the worse for it."""

import asyncio
import ssl
from datetime import timedelta

import pytest

from edgerun.credentials.keyring import Policy
from support.load import load
from support.poll import eventually
from support.ring import HOST, LIFE, QUICK, SECOND, Plane, ring

pytestmark = [pytest.mark.envoy, pytest.mark.load]
ROTATIONS = 100
PAUSE_S = 0.002
CALM = Policy(interval=timedelta(hours=24), overlap=timedelta(hours=24))


async def test_a_hundred_rotations_fail_no_request() -> None:
    async with ring() as here:
        kids = set[str]()
        async with load(here.edge.port, host=HOST, connections=3, pause_s=PAUSE_S) as result:
            while len(here.plane.events) < ROTATIONS:
                signing = here.plane.issuing.holder.keys.signing
                kids |= {signing.kid} if signing else set()
                await asyncio.sleep(0.05)
        assert result.failed == 0, result
        assert result.answered > 1_000
        assert len(kids) > ROTATIONS / 2
        assert here.plane.events == ["rotated"] * len(here.plane.events)


async def test_ten_revocations_cost_nothing_and_each_old_token_is_refused_for_good() -> None:
    async with ring(policy=CALM) as here, load(here.edge.port, host=HOST, pause_s=PAUSE_S) as result:
        tls = here.plane.as_edge(here.folder)
        for _ in range(10):
            await revoked(here.plane, next(iter(here.plane.guards.values())), tls)
            await here.settled()
            await asyncio.sleep(0.5)
    assert result.failed == 0, result
    assert here.plane.events == ["revoked"] * 10


async def revoked(plane: Plane, port: int, tls: ssl.SSLContext) -> None:
    """Return when a guard lets nobody through with the old token any more."""
    headers = {"x-edgerun-authorization": f"Bearer {plane.token}"}
    async with load(port, host="app", tls=tls, headers=headers, connections=2, pause_s=PAUSE_S) as result:
        await eventually(lambda: result.statuses[200] > 10)
        assert result.failed == 0, result
        await plane.revoke()
        await eventually(lambda: result.statuses[401] > 10)
        good = result.statuses[200]
        await eventually(lambda: result.statuses[401] > 30)
        assert result.statuses[200] == good, "it never comes back"


async def test_the_control_plane_dies_again_and_again_and_goes_on_rotating() -> None:
    async with (
        ring(policy=QUICK) as here,
        load(here.edge.port, host=HOST, connections=3, pause_s=PAUSE_S) as result,
    ):
        for number in range(15):
            await asyncio.sleep(1.2 + number / 15)
            await here.plane.die()
            await asyncio.sleep(0.1 * (number % 3))
            await here.plane.begin()
        await here.settled()
        await eventually(lambda: len(here.plane.events) > 10)
    assert result.failed == 0, result


async def test_without_a_control_plane_requests_go_on_for_the_life_of_a_token() -> None:
    calm = Policy(interval=timedelta(hours=24), overlap=timedelta(hours=24))
    async with ring(policy=calm) as here, load(here.edge.port, host=HOST, pause_s=PAUSE_S) as result:
        await here.plane.die()
        await asyncio.sleep((LIFE / 2 - SECOND / 2).total_seconds())
        await here.plane.begin()
        await here.settled()
        await asyncio.sleep(2)
    assert result.failed == 0, result
