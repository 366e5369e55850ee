"""Pods that come and go with the load of a cluster's edge, and that no request is lost.

Trap: on a cluster that is not ours a port is forwarded to one pod, so nothing here can be seen there.
"""

import asyncio
import json
from collections.abc import Callable

import pytest

from support.load import load
from support.poll import eventually
from support.release import Release
from support.shop import Shop, edge_route, origin_service

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("own_cluster")]
SCALING = {"metric": "rps", "target": 40, "targetUtilization": 100, "window": "6s", "maxScale": 3}
WITHIN_S = 90


async def until_pods(shop: Shop, number: int) -> None:
    """So many take requests, and there is no other one."""

    async def check() -> bool:
        listed = await asyncio.to_thread(shop.kubectl, "get", "pods", "--output=json")
        service = await asyncio.to_thread(shop.get, "originservice", "cart")
        assert service["status"]["replicas"] == {"desired": number, "ready": number}
        assert len(json.loads(listed)["items"]) == number
        return True

    await eventually(check, within_s=WITHIN_S, step_s=0.5, what=f"{number} pods")


async def test_pods_come_and_go_with_the_load_and_no_request_is_lost(
    kubectl: Callable[..., str], release: Release, image: str
) -> None:
    shop = Shop.of(kubectl)
    service = origin_service("cart", image)
    scaled = {**service, "spec": {**service["spec"], "scaling": SCALING}}
    await asyncio.to_thread(shop.open, scaled, edge_route("cart", shop.host("cart"), "cart"))
    with release.edge() as edge:
        to_cart = {"address": edge.host, "host": shop.host("cart"), "max_seconds": 300.0}
        async with load(edge.port, connections=1, pause_s=0.2, **to_cart) as always:
            async with load(edge.port, connections=8, pause_s=0.02, **to_cart) as flood:
                await until_pods(shop, 3)
            await until_pods(shop, 1)
    assert flood.sent > 100, flood
    assert not flood.failed, flood
    assert not always.failed, always
