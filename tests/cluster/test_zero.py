"""Origins of a real cluster that go to zero and come back, and many replicas: no request is lost at either edge.

"Zero" is: no replica is wanted, no Pod object is left, and all is quiet for a while.
Trap: on a cluster that is not ours a port is forwarded to one pod, so nothing here can be seen there.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.cluster import Address
from support.load import load
from support.poll import eventually
from support.release import Release
from support.shop import Shop, edge_route, origin_service
from support.standalone import Answer, fetch

Kubectl = Callable[..., str]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.usefixtures("own_cluster")]
TO_ZERO = {"minScale": 0, "window": "6s"}
PASSES = int(os.environ.get("EDGERUN_TEST_PASSES", "3"))
BURST = 20
QUIET_S = 5
WITHIN_S = 90
UPLOAD = bytes(range(256)) * 4096 * 100  # 100 MiB


class Site:
    """An origin, and requests to it."""

    def __init__(self, shop: Shop, image: str, edge: Address) -> None:
        self.shop, self._image, self.edge = shop, image, edge

    async def open(self, scaling: dict[str, Any], **pod: Any) -> None:
        service = origin_service("cart", self._image, spec={"scaling": scaling}, **pod)
        await asyncio.to_thread(self.shop.open, service, edge_route("cart", self.shop.host("cart"), "cart"))

    async def ask(self, path: str = "/", **options: Any) -> Answer:
        return await fetch(self.edge.port, path, address=self.edge.host, host=self.shop.host("cart"), **options)

    async def burst(self, number: int = BURST) -> None:
        """So many at once; each is answered by the origin."""
        answers = await asyncio.gather(*(self.ask() for _ in range(number)))
        assert [one.status for one in answers] == [200] * number

    def load(self, **options: Any) -> Any:
        options = {"max_seconds": 600.0, **options}
        return load(self.edge.port, address=self.edge.host, host=self.shop.host("cart"), **options)

    async def pods(self) -> list[dict[str, Any]]:
        listed = await asyncio.to_thread(self.shop.kubectl, "get", "pods", "--output=json")
        found: list[dict[str, Any]] = json.loads(listed)["items"]
        return found

    async def replicas(self) -> dict[str, int]:
        found = await asyncio.to_thread(self.shop.get, "originservice", "cart")
        told: dict[str, int] = found["status"]["replicas"]
        return told

    async def until_zero(self) -> None:
        await eventually(self._is_zero, within_s=WITHIN_S, step_s=0.5, what="no pod")

    async def stays_zero(self) -> None:
        """Quiet: nothing comes back by itself."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        while loop.time() < since + QUIET_S:
            assert not await self.pods()
            await asyncio.sleep(0.5)

    async def _is_zero(self) -> bool:
        assert not await self.pods()
        assert await self.replicas() == {"desired": 0, "ready": 0}
        return True


@pytest.fixture
def site(kubectl: Kubectl, release: Release, image: str) -> Iterator[Site]:
    shop = Shop.of(kubectl)
    shop.open(edge_route("first", shop.host("first")))  # which is what makes the edge
    with release.edge() as edge:
        yield Site(shop, image, edge)


async def test_it_goes_to_zero_and_each_burst_that_wakes_it_is_answered(site: Site) -> None:
    await site.open(TO_ZERO)
    for _ in range(PASSES):
        await site.until_zero()
        await site.stays_zero()
        await site.burst()


async def test_bursts_at_the_moment_of_going_lose_no_request(site: Site) -> None:
    """The moment is not known to a client: so bursts come after pauses of around the time that it takes."""
    await site.open(TO_ZERO)
    for pause_s in (6.5, 7, 7.5, 8, 8.5, 9, 10):
        await asyncio.sleep(pause_s)
        await site.burst()


async def test_a_large_upload_that_wakes_it_arrives_whole(site: Site) -> None:
    await site.open(TO_ZERO)
    await site.until_zero()
    answer = await site.ask("/upload", method="POST", body=UPLOAD)
    assert answer.status == 200
    told = json.loads(answer.body)
    assert (told["bodyLength"], told["bodySha256"]) == (len(UPLOAD), hashlib.sha256(UPLOAD).hexdigest())


async def test_the_operator_begins_anew_while_it_sleeps_and_still_wakes_it(site: Site, release: Release) -> None:
    await site.open(TO_ZERO)
    await site.until_zero()
    await asyncio.to_thread(release.kubectl, "rollout", "restart", "deployment/edgerun")
    await asyncio.to_thread(release.kubectl, "rollout", "status", "deployment/edgerun", "--timeout=180s")
    await site.burst()


async def test_a_hundred_at_once_are_answered_one_at_a_time_by_ten_replicas(site: Site) -> None:
    """The first replica has all of them before there is another, so the last of these are answered after 20 s."""
    await site.open({"maxScale": 10, "window": "6s"}, containerConcurrency=1)
    async with site.load(connections=100, path="/?delay=200ms", timeout_s=60.0) as result:

        async def ten() -> bool:
            return await site.replicas() == {"desired": 10, "ready": 10}

        await eventually(ten, within_s=WITHIN_S, step_s=0.5, what="ten replicas")
        answers = await asyncio.gather(*(site.ask("/?delay=200ms") for _ in range(100)))
        assert [one.status for one in answers] == [200] * 100
        assert {json.loads(one.body)["together"] for one in answers} == {1}
    assert not result.failed, result


async def test_the_operator_begins_anew_and_none_of_eight_replicas_goes(site: Site, release: Release) -> None:
    await site.open({"metric": "rps", "target": 10, "targetUtilization": 100, "maxScale": 8, "window": "30s"})
    async with site.load(connections=8, pause_s=0.05) as result:

        async def eight() -> bool:
            return await site.replicas() == {"desired": 8, "ready": 8}

        await eventually(eight, within_s=WITHIN_S, step_s=0.5, what="eight replicas")
        restart = asyncio.create_task(_restarted(release))
        while not restart.done():
            alive = [pod for pod in await site.pods() if not pod["metadata"].get("deletionTimestamp")]
            assert len(alive) == 8
            await asyncio.sleep(0.3)
        await restart
        for _ in range(10):
            assert len(await site.pods()) == 8
            await asyncio.sleep(0.5)
    assert not result.failed, result


async def _restarted(release: Release) -> None:
    for arguments in (("restart", "deployment/edgerun"), ("status", "deployment/edgerun", "--timeout=180s")):
        await asyncio.to_thread(release.kubectl, "rollout", *arguments)
