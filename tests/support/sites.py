"""A place for the tests of guards in a cluster: origins in two namespaces, an edge in front of them, and requests.

Trap: whatever asks a cluster blocks, so it is asked in a thread: requests go on meanwhile.
"""

import asyncio
import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from edgerun.api.meta import ObjectKey
from edgerun.translate.identities import origin_id
from support.cluster import Address
from support.load import Result, load
from support.poll import eventually
from support.release import Release
from support.shop import Shop, origin_service
from support.standalone import Answer, fetch
from support.strongroom import TRUST_DOMAIN

ROLLED_OUT = "--timeout=180s"
PORT = 8080
REPLICAS = 2


def origin(
    name: str, image: str, *, replicas: int = REPLICAS, port: int = PORT, concurrency: int = 0, **spec: Any
) -> dict[str, Any]:
    """An OriginService, guarded unless `spec` says otherwise."""
    made = origin_service(name, image, replicas=replicas, containerConcurrency=concurrency)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["ports"] = [{"containerPort": port}]
    return {**made, "spec": {**made["spec"], **spec}}


@dataclass(frozen=True, slots=True)
class Site:
    """`cart` in the shop, with the edge in front of it; `till` in the bank."""

    release: Release
    image: str
    shop: Shop
    bank: Shop
    edge: Address

    async def get(self, host: str = "cart", **options: Any) -> Answer:
        return await fetch(self.edge.port, "/", address=self.edge.host, host=self.shop.host(host), **options)

    async def cart(self, **changes: Any) -> None:
        """The cart with these settings, until nobody is sent to the one before any more."""
        await asyncio.to_thread(self.shop.open, origin("cart", self.image, **changes))
        await self.rolled_out()

    async def rolled_out(self) -> None:
        """The pods of the newest cart are those of its Deployment as it is now."""
        newest = await asyncio.to_thread(self.newest)
        await asyncio.to_thread(self.shop.kubectl, "rollout", "status", newest, ROLLED_OUT)

    def newest(self) -> str:
        """The Deployment of the newest revision of the cart."""
        return f"deployment/{self.shop.get('originservice', 'cart')['status']['latestCreatedRevisionName']}"

    async def settled(self) -> None:
        """Nothing is left of any cart before."""
        await self.rolled_out()
        await eventually(self._alone, step_s=0.3)

    async def _alone(self) -> bool:
        return len(await pods(self.shop, "cart")) == REPLICAS

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[Result]:
        """Requests for the cart go on while the block runs, and none of them may fail."""
        host, where = self.shop.host("cart"), self.edge
        async with load(
            where.port, address=where.host, host=host, connections=4, max_seconds=300, pause_s=0.01
        ) as result:
            yield result
        assert result.answered > 100, result
        assert not result.failed, result


def audience(shop: Shop, origin: str) -> str:
    return origin_id(TRUST_DOMAIN, ObjectKey("OriginService", shop.namespace, origin))


async def pods(shop: Shop, origin: str) -> list[dict[str, Any]]:
    """Those that end included."""
    asked = ("get", "pods", f"--selector=edgerun.dev/origin-service={origin}", "--output=json")
    listed: list[dict[str, Any]] = json.loads(await asyncio.to_thread(shop.kubectl, *asked))["items"]
    return listed


async def address(shop: Shop, origin: str) -> str:
    """Of one of its pods."""
    return str((await pods(shop, origin))[0]["status"]["podIP"])


async def scaled(release: Release, replicas: int) -> None:
    """The operator has so many replicas, and no more."""
    kubectl = functools.partial(asyncio.to_thread, release.kubectl)
    await kubectl("scale", "deployment/edgerun", f"--replicas={replicas}")
    if replicas:
        await kubectl("rollout", "status", "deployment/edgerun", ROLLED_OUT)
    else:
        selector = "--selector=app.kubernetes.io/component=operator"
        await kubectl("wait", "--for=delete", "pod", selector, ROLLED_OUT)


async def guarded_by(shop: Shop, name: str, tag: str) -> bool:
    """Whether this is the image of the guards, and they are all there."""
    service = await asyncio.to_thread(shop.get, "originservice", name)
    found = await asyncio.to_thread(shop.get, "deployment", service["status"]["latestCreatedRevisionName"])
    (guard,) = (one for one in found["spec"]["template"]["spec"]["initContainers"] if one["name"] == "edgerun-guard")
    status = found["status"]
    current = status.get("observedGeneration") == found["metadata"]["generation"]
    numbers = {status.get(one) for one in ("replicas", "updatedReplicas", "readyReplicas")}
    return guard["image"].endswith(f":{tag}") and current and numbers == {found["spec"]["replicas"]}
