"""Revisions and traffic on a real cluster, and that no request is lost while they change.

Trap: on a cluster that is not ours a port is forwarded to one pod, so nothing here can be seen there.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from edgerun.translate.labels import REVISION
from support.cluster import Address
from support.load import Result, load
from support.poll import eventually
from support.release import Release
from support.shop import Shop, edge_route, origin_service
from support.standalone import fetch

Kubectl = Callable[..., str]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.usefixtures("own_cluster")]
TIMES = 20
WITHIN_S = 120
GONE_WITHIN_S = 15  # 3 s where nothing else runs; 30 s are what a pod has at most
STREAM_S = 30
AFTERWARDS_S = 8  # what is wrong with a change shows when the old pods go


class Site:
    """An origin that is edited, and what answers."""

    def __init__(self, shop: Shop, image: str, edge: Address) -> None:
        self.shop, self.image, self.edge = shop, image, edge

    async def apply(self, said: str, **more: Any) -> None:
        """The template of this version, as the newest."""
        await asyncio.to_thread(self.shop.apply, origin_service("cart", self.image, said=said, **more))

    async def patch(self, **spec: Any) -> None:
        patch = json.dumps({"spec": spec})
        await asyncio.to_thread(self.shop.kubectl, "patch", "originservice/cart", "--type=merge", f"--patch={patch}")

    async def status(self) -> dict[str, Any]:
        found = await asyncio.to_thread(self.shop.get, "originservice", "cart")
        return dict(found["status"])

    async def weights(self) -> dict[str, int]:
        """Percent by revision, as the status has it."""
        traffic = (await self.status()).get("traffic", ())
        return {one["revisionName"]: one["percent"] for one in traffic if one.get("percent")}

    async def until_weights(self, **wanted: int) -> None:
        """Until exactly these revisions have so much; `_` of a name stands for `-`."""
        expected = {name.replace("_", "-"): percent for name, percent in wanted.items()}

        async def reached() -> bool:
            assert await self.weights() == expected, await self.status()
            return True

        await eventually(reached, within_s=WITHIN_S, step_s=0.3, what=f"{expected}")

    async def answers(self, number: int = 100, host: str = "cart") -> Counter[str]:
        """Who answers so many requests."""
        found = [
            await fetch(self.edge.port, "/", address=self.edge.host, host=self.shop.host(host)) for _ in range(number)
        ]
        assert {one.status for one in found} == {200}
        return Counter(one.header("x-origin") or "" for one in found)

    async def wanted(self, name: str) -> int:
        """How many replicas the revision is to have."""
        found = await asyncio.to_thread(self.shop.get, "deployment", name)
        return int(found["spec"]["replicas"])

    async def pods(self, name: str) -> list[str]:
        """Of the revision, those that end included."""
        asked = ("get", "pods", f"--selector={REVISION}={name}", "--output=name")
        return (await asyncio.to_thread(self.shop.kubectl, *asked)).split()

    async def revision(self, name: str) -> dict[str, Any]:
        return await asyncio.to_thread(self.shop.get, "originrevision", name)

    async def stream(self) -> str:
        """All of an answer that takes long."""
        reader, writer = await asyncio.open_connection(self.edge.host, self.edge.port)
        host = self.shop.host("cart")
        writer.write(f"GET /?stream={STREAM_S} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(2 * STREAM_S):
            whole = await reader.read()
        writer.close()
        return whole.decode()

    def load(self, prefix: str = "", **options: Any) -> Any:
        options = {"connections": 4, "max_seconds": 500, **options}
        return load(self.edge.port, address=self.edge.host, host=prefix + self.shop.host("cart"), **options)


@pytest.fixture
def site(kubectl: Kubectl, release: Release, image: str) -> Any:
    shop = Shop.of(kubectl)
    shop.open(origin_service("cart", image, said="v1"), edge_route("cart", shop.host("cart"), "cart"))
    with release.edge() as edge:
        yield Site(shop, image, edge)


def lost_nothing(result: Result) -> None:
    assert result.sent > 100, result
    assert not result.failed, result


async def test_a_change_of_the_template_is_a_revision_and_no_other_change_is(site: Site) -> None:
    first = await site.revision("cart-00001")
    assert first["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"] == "v1"
    assert {one["kind"] for one in first["metadata"]["ownerReferences"]} == {"OriginService"}
    await site.patch(scaling={"maxScale": 7})
    await site.apply("v2")
    await site.until_weights(cart_00002=100)
    assert await site.answers(10) == {"v2": 10}
    names = site.shop.kubectl("get", "originrevisions", "--output=name").split()
    assert [name.rpartition("/")[2] for name in names] == ["cart-00001", "cart-00002"]
    refused = site.shop.kubectl("get", "originrevision/cart-00001", "--output=json")
    changed = json.loads(refused)
    changed["spec"]["number"] = 7
    with pytest.raises(Exception, match=r"immutable|never changes"):
        site.shop.kubectl("replace", "--filename=-", stdin=json.dumps(changed))


async def test_twenty_changes_of_the_template_lose_no_request(site: Site) -> None:
    async with site.load() as result:
        for number in range(2, TIMES + 2):
            await site.apply(f"v{number}")
            await site.until_weights(**{f"cart_{number:05}": 100})
        await asyncio.sleep(AFTERWARDS_S)
    lost_nothing(result)
    assert await site.answers(10) == {f"v{TIMES + 1}": 10}


async def test_old_replicas_without_requests_are_gone_within_seconds(site: Site) -> None:
    await site.apply("v2")

    async def decided() -> bool:
        return not await site.wanted("cart-00001")

    async def gone() -> bool:
        return not await site.pods("cart-00001")

    await eventually(decided, within_s=WITHIN_S)
    assert await site.weights() == {"cart-00002": 100}
    since = time.monotonic()
    await eventually(gone, within_s=GONE_WITHIN_S)
    print(f"gone {time.monotonic() - since:.1f} s after the decision")


async def test_a_long_answer_of_a_revision_that_goes_is_whole(site: Site) -> None:
    await site.apply("v2", env={"PATIENT": "1"})
    await site.until_weights(cart_00002=100)
    stream = asyncio.create_task(site.stream())
    await asyncio.sleep(1)
    await site.apply("v3")
    await site.until_weights(cart_00003=100)
    assert await site.answers(10) == {"v3": 10}
    assert not stream.done()
    whole = await stream
    assert whole.startswith("HTTP/1.1 200 ")
    assert whole.endswith(f"v2 {STREAM_S * 10 - 1}\n\r\n0\r\n\r\n"), whole[-200:]


async def test_edits_of_traffic_and_moves_of_a_tag_lose_no_request(site: Site) -> None:
    await site.apply("v2")
    await site.until_weights(cart_00002=100)
    stable = {"revisionName": "cart-00001", "tag": "green", "percent": 50}
    await site.patch(traffic=[stable, {"revisionName": "cart-00002", "percent": 50}])
    await site.until_weights(cart_00001=50, cart_00002=50)

    async def tagged() -> bool:
        assert await site.answers(3, "green-cart") == {"v1": 3}
        return True

    await eventually(tagged, step_s=0.3)
    async with site.load() as result, site.load("green-", connections=2) as green:
        for number in range(TIMES):
            percent = 5 + 4 * number
            names = ("cart-00001", "cart-00002") if number % 2 else ("cart-00002", "cart-00001")
            targets = [
                {"revisionName": names[0], "percent": percent, "tag": "green"},
                {"revisionName": names[1], "percent": 100 - percent},
            ]
            await site.patch(traffic=targets)
            await site.until_weights(**{names[0].replace("-", "_"): percent, names[1].replace("-", "_"): 100 - percent})
    lost_nothing(result)
    lost_nothing(green)
    await site.patch(traffic=[{"revisionName": "cart-00001", "percent": 25}, {"latestRevision": True, "percent": 75}])
    await site.until_weights(cart_00001=25, cart_00002=75)
    counted = await site.answers(200)
    assert 20 <= counted["v1"] <= 85, counted


async def test_a_broken_revision_gets_nothing_and_says_why_until_it_is_taken_back(site: Site) -> None:
    async with site.load() as result:
        service = origin_service("cart", "unused", said="v2")
        (container,) = service["spec"]["template"]["spec"]["containers"]
        broken = ["python3", "-c", "import sys; sys.exit('no such table: carts')"]
        await site.patch(template={"spec": {"containers": [{**container, "image": site.image, "command": broken}]}})

        async def said() -> bool:
            healthy = await asyncio.to_thread(site.shop.condition, "originservice", "cart", "ContainerHealthy")
            assert healthy.get("status") == "False", healthy
            assert "no such table: carts" in healthy["message"], healthy
            assert "cart-00001" in healthy["message"], healthy
            return True

        await eventually(said, within_s=WITHIN_S, step_s=0.5)
        assert await site.weights() == {"cart-00001": 100}
        status = await site.status()
        assert (status["latestCreatedRevisionName"], status["latestReadyRevisionName"]) == ("cart-00002", "cart-00001")
        conditions = (await site.revision("cart-00002"))["status"]["conditions"]
        (unready,) = [one for one in conditions if one["type"] == "Ready"]
        assert "no such table: carts" in unready["message"], unready
        await site.apply("v3")
        await site.until_weights(cart_00003=100)
    lost_nothing(result)
    ready = await asyncio.to_thread(site.shop.condition, "originservice", "cart")
    assert ready["status"] == "True", ready


async def test_a_rollback_is_one_edit(site: Site) -> None:
    await site.apply("v2")
    await site.until_weights(cart_00002=100)
    async with site.load() as result:
        await site.patch(traffic=[{"revisionName": "cart-00001", "percent": 100}])
        await site.until_weights(cart_00001=100)
        await asyncio.sleep(AFTERWARDS_S)
        assert await site.answers(10) == {"v1": 10}
    lost_nothing(result)


async def test_traffic_moves_gradually_and_goes_back_by_itself_when_too_much_fails(site: Site) -> None:
    await site.patch(rollout={"duration": "60s", "maxErrorPercent": 5})
    async with site.load(pause_s=0.02) as result:
        await site.apply("v2", env={"STATUS": "500"}, spec={"rollout": {"duration": "60s", "maxErrorPercent": 5}})

        async def shared() -> bool:
            return len(await site.weights()) == 2

        await eventually(shared, within_s=WITHIN_S, step_s=0.2, what="a first percent")

        async def back() -> bool:
            assert await site.weights() == {"cart-00001": 100}, await site.status()
            return True

        await eventually(back, within_s=WITHIN_S, step_s=0.5, what="all of it back")
    assert set(result.statuses) == {200, 500}
    assert result.statuses[500] < result.statuses[200] / 4, result
    said = await asyncio.to_thread(site.shop.condition, "originservice", "cart", "RolledBack")
    assert said.get("status") == "True", said
    assert "cart-00002" in said["message"], said
