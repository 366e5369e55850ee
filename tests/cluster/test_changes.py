"""What changes under load, and that no request is lost: pods, versions, the operator, the release itself.

Trap: on a cluster that is not ours a port is forwarded to one pod, so nothing here can be seen there.
"""

import asyncio
import functools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from support.cluster import Address
from support.load import Result, load
from support.poll import eventually
from support.release import Release
from support.shop import Shop, edge_route, origin_service

Kubectl = Callable[..., str]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("own_cluster")]
ROLLED_OUT = "--timeout=180s"
AT_REST_S = 30
SETTLED_AFTER = 4  # times that: pods become ready, and numbers of proxies lag
AFTERWARDS_S = 8  # what is wrong with a change shows when the old pods go


class Site:
    """An origin of two replicas under load, and what may happen to it meanwhile."""

    def __init__(self, shop: Shop, release: Release, image: str) -> None:
        self.shop, self._release, self._image = shop, release, image

    async def version(self, said: str) -> None:
        """A new version of the origin, until its last old pod is gone."""
        await asyncio.to_thread(self.shop.open, origin_service("cart", self._image, replicas=2, said=said))
        await asyncio.to_thread(self.shop.alone, "cart")

    async def restart(self, what: str) -> None:
        """Every pod of it anew, until the last old one is gone."""
        before = await self._pods()
        await self.kubectl("rollout", "restart", what)
        await self.kubectl("rollout", "status", what, ROLLED_OUT)
        name = what.rpartition("/")[2]
        old = [f"pod/{pod}" for pod in before if pod.startswith(name)]
        await self.kubectl("wait", "--for=delete", *old, ROLLED_OUT)

    async def kubectl(self, *arguments: str) -> str:
        return await asyncio.to_thread(self._release.kubectl, *arguments)

    async def upgrade(self, **values: str) -> None:
        await asyncio.to_thread(self._release.upgrade, {key.replace("_", "."): value for key, value in values.items()})

    async def leader(self) -> str:
        return (await self.kubectl("get", "lease/edgerun", "--output=jsonpath={.spec.holderIdentity}")).strip()

    async def _pods(self) -> list[str]:
        listed: list[dict[str, Any]] = json.loads(await self.kubectl("get", "pods", "--output=json"))["items"]
        return [pod["metadata"]["name"] for pod in listed]


@pytest.fixture
def site(kubectl: Kubectl, release: Release, image: str) -> Site:
    shop = Shop.of(kubectl)
    shop.open(origin_service("cart", image, replicas=2), edge_route("cart", shop.host("cart"), "cart"))
    return Site(shop, release, image)


@asynccontextmanager
async def under_load(site: Site, release: Release) -> AsyncIterator[Result]:
    """Requests go on while the block runs and a while after, and none of them may fail."""
    with release.edge() as edge:
        async with _load(edge, site.shop.host("cart")) as result:
            yield result
            await asyncio.sleep(AFTERWARDS_S)
    assert result.sent > 100, result
    assert not result.failed, result


def _load(edge: Address, host: str) -> Any:
    return load(edge.port, address=edge.host, host=host, connections=4, max_seconds=300)


async def test_a_rolling_restart_of_the_edge_loses_no_request(site: Site, release: Release) -> None:
    async with under_load(site, release):
        await site.restart("deployment/edge-default")


async def test_a_rolling_restart_of_the_operator_loses_no_request(site: Site, release: Release) -> None:
    async with under_load(site, release):
        await site.restart("deployment/edgerun")
        await site.version("later")


async def test_new_versions_of_an_origin_lose_no_request(site: Site, release: Release) -> None:
    async with under_load(site, release):
        for number in range(3):
            await site.version(f"v{number}")


async def test_an_upgrade_of_the_release_loses_no_request(site: Site, release: Release) -> None:
    async with under_load(site, release):
        await site.upgrade(log_level="debug")
        await site.upgrade(log_level="info")


async def test_a_leader_that_is_killed_is_followed_by_another_and_nobody_notices(site: Site, release: Release) -> None:
    before = await site.leader()
    since = site.shop.condition("edgeroute", "cart")["lastTransitionTime"]
    async with under_load(site, release):
        await site.kubectl("delete", "pod", before, "--grace-period=0", "--force")

        async def followed() -> bool:
            return await site.leader() not in ("", before)

        await eventually(followed, step_s=0.5)
        await asyncio.to_thread(site.shop.open, edge_route("news", site.shop.host("news")))
    ready = site.shop.condition("edgeroute", "cart")
    assert (ready["status"], ready["lastTransitionTime"]) == ("True", since)


async def test_edge_pods_come_and_go_and_no_request_is_lost(site: Site, release: Release) -> None:
    async with under_load(site, release):
        for replicas in (4, 1, 2):
            patch = json.dumps({"spec": {"replicas": replicas}})
            await site.kubectl("patch", "edgeproxy", "default", "--type=merge", f"--patch={patch}")
            await eventually(functools.partial(_running, site, replicas), within_s=90, step_s=0.5)


async def _running(site: Site, replicas: int) -> bool:
    selector = "--selector=edgerun.dev/edge-proxy=default"
    pods = json.loads(await site.kubectl("get", "pods", selector, "--output=json"))["items"]
    ready = [status["ready"] for pod in pods for status in pod["status"]["containerStatuses"]]
    return ready == [True] * replicas


def test_nothing_is_written_at_rest(site: Site, release: Release) -> None:
    """The Lease is renewed, and that is all; what has just been made may still be told to the end."""
    versions = [_versions(site, release)]
    while len(versions) < 2 or (versions[-1] != versions[-2] and len(versions) <= SETTLED_AFTER):
        time.sleep(AT_REST_S)
        versions.append(_versions(site, release))
    assert versions[-1] == versions[-2]


def _versions(site: Site, release: Release) -> dict[str, str]:
    """Of everything that the operator writes for what the test has made, beside Events."""
    own = "originservices,edgeroutes,edgeproxies,deployments"
    beside = "deployments,services,configmaps,serviceaccounts,secrets,poddisruptionbudgets,endpointslices"
    listed = [
        *json.loads(site.shop.kubectl("get", own, "--output=json"))["items"],
        *json.loads(release.kubectl("get", beside, "--output=json"))["items"],
    ]
    return {f"{one['kind']} {one['metadata']['name']}": one["metadata"]["resourceVersion"] for one in listed}
