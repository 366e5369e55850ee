"""Origins of a real cluster that go to zero and come back, and many replicas: no request is lost at either edge.

"Zero" is: no replica is wanted, no Pod object is left, and all is quiet for a while.
Trap: on a cluster that is not ours a port is forwarded to one pod, so nothing here can be seen there.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from math import ceil
from typing import Any

import pytest

from edgerun.api.edgeproxy import DEFAULT_NAME
from edgerun.translate.labels import edge_selector
from support.cluster import Address
from support.load import load
from support.poll import eventually
from support.release import Release
from support.shop import Shop, edge_route, origin_service
from support.standalone import Answer, fetch

Kubectl = Callable[..., str]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.usefixtures("own_cluster")]
TO_ZERO = {"minScale": 0, "window": "6s"}
PASSES = int(os.environ.get("EDGERUN_TEST_PASSES", "24"))  # of all origins together
AT_ONCE = 8  # origins that pass
BURST = 20
STEP_S = 0.5  # between their bursts
SOONEST_S, LATEST_S = 6.0, 10.5  # after its last request an origin goes at a moment between these
GOLDEN = 0.618034  # multiples of it, less the whole, lie evenly between 0 and 1, however many they are
PASSES_WITHIN_S = 600 + 6 * PASSES
QUIET_S = 5
WITHIN_S = 90
UPLOAD = bytes(range(256)) * 4096 * 100  # 100 MiB


class Site:
    """An origin, and requests to it."""

    def __init__(self, shop: Shop, image: str, edge: Address, name: str = "cart") -> None:
        self.shop, self._image, self.edge, self.name = shop, image, edge, name

    async def neighbours(self) -> list["Site"]:
        """Others in the same namespace, open."""
        found = [Site(self.shop, self._image, self.edge, f"cart{number}") for number in range(AT_ONCE)]
        await asyncio.to_thread(self.shop.open, *(part for one in found for part in one.objects(TO_ZERO)))
        return found

    async def open(self, scaling: dict[str, Any], **pod: Any) -> None:
        await asyncio.to_thread(self.shop.open, *self.objects(scaling, **pod))

    def objects(self, scaling: dict[str, Any], **pod: Any) -> tuple[dict[str, Any], ...]:
        service = origin_service(self.name, self._image, spec={"scaling": scaling}, **pod)
        return service, edge_route(self.name, self.host, self.name)

    @property
    def host(self) -> str:
        return self.shop.host(self.name)

    async def ask(self, path: str = "/", **options: Any) -> Answer:
        return await fetch(self.edge.port, path, address=self.edge.host, host=self.host, **options)

    async def burst(self, *, after_s: float = 0) -> list[str]:
        """Many at once, some time from now; what became of those that the origin did not answer."""
        await asyncio.sleep(after_s)
        answers = await asyncio.gather(*(self.ask() for _ in range(BURST)), return_exceptions=True)
        lost = [one for one in answers if not isinstance(one, Answer) or one.status != 200]
        return [f"{self.name} after {after_s:.2f} s: {one!r}" for one in lost]

    def load(self, **options: Any) -> Any:
        options = {"max_seconds": 600.0, **options}
        return load(self.edge.port, address=self.edge.host, host=self.host, **options)

    async def pods(self) -> list[dict[str, Any]]:
        listed = await asyncio.to_thread(self.shop.kubectl, "get", "pods", "--output=json")
        found: list[dict[str, Any]] = json.loads(listed)["items"]
        return found

    async def replicas(self) -> dict[str, int]:
        found = await asyncio.to_thread(self.shop.get, "originservice", self.name)
        told: dict[str, int] = found["status"]["replicas"]
        return told

    async def until_zero(self) -> None:
        await eventually(self._is_zero, within_s=WITHIN_S, step_s=0.5, what="no pod in the namespace")

    async def stays_zero(self) -> None:
        """Quiet: nothing comes back by itself."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        while loop.time() < since + QUIET_S:
            assert await self._is_zero()
            await asyncio.sleep(0.5)

    async def _is_zero(self) -> bool:
        """Of all origins of the namespace, by one question."""
        listed = await asyncio.to_thread(self.shop.kubectl, "get", "pods,originservices", "--output=json")
        for one in json.loads(listed)["items"]:
            assert one["kind"] == "OriginService", one["metadata"]["name"]
            assert one["status"]["replicas"] == {"desired": 0, "ready": 0}, one["metadata"]["name"]
        return True


@pytest.fixture
def site(kubectl: Kubectl, release: Release, image: str) -> Iterator[Site]:
    shop = Shop.of(kubectl)
    shop.open(edge_route("first", shop.host("first")))  # which is what makes the edge
    with release.edge() as edge:
        yield Site(shop, image, edge)


def logged(release: Release, shop: Shop) -> list[str]:
    """What the edge says of requests to this namespace that were not answered with 200."""
    selector = ",".join(f"{key}={value}" for key, value in edge_selector(DEFAULT_NAME).items())
    lines = release.kubectl("logs", f"--selector={selector}", "--tail=-1").splitlines()
    return [line for line in lines if f".{shop.namespace}.test" in line and '"status":200' not in line]


@pytest.mark.timeout(PASSES_WITHIN_S)
async def test_they_go_to_zero_and_each_burst_that_wakes_one_is_answered(site: Site, release: Release) -> None:
    sites = await site.neighbours()
    for _ in range(ceil(PASSES / AT_ONCE)):
        await site.until_zero()
        await site.stays_zero()
        bursts = (one.burst(after_s=STEP_S * place) for place, one in enumerate(sites))
        lost = [told for burst in await asyncio.gather(*bursts) for told in burst]
        assert not lost, "\n".join([*lost, *logged(release, site.shop)])


@pytest.mark.timeout(PASSES_WITHIN_S)
async def test_bursts_at_the_moment_of_going_lose_no_request(site: Site, release: Release) -> None:
    """The moment is not known to a client: so bursts come after pauses of around the time that it takes."""
    numbers, lost = iter(range(PASSES)), list[str]()

    async def passes(one: Site) -> None:
        for number in numbers:
            lost.extend(await one.burst(after_s=SOONEST_S + (LATEST_S - SOONEST_S) * (number * GOLDEN % 1)))

    await asyncio.gather(*map(passes, await site.neighbours()))
    assert not lost, "\n".join([*lost, *logged(release, site.shop)])


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
    assert not await site.burst()


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
