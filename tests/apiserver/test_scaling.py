"""What the load of an Envoy comes to at an API server: one write for each decision, and none at any other time."""

import asyncio
import re
from contextlib import suppress
from typing import Any

import yaml

from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes.client import Client
from support.apiserver import ApiServer
from support.edits import respecified
from support.installation import origin_service
from support.poll import eventually
from support.scene import WITHIN_S, Object, Scene, premises, under_load

SCALED = re.compile(
    r"OriginRevision \S+/cart-00001: Scaled cart-00001 from (\d+) to (\d+): "
    r"(\d+) requests per second, target 1 a replica"
)


async def scaled(scene: Scene, **scaling: Any) -> None:
    """Edit how the origin is scaled."""
    await respecified(scene.client, scene.key("OriginService", "cart"), scaling=scaling)


async def until_wanted(scene: Scene, replicas: int) -> Object:
    async def check() -> Object:
        with suppress(NotFoundError):
            deployment = await scene.client.get(scene.key("Deployment", "cart-00001"))
            assert deployment["spec"]["replicas"] == replicas
            return deployment
        return {}

    return await eventually(check, within_s=WITHIN_S, step_s=0.1, what=f"{replicas} replicas are wanted")


async def led(scene: Scene, times: int) -> None:
    """Once the operator has led that often."""
    await eventually(lambda: scene.operator.log.count("serving proxies") == times, within_s=WITHIN_S, step_s=0.1)


def written(scene: Scene) -> int:
    """How often the Deployment was."""
    return sum(write.path.endswith("/deployments/cart-00001") and write.landed for write in scene.written)


async def test_each_decision_is_written_once_and_an_operator_that_starts_anew_writes_none(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with under_load(server, client, namespace) as scene:
        before = written(scene)
        await scaled(scene, metric="rps", target=1, targetUtilization=100, window="6s", minScale=1, maxScale=8)
        await until_wanted(scene, 8)
        await scene.quiet(4)
        decisions = SCALED.findall(scene.operator.log)
        assert decisions[-1][1] == "8"
        assert written(scene) - before == len(decisions)

        async def told() -> Object:
            status = (await client.get(scene.key("OriginService", "cart")))["status"]
            assert status["replicas"] == {"desired": 8, "ready": 1}, yaml.safe_dump(status)
            events = await client.list_("Event", namespace=scene.place.shop)
            return next(event for event in events if event["reason"] == "Scaled")

        event = await eventually(told, within_s=WITHIN_S, step_s=0.2)
        assert event["note"].startswith("Scaled cart-00001 from ")
        await scene.operator.kill()
        await scene.operator.start()
        await led(scene, 2)
        await asyncio.sleep(8)
        assert written(scene) - before == len(decisions)


async def test_where_no_edge_reports_what_runs_stays_and_bounds_hold_all_the_same(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with premises(server, client, namespace) as scene:
        await scene.operator.start()
        service = origin_service(scene.place.shop, "cart")
        await client.create({**service, "spec": {**service["spec"], "scaling": {"minScale": 8}}})
        await until_wanted(scene, 8)
        await scaled(scene, minScale=1)
        await scene.quiet(4)
        await scene.operator.kill()
        before = written(scene)
        await scene.operator.start()
        await led(scene, 2)
        await asyncio.sleep(4)
        assert written(scene) == before
        await until_wanted(scene, 8)
        await respecified(scene.client, scene.key("Deployment", "cart-00001"), replicas=2)
        await until_wanted(scene, 2)
        await scaled(scene, minScale=1, maxScale=1)
        await until_wanted(scene, 1)
