"""The ages by which a cluster source is judged, before its watches begin. The rest needs an API server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from edgerun.access import Access
from edgerun.api.resources import RESOURCES
from edgerun.errors import UnavailableError
from edgerun.sources.cluster import Cluster, Lister, Object
from edgerun.sources.kubernetes import Watched


async def nobody() -> Access:
    raise AssertionError("nothing is watched before everything is listed")


async def no_answer(kind: str, *, namespace: str, label_selector: str) -> Sequence[Object]:
    raise UnavailableError("connection refused")


async def never(kind: str, *, namespace: str, label_selector: str) -> Sequence[Object]:
    await asyncio.Event().wait()
    return ()


@asynccontextmanager
async def running(lister: Lister) -> AsyncIterator[Cluster]:
    cluster = Cluster((Watched(RESOURCES["EdgeRoute"]),), lambda change: None, lister, nobody)
    task = asyncio.create_task(cluster.run(), name="source")
    try:
        yield cluster
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.looptime
async def test_a_sweep_that_fails_has_been_tried() -> None:
    async with running(no_answer) as cluster:
        await asyncio.sleep(1000)
        assert cluster.sweep_age_s is None
        assert cluster.tried_age_s <= 60
        assert cluster.alive


@pytest.mark.looptime
async def test_a_sweep_that_hangs_has_not() -> None:
    async with running(never) as cluster:
        await asyncio.sleep(1000)
        assert cluster.tried_age_s == 1000
