"""Revisions, and how their OriginService is scaled, as whoever types `kubectl` sees them."""

import asyncio
from pathlib import Path

from edgerun.api.meta import ObjectKey
from edgerun.errors import NotFoundError
from edgerun.infra.kubernetes.client import Client
from support import chart
from support.apiserver import ApiServer
from support.chart import kubectl
from support.installation import install, operating, origin_service
from support.poll import eventually


async def test_revisions_events_and_replicas_are_shown_and_the_service_is_scaled(
    server: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    chart.needed()
    shop = f"{namespace}-shop"
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop}})

    async def said(*words: str) -> str:
        return await asyncio.to_thread(kubectl, server, "-n", shop, *words)

    async def wanted() -> int:
        try:
            found = await client.get(ObjectKey("Deployment", shop, "cart-00001"))
        except NotFoundError:
            return 0
        return int(found["spec"]["replicas"])

    await client.create(origin_service(shop, "cart"))
    async with operating(install(server, namespace, shop, tmp_path).settings()):
        await eventually(wanted, step_s=0.1)

        async def shown() -> bool:
            header, *rows = (await said("get", "orev")).splitlines()
            assert header.split() == ["NAME", "SERVICE", "READY", "REPLICAS", "REASON", "AGE"]
            assert [row.split()[:5] for row in rows] == [["cart-00001", "cart", "Unknown", "0", "Starting"]]
            events = (await said("describe", "osvc", "cart")).partition("\nEvents:")[2]
            assert 'revision "cart-00001" is there' in events
            return True

        await eventually(shown, step_s=0.5)
        await said("scale", "originservice", "cart", "--replicas=3")

        async def scaled() -> bool:
            assert await wanted() == 3
            _, row = (await said("get", "orev", "-o", "custom-columns=DESIRED:.status.replicas.desired")).splitlines()
            assert row.strip() == "3"
            return True

        await eventually(scaled, step_s=0.5)
        everything = await said("get", "edgerun")
        assert "originservice.edgerun.dev/cart" in everything
        assert "originrevision.edgerun.dev/cart-00001" in everything
