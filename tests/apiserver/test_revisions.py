"""Revisions at a real API server: made once each, told of, remembered by the next who leads; and nothing at rest.

Nothing behind the API server makes pods: those that there are say that they are ready.
"""

import asyncio
from contextlib import suppress
from typing import Any

from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes.client import Client
from support.apiserver import ApiServer
from support.edits import edited
from support.installation import origin_service
from support.poll import eventually
from support.scene import WITHIN_S, Object, Scene, premises


async def runs(scene: Scene, image: str) -> None:
    """Another template."""

    def change(found: dict[str, Any]) -> None:
        (container,) = found["spec"]["template"]["spec"]["containers"]
        found["spec"]["template"] = {"spec": {"containers": [{**container, "image": image}]}}

    await edited(scene.client, scene.key("OriginService", "cart"), change)


async def ready_pod(scene: Scene, revision: str) -> None:
    """One that the revision's Deployment has made."""
    template = (await there(scene, "Deployment", revision))["spec"]["template"]
    metadata = {"name": f"{revision}-x", "namespace": scene.place.shop, "labels": template["metadata"]["labels"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    await scene.client.create({**pod, "spec": template["spec"]})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    await scene.client.apply_status({**pod, "status": {"podIP": "127.0.0.1", "conditions": [ready]}})


async def there(scene: Scene, kind: str, name: str) -> Object:
    async def found() -> Object:
        with suppress(NotFoundError):
            return await scene.client.get(scene.key(kind, name))
        return {}

    return await eventually(found, within_s=WITHIN_S, step_s=0.1, what=f"{kind} {name}")


async def serves(scene: Scene, revision: str) -> Object:
    """Once all requests are for it, and the service is ready."""

    async def check() -> Object:
        status: Object = (await scene.client.get(scene.key("OriginService", "cart"))).get("status", {})
        assert status.get("traffic") == [{"revisionName": revision, "percent": 100}], status
        assert ready(status) == "True", status
        return status

    return await eventually(check, within_s=WITHIN_S, step_s=0.1)


def ready(status: Object) -> str:
    return str(next(one["status"] for one in status["conditions"] if one["type"] == "Ready"))


async def events(scene: Scene) -> set[str]:
    found = await scene.client.list_("Event", namespace=scene.place.shop)
    return {one["note"] for one in found if one["regarding"]["kind"] == "OriginService"}


async def test_revisions_are_made_once_told_of_and_remembered_and_nothing_is_written_at_rest(
    server: ApiServer, client: Client, namespace: str
) -> None:
    async with premises(server, client, namespace) as scene:
        await scene.operator.start()
        await client.create(origin_service(scene.place.shop, "cart"))
        await ready_pod(scene, "cart-00001")
        await serves(scene, "cart-00001")
        await runs(scene, "two")
        await there(scene, "OriginRevision", "cart-00002")
        status = (await client.get(scene.key("OriginService", "cart")))["status"]
        assert status["traffic"] == [{"revisionName": "cart-00001", "percent": 100}]
        await ready_pod(scene, "cart-00002")
        await serves(scene, "cart-00002")

        async def put_aside() -> bool:
            first = (await client.get(scene.key("OriginRevision", "cart-00001")))["status"]
            assert (first["proven"], first["replicas"]["desired"], ready(first)) == (True, 0, "True"), first
            return bool(first["lastActive"])

        await eventually(put_aside, within_s=WITHIN_S, step_s=0.1)
        wanted = {'revision "cart-00002" is there', 'revision "cart-00002" is ready'}

        async def told() -> bool:
            found = await events(scene)
            assert wanted <= found, found
            return True

        await eventually(told, within_s=WITHIN_S, step_s=0.2)
        await scene.quiet(3)
        before, revisions = len(scene.written), await client.list_("OriginRevision", namespace=scene.place.shop)
        await asyncio.sleep(8)
        assert scene.written[before:] == []
        await scene.operator.kill()
        await scene.operator.start()
        await eventually(lambda: scene.operator.log.count("serving proxies") == 2, within_s=WITHIN_S, step_s=0.1)
        await asyncio.sleep(8)
        assert [one for one in scene.written[before:] if one.landed and "leases" not in one.path] == []
        assert await client.list_("OriginRevision", namespace=scene.place.shop) == revisions
        await client.delete(scene.key("OriginRevision", "cart-00002"), revisions[1]["metadata"]["uid"])
        await there(scene, "OriginRevision", "cart-00003")
